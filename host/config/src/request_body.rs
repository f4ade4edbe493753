//! The body of a request to a provider: JSON or a form, with templates as strings.

use promoflow_velocity::{Context, Error, Escape};
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::error::Result;
use super::template::ConfigTemplate;
use super::toml_reader::{Source, Table, in_order, scalar};

/// The body of a request.
#[derive(Debug)]
pub enum RequestBody {
    /// Nothing.
    None,
    /// The event of an alert as JSON: the default of webhooks.
    Event,
    /// JSON.
    Json(JsonTemplate),
    /// A form, as in HTML: names and values.
    Form(Vec<(String, ConfigTemplate)>),
}

/// JSON whose strings are templates. A rendered value is always a string and never changes the
/// structure, since the JSON is built from values, not from text.
#[derive(Debug)]
pub enum JsonTemplate {
    /// A number or a boolean.
    Scalar(Value),
    /// A string.
    Text(ConfigTemplate),
    /// An array.
    Array(Vec<JsonTemplate>),
    /// An object, in the order of the file.
    Object(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    pub(super) fn compile(
        source: Source<'_>,
        value: Spanned<DeValue<'_>>,
        variables: &[&str],
    ) -> Result<JsonTemplate> {
        let at = value.span();
        Ok(match value.into_inner() {
            DeValue::String(text) => {
                let text = Spanned::new(at, text.into_owned());
                JsonTemplate::Text(ConfigTemplate::compile(source, &text, variables)?)
            }
            DeValue::Array(items) => JsonTemplate::Array(
                items
                    .into_iter()
                    .map(|item| JsonTemplate::compile(source, item, variables))
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => JsonTemplate::Object(
                in_order(table)
                    .into_iter()
                    .map(|(name, value)| {
                        Ok((name, JsonTemplate::compile(source, value, variables)?))
                    })
                    .collect::<Result<_>>()?,
            ),
            plain => JsonTemplate::Scalar(scalar(source, Spanned::new(at, plain))?),
        })
    }

    /// Renders the JSON for a delivery. Strings whose references are all empty are omitted, and so
    /// are arrays and objects that are empty as a result.
    pub fn render(&self, values: &Context) -> Result<Value, Error> {
        Ok(self
            .rendered(values)?
            .unwrap_or_else(|| Value::Object(Map::new())))
    }

    fn rendered(&self, values: &Context) -> Result<Option<Value>, Error> {
        Ok(match self {
            JsonTemplate::Scalar(value) => Some(value.clone()),
            JsonTemplate::Text(text) => {
                let rendered = text.render(values, Escape::None)?;
                (!rendered.is_empty() || !text.has_references()).then_some(Value::String(rendered))
            }
            JsonTemplate::Array(items) => {
                let mut array = Vec::with_capacity(items.len());
                for item in items {
                    array.extend(item.rendered(values)?);
                }
                (!array.is_empty() || items.is_empty()).then_some(Value::Array(array))
            }
            JsonTemplate::Object(members) => {
                let mut object = Map::new();
                for (name, member) in members {
                    if let Some(value) = member.rendered(values)? {
                        object.insert(name.clone(), value);
                    }
                }
                (!object.is_empty() || members.is_empty()).then_some(Value::Object(object))
            }
        })
    }
}

/// Compiles the fields of a form. A list repeats a field.
pub(super) fn form(table: Table<'_>, variables: &[&str]) -> Result<Vec<(String, ConfigTemplate)>> {
    let source = table.source;
    let mut fields = Vec::new();
    for (name, value) in table.into_entries() {
        let at = value.span();
        let values = match value.into_inner() {
            DeValue::Array(values) => values.into_iter().collect(),
            one => vec![Spanned::new(at, one)],
        };
        for value in values {
            let text = text(source, value)?;
            fields.push((
                name.clone(),
                ConfigTemplate::compile(source, &text, variables)?,
            ));
        }
    }
    Ok(fields)
}

/// Converts a value to text; numbers and booleans as they are written.
fn text(source: Source<'_>, value: Spanned<DeValue<'_>>) -> Result<Spanned<String>> {
    let at = value.span();
    let text = match value.into_inner() {
        DeValue::String(text) => text.into_owned(),
        other => match scalar(source, Spanned::new(at.clone(), other))? {
            Value::String(text) => text,
            plain => plain.to_string(),
        },
    };
    Ok(Spanned::new(at, text))
}
