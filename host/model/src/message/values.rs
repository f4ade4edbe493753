//! A run's values as templates read them.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use chrono::DateTime;
use chrono_tz::Tz;
use promoflow_velocity::{
    Allowance, Context, Error, Map, ParseOptions, RenderOptions, Rendered, TagValues, Template,
    Value,
};
use serde_json::{Map as JsonMap, Value as Json};

use super::tags;
use promoflow_document::TemplateFault;

/// How templates are read: authors copy `$!data.get ('promocode')` from manuals.
pub(super) const PARSING: ParseOptions = ParseOptions { spaced_calls: true };
/// The name under which the event's key stands in templates.
const KEY: &str = "key";
/// The name under which all values stand in templates.
const DATA: &str = "data";
/// The names under which events bring the language to prefer.
pub const LANGUAGE: [&str; 2] = ["language", "languageCode"];
/// Names under which the same value may stand, as merge tags ask for them.
const USUAL: [&[&str]; 2] = [
    &["email", "emailaddress", "useremail", "contactemail"],
    &["phone", "sms", "phonenumber"],
];

/// A run's values as templates read them: all in `$data`, each whose name allows it as a
/// variable, and the event's key as `$key`.
pub struct Values {
    context: Context,
    /// What is known of the contact beside the run's values: merge tags read it.
    fields: JsonMap<String, Json>,
    /// Those of its fields that the run has no value for.
    of_contact_alone: HashSet<String>,
    /// The languages of the contact, the best first.
    languages: Vec<String>,
    /// The present as tools tell it; `None`: that of the system's clock.
    present: Option<DateTime<Tz>>,
    /// Where the contact's clock is.
    contact_zone: Option<Tz>,
}

impl Values {
    /// The values of a run about that key.
    pub fn new(data: &JsonMap<String, Json>, key: &str) -> Values {
        let mut context = Context::new().with_tools();
        context.set(KEY, key);
        context.set(DATA, Map::new());
        let mut values = Values {
            context,
            fields: JsonMap::new(),
            of_contact_alone: HashSet::new(),
            languages: Vec::new(),
            present: None,
            contact_zone: None,
        };
        for (name, value) in data {
            values.set(name, value);
        }
        values
    }

    /// Has all that is rendered with these values share the work that this allows.
    pub fn set_allowance(&mut self, allowance: Arc<Allowance>) {
        self.context.set_allowance(allowance);
    }

    /// Sets one of the run's values.
    pub fn set(&mut self, name: &str, value: &Json) {
        let value = Value::from(value.clone());
        // What stands for all values, or for the event's key, is no value's.
        if is_variable(name) && name != DATA && name != KEY {
            self.context.set(name, value.clone());
        }
        if let Some(Value::Map(data)) = self.context.get_mut(DATA) {
            data.insert(name, value);
        }
    }

    /// Adds what is known of the contact: its fields, and its languages, the best first. Templates
    /// read a field where the run has no value of that name: what its steps set is the run's.
    #[must_use]
    pub fn with_contact(mut self, fields: JsonMap<String, Json>, languages: Vec<String>) -> Values {
        for (name, value) in &fields {
            let own = self.data().and_then(|data| data.get(name));
            if own.is_none_or(|own| *own == Value::Null) {
                self.set(name, value);
                self.of_contact_alone.insert(name.clone());
            }
        }
        self.fields = fields;
        self.languages = languages;
        self
    }

    /// Tells tools the present, on the clocks of the installation.
    #[must_use]
    pub fn at(self, present: Option<DateTime<Tz>>) -> Values {
        Values { present, ..self }
    }

    /// Tells tools where the contact's clock is.
    #[must_use]
    pub fn with_contact_zone(self, contact_zone: Option<Tz>) -> Values {
        Values {
            contact_zone,
            ..self
        }
    }

    /// The languages to prefer, the best first: the event's, then the contact's.
    pub fn languages(&self) -> Vec<String> {
        let of_event = LANGUAGE.iter().find_map(|name| self.of_event(name));
        of_event.into_iter().chain(self.languages.clone()).collect()
    }

    /// The value of a merge tag, by its key: the contact's, else the event's.
    pub(super) fn tag(&self, key: &str) -> Option<String> {
        let names = USUAL.iter().find(|names| names.contains(&key));
        let names = names.map_or(&[] as &[&str], |names| names);
        let named = |find: &dyn Fn(&str) -> Option<String>| {
            find(key).or_else(|| names.iter().find_map(|name| find(name)))
        };
        named(&|name| self.of_contact(name)).or_else(|| named(&|name| self.of_event(name)))
    }

    fn of_contact(&self, name: &str) -> Option<String> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        text(&Value::from(value.clone()))
    }

    fn of_event(&self, name: &str) -> Option<String> {
        let found = self.data()?.iter().find(|(param, value)| {
            param.eq_ignore_ascii_case(name)
                && text(value).is_some()
                && !self.of_contact_alone.contains(*param)
        });
        text(found?.1)
    }

    fn data(&self) -> Option<&Map> {
        match self.context.get(DATA) {
            Some(Value::Map(data)) => Some(data),
            _ => None,
        }
    }

    /// The names of all values that templates read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let data = self.data().into_iter().flat_map(Map::iter);
        data.map(|(name, _)| name)
    }

    /// What a template prints with them.
    pub fn render(&self, template: &Template) -> Result<String, Error> {
        let rendered = self.render_with(template, &RenderOptions::default(), &|_, _| None)?;
        Ok(rendered.text)
    }

    /// The same of a part of a message, with values for its tags.
    pub(super) fn render_with(
        &self,
        template: &Template,
        options: &RenderOptions,
        tags: &TagValues<'_>,
    ) -> Result<Rendered, Error> {
        let options = RenderOptions {
            now: self.present,
            contact_zone: self.contact_zone,
            ..*options
        };
        template.render_reporting(&self.context, &options, tags)
    }
}

/// A value that fits into a line, as text; blank ones are none.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Str(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Big(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::List(_) | Value::Map(_) => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

/// Whether a value's name can be written behind a `$`.
fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether what a template prints depends on a run's values.
pub fn depends_on_data(template: &Template) -> bool {
    !template.references().is_empty()
}

/// What a template prints that does not depend on any value.
pub fn render_constant(template: &Template) -> Result<String, Error> {
    static NOTHING: LazyLock<Context> = LazyLock::new(Context::new);
    template.render(&NOTHING)
}

/// Parses a template of a workflow.
pub fn parse_template(source: &str) -> Result<Template, Error> {
    Template::parse_with(source, &PARSING)
}

/// Judges a template for the reader of workflows.
pub fn check_template(source: &str) -> Result<bool, TemplateFault> {
    let template = parse_template(source).map_err(fault)?;
    sound(&template)?;
    Ok(depends_on_data(&template))
}

/// Judges a template of a message, in which merge tags may stand.
pub fn check_part(source: &str) -> Result<bool, TemplateFault> {
    let template = tags::parse(source)?;
    sound(&template)?;
    Ok(depends_on_data(&template) || !template.tags().is_empty())
}

/// Refuses a template that fails whatever the values are. Templates that are stored are not asked:
/// they may never come to the place.
fn sound(template: &Template) -> Result<(), TemplateFault> {
    let of_tools = || template.tool_faults().into_iter().next();
    match template.faults().into_iter().next().or_else(of_tools) {
        Some(error) => Err(fault(error)),
        None => Ok(()),
    }
}

/// What the template engine found, as readers of files tell it.
pub(super) fn fault(error: Error) -> TemplateFault {
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    TemplateFault {
        line: place(error.line),
        column: place(error.column),
        message: error.message,
        hint: error.hint,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_are_set_later_are_read_and_hide_neither_data_nor_the_key() {
        let Json::Object(data) = json!({ "name": "Ann", "key": "k", "data": "d" }) else {
            unreachable!("an object")
        };
        let mut values = Values::new(&data, "ann@example.com");
        for (name, value) in [("name", "Eve"), ("code", "A1"), ("key", "x"), ("data", "x")] {
            values.set(name, &json!(value));
        }
        let template = Template::parse("$name $data.get('name') $code $key $data.get('key')");
        assert_eq!(
            values.render(&template.unwrap()).unwrap(),
            "Eve Eve A1 ann@example.com x"
        );
    }
}
