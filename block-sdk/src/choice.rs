//! Values of parameters of the kind `choice`.

use crate::{Value, json};

/// A chosen alternative with its value.
///
/// ```
/// use promoflow_block::{ChoicePayload, Params, Value};
///
/// let params = Params::from_iter([("reuse", Value::Json(r#"{"contact":2592000}"#.into()))]);
/// let reuse = params.choice("reuse")?;
/// assert_eq!(reuse.name, "contact");
/// assert_eq!(reuse.payload, ChoicePayload::Duration(2_592_000));
/// # Ok::<(), promoflow_block::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The alternative's name.
    pub name: String,
    /// The alternative's value.
    pub payload: ChoicePayload,
}

/// The value that an alternative has in addition to its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoicePayload {
    /// No value.
    Nothing,
    /// Text.
    Text(String),
    /// A duration, in seconds.
    Duration(u64),
}

impl Choice {
    /// Reads the name alone, or the JSON text of an object with the name and the value.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Text(name) => Some(Self {
                name: name.clone(),
                payload: ChoicePayload::Nothing,
            }),
            Value::Json(text) => {
                let (name, payload) = json::parse_pair(text)?;
                Some(Self { name, payload })
            }
            _ => None,
        }
    }
}
