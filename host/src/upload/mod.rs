//! Uploads: a stream of rows out of a CSV or JSON file, in constant memory.
//!
//! A `Reader` gives one [`Row`] after another. A row is accepted or rejected on its own; an
//! [`UploadError`] is what is wrong with the file as a whole, and ends it. What the rows are
//! (promo codes, contacts) is said by a `Table`.
//!
//! | module | holds |
//! | --- | --- |
//! | `source` | the bytes: encoding, line ends, how long a row may be |
//! | `table` | the seam: columns, and what a value must look like |
//! | `header` | the first line of a CSV file |
//! | `csv` | rows out of CSV |
//! | `place` | where a row stands in its file |
//! | `skeleton` | the brackets and commas of JSON, value by value |
//! | `value` | one value of JSON, read by serde |
//! | `json` | rows out of JSON |
//! | `spool` | rows that wait for attributes which stand after them |
//! | `kept` | uploads that are all or nothing, before the store takes any of them |
//! | `batches` | rows on their way into the store |
//! | `error` | what stops a file |

mod batches;
mod csv;
mod error;
mod guard;
mod header;
mod json;
mod kept;
mod place;
mod skeleton;
mod source;
mod spool;
mod table;
mod value;

use std::io::Read;
use std::path::Path;

use serde::Serialize;

pub(crate) use batches::{Batch, BatchSize, in_batches, kept};
pub use batches::{ImportError, ImportReport};
pub use error::UploadError;
pub(crate) use guard::guarded;
pub(crate) use place::RowPlace;
pub(crate) use table::Table;
pub(crate) use value::{INEXACT, Value, is_inexact};

use self::csv::CsvRows;
use self::json::JsonRows;
use self::kept::Kept;
use self::source::Source;

/// How an upload is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table with a header line; codes may stand alone, one a line.
    Csv,
    /// An array, objects one after another, or a call such as `{"promocodes": […], …}`.
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

/// Why a row of an upload was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// The line that it stands on, counted from 1; the header is line 1.
    pub line: u64,
    /// JSON: the column on that line at which the row begins, in bytes, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// JSON: the row in its list, and the field in it: `promocodes[2]`, `[1].discount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The field, named as in an upload: `discount`; empty where the row as a whole is at fault.
    pub field: String,
    /// What was found and what is expected.
    pub message: String,
}

/// A row of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row<T> {
    /// It may be stored.
    Accepted(T),
    /// It may not. There is an error for each field at fault, never none, and it counts as one
    /// rejected row.
    Rejected(Vec<RowError>),
}

/// The rows of an upload.
pub(crate) struct Reader<R: Read, T: Table> {
    rows: Rows<R, T>,
    ended: bool,
}

enum Rows<R: Read, T: Table> {
    Csv(CsvRows<R, T>),
    Json(JsonRows<R, T>),
}

impl<R: Read, T: Table> Reader<R, T> {
    /// Opens an upload. It reads in blocks of its own, so the reader need not be buffered.
    /// Without a format, the first character that is not blank tells it.
    ///
    /// Fails where the beginning shows already that nothing can be read: another encoding than
    /// UTF-8, a CSV header that lacks a column or has unknown ones.
    pub(crate) fn new(
        reader: R,
        format: Option<Format>,
        table: T,
    ) -> Result<Reader<R, T>, UploadError> {
        let source = Source::open(reader)?;
        let rows = match format.unwrap_or_else(|| format_of(source.head())) {
            Format::Csv => Rows::Csv(CsvRows::open(source, table)?),
            Format::Json => Rows::Json(JsonRows::new(source, table)),
        };
        Ok(Reader { rows, ended: false })
    }

    /// The next row; `None` after the last one. After an error there are no more rows, though
    /// the file may hold some: who must have all or nothing discards what came before.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row<T::Row>>, UploadError> {
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

    /// Where the last row stands, if its line does not tell that.
    fn place(&self) -> Option<RowPlace> {
        match &self.rows {
            Rows::Csv(_) => None,
            Rows::Json(rows) => Some(rows.place()),
        }
    }
}

/// JSON begins with a bracket, and no row of CSV does.
fn format_of(head: &[u8]) -> Format {
    match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Format::Json,
        _ => Format::Csv,
    }
}

/// At most so much of the upload's own text stands in a message.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A column's name in lower case, without what stands between its words.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = text.to_lowercase();
    folded.retain(|c| !matches!(c, ' ' | '_' | '-'));
    folded
}

/// The name among these that was probably meant.
pub(crate) fn nearest(
    text: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let folded = fold(text);
    names
        .map(|name| (strsim::jaro_winkler(&folded, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
