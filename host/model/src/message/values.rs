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
use promoflow_document::TemplateError;

/// Parser options: authors copy `$!data.get ('promocode')` from manuals.
pub(super) const PARSE_OPTIONS: ParseOptions = ParseOptions { spaced_calls: true };
/// The variable with the event's key.
const KEY: &str = "key";
/// The variable with all values.
const DATA: &str = "data";
/// The names of event parameters with the preferred language.
pub const LANGUAGE: [&str; 2] = ["language", "languageCode"];
/// Aliases of the same value in merge tags.
const TAG_ALIASES: [&[&str]; 2] = [
    &["email", "emailaddress", "useremail", "contactemail"],
    &["phone", "sms", "phonenumber"],
];

/// A run's values as templates read them: all of them in `$data`, those with a suitable name also
/// as variables, and the event's key as `$key`.
pub struct Values {
    context: Context,
    /// The fields of the contact, which merge tags read in addition to the run's values.
    fields: JsonMap<String, Json>,
    /// Names of the contact's fields for which the run has no value.
    contact_only: HashSet<String>,
    /// The languages of the contact, best first.
    languages: Vec<String>,
    /// The current time for tools; `None` means the system clock.
    present: Option<DateTime<Tz>>,
    /// The contact's time zone.
    contact_zone: Option<Tz>,
}

impl Values {
    /// Creates values for a run with that event key.
    pub fn new(data: &JsonMap<String, Json>, key: &str) -> Values {
        let mut context = Context::new().with_tools();
        context.set(KEY, key);
        context.set(DATA, Map::new());
        let mut values = Values {
            context,
            fields: JsonMap::new(),
            contact_only: HashSet::new(),
            languages: Vec::new(),
            present: None,
            contact_zone: None,
        };
        for (name, value) in data {
            values.set(name, value);
        }
        values
    }

    /// Limits the total work of all renderings with these values.
    pub fn set_allowance(&mut self, allowance: Arc<Allowance>) {
        self.context.set_allowance(allowance);
    }

    /// Sets one of the run's values.
    pub fn set(&mut self, name: &str, value: &Json) {
        let value = Value::from(value.clone());
        // `$data` and `$key` cannot be replaced by values.
        if is_variable(name) && name != DATA && name != KEY {
            self.context.set(name, value.clone());
        }
        if let Some(Value::Map(data)) = self.context.get_mut(DATA) {
            data.insert(name, value);
        }
    }

    /// Adds the contact's fields and languages, best first. Templates read a field only if the run
    /// has no value of that name, so values that steps set take precedence.
    #[must_use]
    pub fn with_contact(mut self, fields: JsonMap<String, Json>, languages: Vec<String>) -> Values {
        for (name, value) in &fields {
            let own = self.data().and_then(|data| data.get(name));
            if own.is_none_or(|own| *own == Value::Null) {
                self.set(name, value);
                self.contact_only.insert(name.clone());
            }
        }
        self.fields = fields;
        self.languages = languages;
        self
    }

    /// Sets the current time for tools, in the installation's time zone.
    #[must_use]
    pub fn with_now(self, present: Option<DateTime<Tz>>) -> Values {
        Values { present, ..self }
    }

    /// Sets the contact's time zone for tools.
    #[must_use]
    pub fn with_contact_zone(self, contact_zone: Option<Tz>) -> Values {
        Values {
            contact_zone,
            ..self
        }
    }

    /// Returns the preferred languages, best first: the event's, then the contact's.
    pub fn languages(&self) -> Vec<String> {
        let event_value = LANGUAGE.iter().find_map(|name| self.event_value(name));
        event_value
            .into_iter()
            .chain(self.languages.clone())
            .collect()
    }

    /// Returns the value of a merge tag by its key: the contact's, or else the event's.
    pub(super) fn tag(&self, key: &str) -> Option<String> {
        let names = TAG_ALIASES.iter().find(|names| names.contains(&key));
        let names = names.map_or(&[] as &[&str], |names| names);
        let named = |find: &dyn Fn(&str) -> Option<String>| {
            find(key).or_else(|| names.iter().find_map(|name| find(name)))
        };
        named(&|name| self.contact_field(name)).or_else(|| named(&|name| self.event_value(name)))
    }

    fn contact_field(&self, name: &str) -> Option<String> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        text(&Value::from(value.clone()))
    }

    fn event_value(&self, name: &str) -> Option<String> {
        let found = self.data()?.iter().find(|(param, value)| {
            param.eq_ignore_ascii_case(name)
                && text(value).is_some()
                && !self.contact_only.contains(*param)
        });
        text(found?.1)
    }

    fn data(&self) -> Option<&Map> {
        match self.context.get(DATA) {
            Some(Value::Map(data)) => Some(data),
            _ => None,
        }
    }

    /// Iterates over the names of all values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let data = self.data().into_iter().flat_map(Map::iter);
        data.map(|(name, _)| name)
    }

    /// Renders a template with the values.
    pub fn render(&self, template: &Template) -> Result<String, Error> {
        let rendered = self.render_with(template, &RenderOptions::default(), &|_, _| None)?;
        Ok(rendered.text)
    }

    /// Same as [`render`](Self::render) for a part of a message, with values for its tags.
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

/// Returns a scalar value as text; blank values count as missing.
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

/// Returns true if the name is valid after a `$`.
fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Returns true if the output of a template depends on a run's values.
pub fn depends_on_data(template: &Template) -> bool {
    !template.references().is_empty()
}

/// Renders a template that does not depend on values.
pub fn render_constant(template: &Template) -> Result<String, Error> {
    static NOTHING: LazyLock<Context> = LazyLock::new(Context::new);
    template.render(&NOTHING)
}

/// Parses a template of a workflow.
pub fn parse_template(source: &str) -> Result<Template, Error> {
    Template::parse_with(source, &PARSE_OPTIONS)
}

/// Validates a template of a workflow.
pub fn check_template(source: &str) -> Result<bool, TemplateError> {
    let template = parse_template(source).map_err(template_error)?;
    reject_constant_errors(&template)?;
    Ok(depends_on_data(&template))
}

/// Validates a template of a message, which may contain merge tags.
pub fn check_part(source: &str) -> Result<bool, TemplateError> {
    let template = tags::parse(source)?;
    reject_constant_errors(&template)?;
    Ok(depends_on_data(&template) || !template.tags().is_empty())
}

/// Rejects a template that fails for all values. Stored templates are not checked: the failing
/// place may never be reached.
fn reject_constant_errors(template: &Template) -> Result<(), TemplateError> {
    let of_tools = || template.tool_errors().into_iter().next();
    match template
        .certain_errors()
        .into_iter()
        .next()
        .or_else(of_tools)
    {
        Some(error) => Err(template_error(error)),
        None => Ok(()),
    }
}

/// Converts an error of the template engine to a template error of a file.
pub(super) fn template_error(error: Error) -> TemplateError {
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    TemplateError {
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
    fn later_values_win_but_never_replace_data_or_key() {
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
