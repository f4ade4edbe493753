//! The body of a request to a provider: JSON or a form, with templates as strings.

use promoflow_velocity::{Context, Error, Escape};
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::file::{Source, Table, in_order, scalar};
use super::template::Templated;

/// The body of a request.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    None,
    /// The event of an alert as JSON: the default of webhooks.
    Event,
    /// JSON.
    Json(Json),
    /// A form, as in HTML: names and values.
    Form(Vec<(String, Templated)>),
}

/// JSON whose strings are templates. A rendered value is always a string and never changes the
/// structure, since the JSON is built from values, not from text.
#[derive(Debug)]
pub enum Json {
    /// A number or a boolean.
    Plain(Value),
    /// A string.
    Text(Templated),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the order of the file.
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn compile(
        source: Source<'_>,
        value: Spanned<DeValue<'_>>,
        variables: &[&str],
    ) -> anyhow::Result<Json> {
        let at = value.span();
        Ok(match value.into_inner() {
            DeValue::String(text) => {
                let text = Spanned::new(at, text.into_owned());
                Json::Text(Templated::compile(source, &text, variables)?)
            }
            DeValue::Array(items) => Json::Array(
                items
                    .into_iter()
                    .map(|item| Json::compile(source, item, variables))
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => Json::Object(
                in_order(table)
                    .into_iter()
                    .map(|(name, value)| Ok((name, Json::compile(source, value, variables)?)))
                    .collect::<anyhow::Result<_>>()?,
            ),
            plain => Json::Plain(scalar(source, Spanned::new(at, plain))?),
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
            Json::Plain(value) => Some(value.clone()),
            Json::Text(text) => {
                let rendered = text.render(values, Escape::None)?;
                (!rendered.is_empty() || !text.reads()).then_some(Value::String(rendered))
            }
            Json::Array(items) => {
                let mut array = Vec::with_capacity(items.len());
                for item in items {
                    array.extend(item.rendered(values)?);
                }
                (!array.is_empty() || items.is_empty()).then_some(Value::Array(array))
            }
            Json::Object(members) => {
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
pub(super) fn form(
    table: Table<'_>,
    variables: &[&str],
) -> anyhow::Result<Vec<(String, Templated)>> {
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
            fields.push((name.clone(), Templated::compile(source, &text, variables)?));
        }
    }
    Ok(fields)
}

/// Converts a value to text; numbers and booleans as they are written.
fn text(source: Source<'_>, value: Spanned<DeValue<'_>>) -> anyhow::Result<Spanned<String>> {
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
