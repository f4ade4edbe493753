//! The location of a row in its file, as the author finds it.

use super::RowError;

/// The location of a row in its file.
#[derive(Clone, Copy, Debug)]
pub struct RowLocation {
    /// The line, counted from 1.
    pub(super) line: u64,
    /// JSON: the column on that line, in bytes, counted from 1.
    column: Option<u64>,
    /// JSON: the position in a list.
    item: Option<Item>,
}

/// A position in a list.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// The key of the list; empty if the list is the whole file.
    list: &'static str,
    index: u64,
    /// The item is a bare text without fields.
    is_bare: bool,
}

impl RowLocation {
    /// Creates the location of a CSV line.
    pub fn line(line: u64) -> RowLocation {
        RowLocation {
            line,
            column: None,
            item: None,
        }
    }

    /// Creates the location of a JSON value.
    pub(super) fn value(line: u64, column: u64) -> RowLocation {
        RowLocation {
            column: Some(column),
            ..RowLocation::line(line)
        }
    }

    /// Returns the location of the value as an item of a list.
    pub(super) fn item(self, list: &'static str, index: u64, is_bare: bool) -> RowLocation {
        RowLocation {
            item: Some(Item {
                list,
                index,
                is_bare,
            }),
            ..self
        }
    }

    /// Creates an error at this location.
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
        let Item {
            list,
            index,
            is_bare,
        } = self.item?;
        Some(match is_bare || field.is_empty() {
            true => format!("{list}[{index}]"),
            false => format!("{list}[{index}].{field}"),
        })
    }
}
