//! Where a row stands in its file, as its author finds it.

use super::RowError;

/// Where a row stands in its file.
#[derive(Clone, Copy, Debug)]
pub struct RowPlace {
    /// The line, counted from 1.
    pub(super) line: u64,
    /// JSON: the column on that line, in bytes, counted from 1.
    column: Option<u64>,
    /// JSON: which item of a list it is.
    item: Option<Item>,
}

/// An item of a list.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// The key of the list; empty where the file is the list.
    list: &'static str,
    index: u64,
    /// It is a text, and has no fields of its own.
    alone: bool,
}

impl RowPlace {
    /// A line of CSV.
    pub fn line(line: u64) -> RowPlace {
        RowPlace {
            line,
            column: None,
            item: None,
        }
    }

    /// A value of JSON.
    pub(super) fn value(line: u64, column: u64) -> RowPlace {
        RowPlace {
            column: Some(column),
            ..RowPlace::line(line)
        }
    }

    /// The value as an item of that list.
    pub(super) fn item(self, list: &'static str, index: u64, alone: bool) -> RowPlace {
        RowPlace {
            item: Some(Item { list, index, alone }),
            ..self
        }
    }

    /// Why the row is refused.
    pub fn error(&self, field: &str, message: String) -> RowError {
        RowError {
            line: self.line,
            column: self.column,
            path: self.path(field),
            field: field.to_owned(),
            message,
        }
    }

    fn path(&self, field: &str) -> Option<String> {
        let Item { list, index, alone } = self.item?;
        Some(match alone || field.is_empty() {
            true => format!("{list}[{index}]"),
            false => format!("{list}[{index}].{field}"),
        })
    }
}
