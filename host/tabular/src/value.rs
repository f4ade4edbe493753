//! One value of JSON that a client wrote. It borrows from the text where no escape stands in the way.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

/// Why a number is refused where a text is meant: another one would make the same text.
pub const INEXACT: &str = "a number with a fraction or too many digits, which is not kept \
                                  as it is written; write it in quotes";

/// Whether a [`Value::Word`] is a number that may have been rounded when it was read, as all are
/// but whole ones of 64 bits.
pub fn is_inexact(word: &str) -> bool {
    let whole = word.parse::<i64>().is_ok() || word.parse::<u64>().is_ok();
    !whole && word != "true" && word != "false"
}

/// A value, as far as what reads it tells values apart.
#[derive(Debug)]
pub enum Value<'a> {
    /// Not stated.
    Null,
    /// A text in quotes.
    Text(Cow<'a, str>),
    /// A number, `true` or `false`, as written; a number that is not whole, or larger than 64 bits
    /// hold, as it is rounded.
    Word(String),
    /// A list.
    List(Vec<Value<'a>>),
    /// An object: its keys in the order in which they stand, repeated ones as well.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl Value<'_> {
    /// A text in quotes.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same value for those who keep it.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Text(text) => Json::from(text.as_ref()),
            // It was read from a number, `true` or `false`, so it reads as one again.
            Value::Word(word) => serde_json::from_str(word).unwrap_or(Json::Null),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| (key.as_ref().to_owned(), value.to_json()))
                .collect(),
        }
    }

    /// What it is, for messages.
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

/// `Cow` by itself never borrows when it is deserialized.
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
        // The debug form keeps the fraction: 10.0 is no whole number.
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
