//! What a file holds: nodes with their positions.

use super::scalar::Scalar;

/// A place in a file. Lines and columns count from 1, columns in characters.
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

/// A value and the place where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A text, a number, `true`, `false` or nothing.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file. A key may stand in it twice.
    Mapping(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub key_at: Position,
    /// What stands beside it.
    pub value: Node,
}

impl Node {
    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Whether nothing stands here: `key:` or `key: null`.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// What it is, for a message: `a list`.
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(scalar) => scalar.kind(),
            Content::List(_) => "a list",
            Content::Mapping(_) => "a mapping",
        }
    }

    /// As JSON. With `typed`, unquoted numbers, `true`, `false` and `null` are what they look
    /// like; without, every scalar is its text. Of a key that stands twice, the first counts.
    pub fn to_json(&self, typed: bool) -> serde_json::Value {
        match &self.content {
            Content::Scalar(scalar) if typed => scalar.to_json(),
            Content::Scalar(scalar) => serde_json::Value::String(scalar.text().to_owned()),
            Content::List(items) => items.iter().map(|item| item.to_json(typed)).collect(),
            Content::Mapping(entries) => {
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
