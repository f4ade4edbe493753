//! Reads uploads of codes. The file formats are shared by all uploads; this module defines the
//! columns of codes and the checks of their values.
//!
//! | module | holds |
//! | --- | --- |
//! | `header` | the names of columns |
//! | `headings` | their names in other languages and systems |
//! | `fields` | the checks of values |

mod fields;
mod header;
mod headings;
#[cfg(test)]
mod tests;

use std::io::Read;

pub(super) use header::HEADER;

use self::fields::CodeSchema;
use super::{Calendar, DateFormat, Row};
use crate::clock::Timestamp;
use promoflow_tabular::{CsvOptions, Format, Reader, UploadError};

/// Options for reading an upload, and values for columns that the file lacks.
///
/// A default applies to a column that the file lacks (JSON: to a value that is absent or null). An
/// empty cell of an existing column means the built-in default instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadOptions {
    /// The format; if `None`, detected from the first non-blank character.
    pub format: Option<Format>,
    /// Options for CSV files.
    pub csv: CsvOptions,
    /// The date format, for dates that are ambiguous otherwise.
    pub date_format: Option<DateFormat>,
    /// The default type.
    pub code_type: Option<String>,
    /// The default discount, 0 to [`MAX_DISCOUNT`](super::MAX_DISCOUNT).
    pub discount: Option<u8>,
    /// The default expiry.
    pub expires: Option<Timestamp>,
    /// The default of `inUse`.
    pub in_use: Option<bool>,
}

/// The rows of an upload.
pub struct UploadReader<R: Read>(Reader<R, CodeSchema>);

/// Opens an upload; fails like [`UploadReader::new`].
pub fn open<R: Read>(
    reader: R,
    options: UploadOptions,
    calendar: Calendar,
) -> Result<Reader<R, CodeSchema>, UploadError> {
    let (format, csv) = (options.format, options.csv.clone());
    Reader::new(reader, format, &csv, CodeSchema::new(options, calendar)?)
}

impl<R: Read> UploadReader<R> {
    /// Opens an upload. The reader need not be buffered.
    ///
    /// # Errors
    ///
    /// Fails if the beginning already shows that the file cannot be read: an encoding other than
    /// UTF-8, a CSV header without a `code` column or with unknown ones, or a default out of range.
    pub fn new(
        reader: R,
        options: UploadOptions,
        calendar: Calendar,
    ) -> Result<UploadReader<R>, UploadError> {
        open(reader, options, calendar).map(UploadReader)
    }

    /// Returns the next row, or `None` after the last one. After an error there are no more rows,
    /// even if the file has some; an all-or-nothing caller must discard the rows before it.
    pub fn next_row(&mut self) -> Result<Option<Row>, UploadError> {
        self.0.next_row()
    }
}
