//! One JSON value written by a client. It borrows from the input unless the text has escapes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

/// The reason why a number is refused for a text: another number would give the same text.
pub const INEXACT: &str = "a number with a fraction or too many digits, which would not be \
                                  kept exactly; write it in quotes";

/// Returns true if a [`Value::Word`] is a number that may have been rounded while parsing: any
/// number other than a 64-bit integer.
pub fn is_inexact(word: &str) -> bool {
    let whole = word.parse::<i64>().is_ok() || word.parse::<u64>().is_ok();
    !whole && word != "true" && word != "false"
}

/// A JSON value. It distinguishes only what the readers need.
#[derive(Debug)]
pub enum Value<'a> {
    /// Null: no value.
    Null,
    /// A string.
    Text(Cow<'a, str>),
    /// A number, `true` or `false` as written; a fraction or a number beyond 64 bits is rounded.
    Word(String),
    /// An array.
    List(Vec<Value<'a>>),
    /// An object: its keys in their order in the input, including repeated ones.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl Value<'_> {
    /// Returns the text of a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Converts to an owned JSON value.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Text(text) => Json::from(text.as_ref()),
            // It was parsed from a number, `true` or `false`, so it parses again.
            Value::Word(word) => serde_json::from_str(word).unwrap_or(Json::Null),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| (key.as_ref().to_owned(), value.to_json()))
                .collect(),
        }
    }

    /// Describes the value for messages.
    pub fn described(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Text(text) => format!("`{}`", super::shorten(text)),
            Value::Word(word) => format!("`{}`", super::shorten(word)),
            Value::List(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        }
    }
}

/// `Cow` itself never borrows when it is deserialized.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Word(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Word(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Word(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        // The debug format keeps the fraction, so 10.0 is not an integer.
        Ok(Value::Word(format!("{value:?}")))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(key), value)) = entries.next_entry()? {
            members.push((key, value));
        }
        Ok(Value::Object(members))
    }
}
