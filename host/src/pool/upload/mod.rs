//! Reading an upload: a stream of rows out of a CSV or JSON file, in constant memory.
//!
//! [`UploadReader`] gives one [`Row`] after another. A row is accepted or rejected on its own; an
//! [`UploadError`] is what is wrong with the file as a whole, and ends it.
//!
//! | module | holds |
//! | --- | --- |
//! | `source` | the bytes: encoding, line ends, how long a row may be |
//! | `header` | the columns' names, and the first line of a CSV file |
//! | `fields` | what a value must look like: the rules of both formats |
//! | `csv` | rows out of CSV |
//! | `skeleton` | the brackets and commas of JSON, value by value |
//! | `value` | one value of JSON, read by serde |
//! | `json` | rows out of JSON |
//! | `spool` | rows that wait for attributes which stand after them |
//! | `error` | what stops a file |

mod csv;
mod error;
mod fields;
mod header;
mod json;
mod skeleton;
mod source;
mod spool;
#[cfg(test)]
mod tests;
mod value;

use std::io::Read;
use std::path::Path;

pub use error::UploadError;
pub(super) use header::HEADER;

use self::csv::CsvRows;
use self::fields::Judge;
use self::json::JsonRows;
use self::source::Source;
use super::{Calendar, NewCode, RowError};
use crate::clock::Timestamp;

/// How an upload is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table with a header line, or codes alone, one a line.
    Csv,
    /// An array, a call `{"promocodes": […], …}`, or objects one after another.
    Json,
}

impl Format {
    /// The format that a file's extension names; `None` where it names neither.
    pub fn of_path(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "tsv" | "txt" => Some(Format::Csv),
            "json" | "jsonl" | "ndjson" => Some(Format::Json),
            _ => None,
        }
    }
}

/// How an upload is read, and what is put where it states nothing.
///
/// A fill is for a column that the file lacks (JSON: for a value that is absent or null). An
/// empty cell of a column that is there states the default and is not filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadOptions {
    /// The format; told from the first character that is not blank where `None`.
    pub format: Option<Format>,
    /// The type to fill in.
    pub code_type: Option<String>,
    /// The discount to fill in, 0 to [`MAX_DISCOUNT`](super::MAX_DISCOUNT).
    pub discount: Option<u8>,
    /// The expiry to fill in.
    pub expires: Option<Timestamp>,
    /// The `inUse` to fill in.
    pub in_use: Option<bool>,
}

/// A row of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// It may go into the pool.
    Accepted(NewCode),
    /// It may not. There is an error for each field at fault, never none, and it counts as one
    /// rejected row.
    Rejected(Vec<RowError>),
}

/// The rows of an upload.
pub struct UploadReader<R: Read> {
    rows: Rows<R>,
    ended: bool,
}

enum Rows<R: Read> {
    Csv(CsvRows<R>),
    Json(JsonRows<R>),
}

impl<R: Read> UploadReader<R> {
    /// Opens an upload. It reads in blocks of its own, so the reader need not be buffered.
    ///
    /// Fails where the beginning shows already that nothing can be read: another encoding than
    /// UTF-8, a CSV header without a `code` column or with unknown ones, a fill out of bounds.
    pub fn new(
        reader: R,
        options: UploadOptions,
        calendar: Calendar,
    ) -> Result<UploadReader<R>, UploadError> {
        let format = options.format;
        let judge = Judge::new(options, calendar)?;
        let source = Source::open(reader)?;
        let rows = match format.unwrap_or_else(|| format_of(source.head())) {
            Format::Csv => Rows::Csv(CsvRows::open(source, judge)?),
            Format::Json => Rows::Json(JsonRows::new(source, judge)),
        };
        Ok(UploadReader { rows, ended: false })
    }

    /// The next row; `None` after the last one. After an error there are no more rows, though
    /// the file may hold some: who must have all or nothing discards what came before.
    pub fn next_row(&mut self) -> Result<Option<Row>, UploadError> {
        if self.ended {
            return Ok(None);
        }
        let row = match &mut self.rows {
            Rows::Csv(rows) => rows.next_row(),
            Rows::Json(rows) => rows.next_row(),
        };
        self.ended = !matches!(row, Ok(Some(_)));
        row
    }
}

/// JSON begins with a bracket, and no code does.
fn format_of(head: &[u8]) -> Format {
    match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Format::Json,
        _ => Format::Csv,
    }
}
