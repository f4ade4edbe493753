//! Reading an upload of codes. The formats are those of all uploads; here stands what its columns
//! are, and what their values must be.
//!
//! | module | holds |
//! | --- | --- |
//! | `header` | the columns' names |
//! | `headings` | what else they are called |
//! | `fields` | what a value must look like |

mod fields;
mod header;
mod headings;
#[cfg(test)]
mod tests;

use std::io::Read;

pub(super) use header::HEADER;

use self::fields::Judge;
use super::{Calendar, DateFormat, Row};
use crate::clock::Timestamp;
use promoflow_tabular::{CsvOptions, Format, Reader, UploadError};

/// How an upload is read, and what is put where it states nothing.
///
/// A fill is for a column that the file lacks (JSON: for a value that is absent or null). An
/// empty cell of a column that is there states the default and is not filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadOptions {
    /// The format; told from the first character that is not blank where `None`.
    pub format: Option<Format>,
    /// What a CSV file does not say of itself.
    pub csv: CsvOptions,
    /// How dates are written, where that is not plain.
    pub date_format: Option<DateFormat>,
    /// The type to fill in.
    pub code_type: Option<String>,
    /// The discount to fill in, 0 to [`MAX_DISCOUNT`](super::MAX_DISCOUNT).
    pub discount: Option<u8>,
    /// The expiry to fill in.
    pub expires: Option<Timestamp>,
    /// The `inUse` to fill in.
    pub in_use: Option<bool>,
}

/// The rows of an upload.
pub struct UploadReader<R: Read>(Reader<R, Judge>);

/// Opens an upload; fails as [`UploadReader::new`] does.
pub fn open<R: Read>(
    reader: R,
    options: UploadOptions,
    calendar: Calendar,
) -> Result<Reader<R, Judge>, UploadError> {
    let (format, csv) = (options.format, options.csv.clone());
    Reader::new(reader, format, &csv, Judge::new(options, calendar)?)
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
        open(reader, options, calendar).map(UploadReader)
    }

    /// The next row; `None` after the last one. After an error there are no more rows, though
    /// the file may hold some: who must have all or nothing discards what came before.
    pub fn next_row(&mut self) -> Result<Option<Row>, UploadError> {
        self.0.next_row()
    }
}
