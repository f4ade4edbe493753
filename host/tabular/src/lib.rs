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
//! | `options` | what the author states of a CSV file |
//! | `sniff` | files that are no table at all |
//! | `delimiter` | what stands between the columns of a CSV file |
//! | `header` | the first line of a CSV file |
//! | `first_line` | whether a first line without a known heading is a row |
//! | `csv` | rows out of CSV |
//! | `text` | values without what nobody sees |
//! | `place` | where a row stands in its file |
//! | `skeleton` | the brackets and commas of JSON, value by value |
//! | `value` | one value of JSON, read by serde |
//! | `json` | rows out of JSON |
//! | `spool` | rows that wait for attributes which stand after them |
//! | `kept` | uploads that are all or nothing, before the store takes any of them |
//! | `error` | what stops a file |

mod csv;
mod delimiter;
mod error;
mod first_line;
mod guard;
mod header;
mod json;
mod kept;
mod options;
mod place;
mod skeleton;
mod sniff;
mod source;
mod spool;
mod table;
mod text;
mod value;

use std::io::Read;
use std::path::Path;

use icu_normalizer::DecomposingNormalizerBorrowed;
use serde::Serialize;

pub use error::UploadError;
pub use guard::guarded;
pub use options::{CsvOptions, StatedColumn};
pub use place::RowPlace;
pub use table::Table;
pub use text::{exact, is_scientific, mistaken, readable, trim};
pub use value::{INEXACT, Value, is_inexact};

use self::csv::CsvRows;
use self::json::JsonRows;
pub use self::kept::Kept;
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
pub struct Reader<R: Read, T: Table> {
    rows: Rows<R, T>,
    /// Rows that were handed out.
    read: u64,
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
    /// Fails where the beginning shows already that nothing can be read: a file of another kind,
    /// another encoding than UTF-8, a CSV header that lacks a column or has unknown ones.
    pub fn new(
        reader: R,
        format: Option<Format>,
        csv: &CsvOptions,
        table: T,
    ) -> Result<Reader<R, T>, UploadError> {
        let source = Source::open(reader)?;
        let rows = match format.unwrap_or_else(|| format_of(source.head())) {
            Format::Csv => Rows::Csv(CsvRows::open(source, csv, table)?),
            Format::Json => Rows::Json(JsonRows::new(source, table)),
        };
        Ok(Reader {
            rows,
            read: 0,
            ended: false,
        })
    }

    /// The next row; `None` after the last one. After an error there are no more rows, though
    /// the file may hold some: who must have all or nothing discards what came before.
    pub fn next_row(&mut self) -> Result<Option<Row<T::Row>>, UploadError> {
        if self.ended {
            return Ok(None);
        }
        let (row, stop) = match &mut self.rows {
            Rows::Csv(rows) => (rows.next_row(), rows.table().stop()),
            Rows::Json(rows) => (rows.next_row(), rows.table().stop()),
        };
        let row = match (row, stop) {
            (Ok(Some(Row::Rejected(errors))), Some((field, message))) => Err(UploadError::Value {
                line: errors.first().map_or(1, |error| error.line),
                field,
                message,
            }),
            (row, _) => row,
        };
        self.read += u64::from(matches!(row, Ok(Some(_))));
        self.ended = !matches!(row, Ok(Some(_)));
        row
    }

    /// What the author should know of a file that was read to its end, though it was read.
    pub fn warnings(&self) -> Vec<String> {
        let (mut warnings, table) = match &self.rows {
            Rows::Csv(rows) => (rows.warnings(), rows.table()),
            Rows::Json(rows) => (Vec::new(), rows.table()),
        };
        if self.read == 0 {
            warnings.push(format!(
                "the file is empty: there are no {} in it",
                T::PLURAL
            ));
        }
        warnings.extend(table.warnings());
        warnings
    }

    /// Where the last row stands, if its line does not tell that.
    pub fn place(&self) -> Option<RowPlace> {
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
pub fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A name without what people write differently: case, accents, spaces, marks. What may separate
/// columns stays, so that two names together are none.
pub fn fold(text: &str) -> String {
    // What ends a label separates nothing.
    let text = text.trim_end().trim_end_matches([':', ' ']);
    let is_part = |c: &char| {
        let separates = matches!(c, '|' | ';' | ',' | '^' | '~' | '=' | '/' | ':' | '\t');
        c.is_alphanumeric() || *c == '%' || separates
    };
    if text.is_ascii() {
        let small = text.chars().filter(is_part);
        return small.map(|c| c.to_ascii_lowercase()).collect();
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd();
    let decomposed = decomposed.normalize(&text.to_lowercase()).into_owned();
    decomposed.chars().filter(is_part).collect()
}

/// The name among these that was probably meant.
pub fn nearest(text: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let folded = fold(text);
    names
        .map(|name| (strsim::jaro_winkler(&folded, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
