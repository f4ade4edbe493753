//! The interface between the file formats and a kind of rows: names of columns and checks of
//! values.

use super::value::Value;
use super::{Row, RowError, RowLocation};

/// Maximum number of errors per row; an object may have any number of unknown keys.
const MAX_ERRORS: usize = 20;

/// A kind of rows. The file formats know nothing else about rows.
pub trait RowSchema {
    /// A column of CSV, or a key of a JSON object.
    type Column: Clone + PartialEq;
    /// Values that a row, the call around it, or the options give.
    type PartialRow: Clone + Default;
    /// A complete row.
    type Row;

    /// The key of a call's rows, such as `promocodes`.
    const ROWS: &'static str;
    /// An example header for messages.
    const HEADER: &'static str;
    /// The plural noun for rows, such as `codes`.
    const PLURAL: &'static str;
    /// The end of the message for a list item that is neither a text nor an object: `a code;
    /// expected a text in quotes or an object`.
    const ITEM: &'static str;

    /// Returns the column with this name in an object, ignoring case and word separators.
    fn column(&self, name: &str) -> Option<Self::Column>;

    /// Returns the column with this heading in a CSV file.
    fn heading(&self, text: &str) -> Option<Self::Column> {
        self.column(text)
    }

    /// Returns true if a heading is specific enough to detect the delimiter by it.
    fn is_known(&self, text: &str) -> bool {
        self.heading(text).is_some()
    }

    /// Returns a suggestion for an unknown name. `others`: keys that are not columns but are
    /// allowed in the same place.
    fn hint(&self, name: &str, others: &[&'static str]) -> String;

    /// Returns the name of a column as used in uploads and errors.
    fn name(column: &Self::Column) -> &str;

    /// Returns the column that an unknown heading probably means.
    fn suggested(&self, heading: &str) -> Option<Self::Column> {
        let _ = heading;
        None
    }

    /// Returns true if a text consists of words that headings and titles use.
    fn is_made_of_words(&self, text: &str) -> bool {
        let _ = text;
        false
    }

    /// Returns the required column that is missing from a header, and the message for it.
    fn missing_column(
        &self,
        columns: &[Option<Self::Column>],
        header: &str,
    ) -> Option<(String, String)>;

    /// Returns the column of a bare text in a list, or of a CSV file without a heading.
    fn bare_column(&self) -> Option<Self::Column> {
        None
    }

    /// Returns true if a call may give this column for all of its rows.
    fn is_common(column: &Self::Column) -> bool;

    /// Returns true if a call cannot add anything.
    fn is_complete(stated: &Self::PartialRow) -> bool;

    /// Returns the field and the message if no row can be read without a further option.
    fn stop(&self) -> Option<(&'static str, String)> {
        None
    }

    /// Returns warnings about the rows that were read.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the values for columns that a file lacks.
    fn defaults(&self) -> &Self::PartialRow;

    /// Fills the missing values of the first with those of the second.
    fn merge(stated: Self::PartialRow, other: &Self::PartialRow) -> Self::PartialRow;

    /// Reads the text of a cell, which is already trimmed.
    fn read(
        &mut self,
        stated: &mut Self::PartialRow,
        column: &Self::Column,
        text: &str,
    ) -> Result<(), String>;

    /// Reads a JSON value other than null.
    fn read_value(
        &mut self,
        stated: &mut Self::PartialRow,
        column: &Self::Column,
        value: &Value<'_>,
    ) -> Result<(), String>;

    /// Completes the row with defaults; fails with the field that is missing and the message for
    /// it.
    fn finish(
        &self,
        line: u64,
        stated: Self::PartialRow,
        defaults: &Self::PartialRow,
    ) -> Result<Self::Row, (&'static str, String)>;
}

/// A row that is being read.
pub(super) struct RowBuilder<T: RowSchema> {
    place: RowLocation,
    seen: Vec<T::Column>,
    stated: T::PartialRow,
    errors: Vec<RowError>,
}

impl<T: RowSchema> RowBuilder<T> {
    /// Creates an empty row.
    pub(super) fn new(place: RowLocation) -> RowBuilder<T> {
        RowBuilder {
            place,
            seen: Vec::new(),
            stated: T::PartialRow::default(),
            errors: Vec::new(),
        }
    }

    /// Records an error for a field, or for the whole row if `field` is empty.
    pub(super) fn reject(&mut self, field: &str, message: String) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(self.place.error(field, message));
        }
    }

    /// Reads the text of a cell.
    pub(super) fn read(&mut self, table: &mut T, column: &T::Column, text: &str) {
        if let Err(message) = table.read(&mut self.stated, column, text) {
            self.reject(T::name(column), message);
        }
    }

    /// Reads a JSON value; each column may appear once per object.
    pub(super) fn read_value(&mut self, table: &mut T, column: T::Column, value: &Value<'_>) {
        if self.seen.contains(&column) {
            let name = T::name(&column);
            let message = format!("`{name}` appears twice; keep one of them");
            return self.reject(name, message);
        }
        if !matches!(value, Value::Null)
            && let Err(message) = table.read_value(&mut self.stated, &column, value)
        {
            self.reject(T::name(&column), message);
        }
        self.seen.push(column);
    }

    /// Completes the row with defaults.
    pub(super) fn finish(mut self, table: &T, defaults: &T::PartialRow) -> Row<T::Row> {
        if self.errors.is_empty() {
            match table.finish(self.place.line, std::mem::take(&mut self.stated), defaults) {
                Ok(row) => return Row::Accepted(row),
                Err((field, message)) => self.reject(field, message),
            }
        }
        Row::Rejected(self.errors)
    }

    /// Returns the columns seen so far.
    pub(super) fn seen(&self) -> &[T::Column] {
        &self.seen
    }

    /// Returns the values read so far.
    pub(super) fn stated(&self) -> &T::PartialRow {
        &self.stated
    }

    /// Returns the errors found so far.
    pub(super) fn errors(&self) -> &[RowError] {
        &self.errors
    }
}
