//! One value of a JSON upload. It borrows from the text where no escape stands in the way.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value, as far as an upload tells values apart.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// Not stated.
    Null,
    /// A text in quotes.
    Text(Cow<'a, str>),
    /// A number, `true` or `false`, as written.
    Word(String),
    /// A list: never what is asked for within a row.
    List,
    /// An object: its keys in the order of the file, repeated ones as well.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl Value<'_> {
    /// What it is, for messages.
    pub(super) fn described(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Text(text) => format!("`{}`", super::header::shorten(text)),
            Value::Word(word) => format!("`{}`", super::header::shorten(word)),
            Value::List => "a list".to_owned(),
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
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(key), value)) = entries.next_entry()? {
            members.push((key, value));
        }
        Ok(Value::Object(members))
    }
}
