//! The contents of a file: nodes with positions.

use super::scalar::Scalar;

/// A position in a file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character within the line.
    pub column: u32,
}

impl Position {
    /// The beginning of a file.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// A value with its position.
#[derive(Clone, Debug)]
pub struct Node {
    /// The position of the value.
    pub at: Position,
    /// The value.
    pub content: NodeValue,
}

/// The value of a node.
#[derive(Clone, Debug)]
pub enum NodeValue {
    /// Text, a number, `true`, `false` or nothing.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping in file order. May contain a key twice.
    Mapping(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The position of the key.
    pub key_at: Position,
    /// The value of the key.
    pub value: Node,
}

impl Node {
    /// Returns the scalar, if the node is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            NodeValue::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Returns true if there is no value: `key:` or `key: null`.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// Names the kind of value for a message: `a list`.
    pub fn kind(&self) -> &'static str {
        match &self.content {
            NodeValue::Scalar(scalar) => scalar.kind(),
            NodeValue::List(_) => "a list",
            NodeValue::Mapping(_) => "a mapping",
        }
    }

    /// Converts the node to JSON. With `typed`, unquoted numbers, `true`, `false` and `null` become
    /// JSON values of that type; otherwise every scalar becomes a string. Of duplicate keys, the
    /// first wins.
    pub fn to_json(&self, typed: bool) -> serde_json::Value {
        match &self.content {
            NodeValue::Scalar(scalar) if typed => scalar.to_json(),
            NodeValue::Scalar(scalar) => serde_json::Value::String(scalar.text().to_owned()),
            NodeValue::List(items) => items.iter().map(|item| item.to_json(typed)).collect(),
            NodeValue::Mapping(entries) => {
                let mut map = serde_json::Map::new();
                for entry in entries {
                    if !map.contains_key(&entry.key) {
                        map.insert(entry.key.clone(), entry.value.to_json(typed));
                    }
                }
                serde_json::Value::Object(map)
            }
        }
    }
}
