//! Input values for templates.

use indexmap::IndexMap;

/// A value in a [`Context`](crate::Context).
///
/// Values are plain data: a template that changes a list or map changes its own copy.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No value: a reference to it prints its own source, or nothing if it is quiet.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer, Java's `Integer` or `Long`.
    Int(i64),
    /// An integer beyond 64 bits, Java's `BigInteger`.
    Big(i128),
    /// A floating-point number; prints like Java's `Double.toString`.
    Double(f64),
    /// A text.
    Str(String),
    /// A list.
    List(Vec<Value>),
    /// A map, in insertion order.
    Map(Map),
}

/// A map with text keys that keeps the insertion order, like Java's `LinkedHashMap`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map(pub(crate) IndexMap<String, Value>);

impl Map {
    /// Creates an empty map.
    pub fn new() -> Map {
        Map::default()
    }

    /// Sets `key` to `value` and returns the previous value.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(key.into(), value.into())
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over keys and values in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Map {
        Map(entries
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect())
    }
}

impl<K: Into<String>, V: Into<Value>> Extend<(K, V)> for Map {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl IntoIterator for Map {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        let entries: Vec<_> = self.0.into_iter().collect();
        entries.into_iter()
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Value::$variant(value.into())
            }
        })*
    };
}

from!(bool => Bool, i32 => Int, u32 => Int, i64 => Int, f64 => Double, String => Str, &str => Str,
    Map => Map);

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        i64::try_from(value).map_or(Value::Big(value.into()), Value::Int)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Value {
        Value::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(feature = "serde_json")]
impl From<serde_json::Value> for Value {
    /// A number without fraction or exponent that fits into 64 bits becomes an integer, any other a
    /// double; [`Value::from_json`] also keeps larger integers.
    fn from(json: serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Value::Int(value),
                (None, Some(value)) => value.into(),
                (None, None) => number.as_f64().map_or(Value::Null, Value::Double),
            },
            serde_json::Value::String(value) => Value::Str(value),
            serde_json::Value::Array(items) => items.into(),
            serde_json::Value::Object(entries) => Value::Map(entries.into()),
        }
    }
}

#[cfg(feature = "serde_json")]
impl From<serde_json::Map<String, serde_json::Value>> for Map {
    fn from(entries: serde_json::Map<String, serde_json::Value>) -> Map {
        entries.into_iter().collect()
    }
}

#[cfg(test)]
mod map_tests {
    use super::*;

    #[test]
    fn maps_keep_insertion_order() {
        let mut map: Map = [("b", 1), ("a", 2)].into_iter().collect();
        map.extend([("c", Value::from(u64::MAX)), ("b", Value::from(7_u64))]);
        let entries: Vec<_> = map.into_iter().collect();
        let expected = [
            ("b", Value::Int(7)),
            ("a", Value::Int(2)),
            ("c", Value::Big(u64::MAX.into())),
        ];
        assert_eq!(
            entries,
            expected.map(|(key, value)| (key.to_owned(), value))
        );
    }
}

#[cfg(all(test, feature = "serde_json"))]
mod tests {
    use super::*;

    #[test]
    fn conversion_from_json_keeps_order_and_type() {
        let json = serde_json::json!({ "b": [1, 2.0, u64::MAX], "a": null });
        let mut expected = Map::new();
        let numbers = vec![
            Value::Int(1),
            Value::Double(2.0),
            Value::Big(u64::MAX.into()),
        ];
        expected.insert("b", Value::List(numbers));
        expected.insert("a", Value::Null);
        assert_eq!(Value::from(json), Value::Map(expected));
    }
}
