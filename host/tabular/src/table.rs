//! What the rows of an upload are: how their columns are called, and what their values must be.

use super::value::Value;
use super::{Row, RowError, RowPlace};

/// An object may hold any number of keys that are none, and the first few tell enough.
const MOST_ERRORS: usize = 20;

/// A kind of rows. The formats know nothing of rows but this.
pub trait Table {
    /// A column of CSV, or a key of a JSON object.
    type Column: Clone + PartialEq;
    /// What is stated: by a row, by the call around it, or for columns that the file lacks.
    type Stated: Clone + Default;
    /// A row that is whole.
    type Row;

    /// The key of a call's rows: `promocodes`.
    const ROWS: &'static str;
    /// A header, as messages ask for it.
    const HEADER: &'static str;
    /// What the rows are: `codes`.
    const PLURAL: &'static str;
    /// What an item of a list is not, where it is neither a text nor an object, and what is
    /// expected: `a code; expected a text in quotes or an object`.
    const ITEM: &'static str;

    /// The column of that name in an object, however its words are put together.
    fn column(&self, name: &str) -> Option<Self::Column>;

    /// The column of that heading in a CSV file.
    fn heading(&self, text: &str) -> Option<Self::Column> {
        self.column(text)
    }

    /// Whether a heading tells what delimits columns: one that could not be a part of another.
    fn is_known(&self, text: &str) -> bool {
        self.heading(text).is_some()
    }

    /// What to write instead of a name that no column has. `others`: names that are no columns,
    /// but would do in that place.
    fn hint(&self, name: &str, others: &[&'static str]) -> String;

    /// As uploads and errors name it.
    fn name(column: &Self::Column) -> &str;

    /// The column that a heading may name, though it is not taken for it.
    fn suggested(&self, heading: &str) -> Option<Self::Column> {
        let _ = heading;
        None
    }

    /// Whether a text consists of words that headings and titles are made of.
    fn is_made_of_words(&self, text: &str) -> bool {
        let _ = text;
        false
    }

    /// The column that a header lacks, and what is wrong with that.
    fn lacks(&self, columns: &[Option<Self::Column>], header: &str) -> Option<(String, String)>;

    /// The column of a text that stands alone in a list, or in a CSV file without a heading.
    fn alone(&self) -> Option<Self::Column> {
        None
    }

    /// Whether a call may state it for all of its rows.
    fn is_common(column: &Self::Column) -> bool;

    /// Whether nothing is left for a call to state.
    fn is_complete(stated: &Self::Stated) -> bool;

    /// Why no row can be read without more being stated: the field, and what is wrong.
    fn stop(&self) -> Option<(&'static str, String)> {
        None
    }

    /// What the author should know of the rows that were read.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What fills columns that a file lacks.
    fn fill(&self) -> &Self::Stated;

    /// What the first leaves open is taken from the second.
    fn or(stated: Self::Stated, other: &Self::Stated) -> Self::Stated;

    /// Reads the text of a cell; the spaces around it are already gone.
    fn read(
        &mut self,
        stated: &mut Self::Stated,
        column: &Self::Column,
        text: &str,
    ) -> Result<(), String>;

    /// Reads a value of JSON other than null, which states nothing.
    fn read_value(
        &mut self,
        stated: &mut Self::Stated,
        column: &Self::Column,
        value: &Value<'_>,
    ) -> Result<(), String>;

    /// The row, with what it leaves open filled in; or the field that it lacks, and what is wrong
    /// with that.
    fn finish(
        &self,
        line: u64,
        stated: Self::Stated,
        fill: &Self::Stated,
    ) -> Result<Self::Row, (&'static str, String)>;
}

/// A row in the making.
pub(super) struct Draft<T: Table> {
    place: RowPlace,
    seen: Vec<T::Column>,
    stated: T::Stated,
    errors: Vec<RowError>,
}

impl<T: Table> Draft<T> {
    /// A row of which nothing is known but its place.
    pub(super) fn new(place: RowPlace) -> Draft<T> {
        Draft {
            place,
            seen: Vec::new(),
            stated: T::Stated::default(),
            errors: Vec::new(),
        }
    }

    /// Notes that a field, or the row where it is empty, is at fault.
    pub(super) fn reject(&mut self, field: &str, message: String) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(self.place.error(field, message));
        }
    }

    /// Reads the text of a cell.
    pub(super) fn read(&mut self, table: &mut T, column: &T::Column, text: &str) {
        if let Err(message) = table.read(&mut self.stated, column, text) {
            self.reject(T::name(column), message);
        }
    }

    /// Reads a value of JSON under its column, which stands once in an object.
    pub(super) fn read_value(&mut self, table: &mut T, column: T::Column, value: &Value<'_>) {
        if self.seen.contains(&column) {
            let name = T::name(&column);
            let message = format!("`{name}` stands twice; keep one of them");
            return self.reject(name, message);
        }
        if !matches!(value, Value::Null)
            && let Err(message) = table.read_value(&mut self.stated, &column, value)
        {
            self.reject(T::name(&column), message);
        }
        self.seen.push(column);
    }

    /// The row, with what it leaves open filled in.
    pub(super) fn finish(mut self, table: &T, fill: &T::Stated) -> Row<T::Row> {
        if self.errors.is_empty() {
            match table.finish(self.place.line, std::mem::take(&mut self.stated), fill) {
                Ok(row) => return Row::Accepted(row),
                Err((field, message)) => self.reject(field, message),
            }
        }
        Row::Rejected(self.errors)
    }

    /// The columns that were stated.
    pub(super) fn seen(&self) -> &[T::Column] {
        &self.seen
    }

    /// What was stated so far.
    pub(super) fn stated(&self) -> &T::Stated {
        &self.stated
    }

    /// What is at fault so far.
    pub(super) fn errors(&self) -> &[RowError] {
        &self.errors
    }
}
