//! What a request to a provider holds: JSON or a form, with templates where texts are.

use promoflow_velocity::{Context, Error, Escape};
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::file::{Source, Table, in_order, scalar};
use super::template::Templated;

/// What is sent.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    None,
    /// The event of the alert as it is, as JSON: that of a webhook which says nothing else.
    Event,
    /// JSON.
    Json(Json),
    /// A form, as HTML has it: names and values.
    Form(Vec<(String, Templated)>),
}

/// JSON whose texts are templates. A value becomes text within it and never a part of its
/// structure: it is put together from values, not from text.
#[derive(Debug)]
pub enum Json {
    /// A number or a truth value, as it stands.
    Plain(Value),
    /// A text.
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

    /// The value for a letter. What reads the letter's values and comes out empty is left out of
    /// the array or object that it stands in, and so is an array or object of which nothing is left.
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

/// The fields of a form. A list gives a field several times.
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

/// A value as a text; numbers and truth values as they are written.
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
