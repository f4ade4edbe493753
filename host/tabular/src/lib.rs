//! Uploads: reads rows from a CSV or JSON file in constant memory.
//!
//! A `Reader` returns one [`Row`] after another. Each row is accepted or rejected on its own; an
//! [`UploadError`] concerns the whole file and stops it. A `RowSchema` defines the rows (promo codes,
//! contacts).
//!
//! | module | holds |
//! | --- | --- |
//! | `source` | the bytes: encoding, line endings, maximum row length |
//! | `schema` | the interface to a kind of rows: columns and value checks |
//! | `options` | options of a CSV file |
//! | `sniff` | detection of files that are not tables |
//! | `delimiter` | the delimiter of a CSV file |
//! | `header` | the header of a CSV file |
//! | `first_line` | whether a first line without a known heading is a row |
//! | `csv` | rows from CSV |
//! | `text` | cleaning of values |
//! | `location` | the location of a row in its file |
//! | `json_scanner` | splitting JSON into values |
//! | `value` | one JSON value, read by serde |
//! | `json` | rows from JSON |
//! | `row_buffer` | a buffer for rows that precede the attributes of their call |
//! | `atomic` | a buffer for all-or-nothing uploads |
//! | `batches` | batches of rows for the store |
//! | `error` | errors that stop a file |
//!
//! ```
//! assert_eq!(promoflow_tabular::clean_exact(" SPRING-1 "), "SPRING-1");
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod atomic;
mod csv;
mod delimiter;
mod error;
mod first_line;
mod guard;
mod header;
mod json;
mod json_scanner;
mod location;
mod options;
mod row_buffer;
mod schema;
mod sniff;
mod source;
mod text;
mod value;

use std::io::Read;
use std::path::Path;

use icu_normalizer::DecomposingNormalizerBorrowed;
use serde::Serialize;

pub use error::UploadError;
pub use guard::guarded;
pub use location::RowLocation;
pub use options::{CsvOptions, StatedColumn};
pub use schema::RowSchema;
pub use text::{
    clean_exact, clean_readable, describe_non_value, is_invisible, is_placeholder, is_scientific,
    parse_bool, trim,
};
pub use value::{INEXACT, Value, is_inexact};

pub use self::atomic::BufferedUpload;
use self::csv::CsvRows;
use self::json::JsonRows;
use self::source::Source;

/// The format of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table with a header line; a list of codes, one per line, needs none.
    Csv,
    /// An array, a sequence of objects, or a call such as `{"promocodes": […], …}`.
    Json,
}

impl Format {
    /// Returns the format that a file extension names, or `None` for other extensions.
    pub fn of_path(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "tsv" | "txt" => Some(Format::Csv),
            "json" | "jsonl" | "ndjson" => Some(Format::Json),
            _ => None,
        }
    }
}

/// The reason why a row was rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// The line of the row, counted from 1; the header is line 1.
    pub line: u64,
    /// JSON: the column where the row starts, in bytes, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// JSON: the path of the row and the field: `promocodes[2]`, `[1].discount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The field as named in an upload, such as `discount`; empty if the error is about the whole
    /// row.
    pub field: String,
    /// The value found and the expected one.
    pub message: String,
}

/// A row of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row<T> {
    /// The row is valid.
    Accepted(T),
    /// The row is invalid. There is at least one error, one for each invalid field; together they
    /// count as one rejected row.
    Rejected(Vec<RowError>),
}

/// The rows of an upload.
pub struct Reader<R: Read, T: RowSchema> {
    rows: Rows<R, T>,
    /// Number of rows returned so far.
    read: u64,
    ended: bool,
}

enum Rows<R: Read, T: RowSchema> {
    Csv(CsvRows<R, T>),
    Json(JsonRows<R, T>),
}

impl<R: Read, T: RowSchema> Reader<R, T> {
    /// Opens an upload. The reader need not be buffered. Without a format, it is detected from the
    /// first non-blank character.
    ///
    /// # Errors
    ///
    /// Fails if the beginning already shows that the file cannot be read: another kind of file, an
    /// encoding other than UTF-8, or a CSV header that lacks a column or has unknown ones.
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

    /// Returns the next row, or `None` after the last one. After an error there are no more rows,
    /// even if the file has some; an all-or-nothing caller must discard the rows before it.
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

    /// Returns warnings about a file that was read to its end.
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

    /// Returns the location of the last row, if its line number alone does not identify it.
    pub fn place(&self) -> Option<RowLocation> {
        match &self.rows {
            Rows::Csv(_) => None,
            Rows::Json(rows) => Some(rows.place()),
        }
    }
}

/// Detects the format: JSON starts with a bracket, CSV never does.
fn format_of(head: &[u8]) -> Format {
    match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Format::Json,
        _ => Format::Csv,
    }
}

/// Returns at most 40 characters of the text, for messages.
pub fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Normalises a name for comparison: drops case, accents, spaces and marks. Column separators are
/// kept, so that two joined names match nothing.
pub fn fold(text: &str) -> String {
    // A trailing colon ends a label and separates nothing.
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

/// Returns the most similar of these names, if one is similar enough.
pub fn nearest(text: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let folded = fold(text);
    names
        .map(|name| (strsim::jaro_winkler(&folded, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
