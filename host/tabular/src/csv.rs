//! Reads rows from CSV: any of three delimiters, columns in any order, missing columns, and the
//! artefacts that spreadsheets leave.

use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::delimiter::{delimiter, parse_sep_line};
use super::first_line::check_later_line;
use super::guard::unguarded;
use super::header::{CellRole, FirstLines, Layout, layout, names_columns, trim};
use super::schema::{RowBuilder, RowSchema};
use super::sniff::text_kind_of;
use super::source::{MAX_ROW_BYTES, Source, not_utf8};
use super::{CsvOptions, Row, RowLocation, UploadError, shorten};

/// Number of rows below the first line that are examined to classify it.
const SAMPLE_ROWS: usize = 100;
/// The byte order mark. Inside a file it shows that two files were joined.
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// The rows of a CSV file.
pub(super) struct CsvRows<R: Read, T: RowSchema> {
    reader: Reader<Source<R>>,
    record: ByteRecord,
    /// The record is the first row of a file without a header and has not been returned yet.
    pending: bool,
    line: u64,
    /// Number of lines skipped before the CSV reader started.
    skipped: u64,
    roles: Vec<CellRole<T::Column>>,
    /// The header, or `None` if the file has no header.
    header: Option<Vec<String>>,
    /// The caller described the first line, so words in later rows are not taken for headings.
    is_described: bool,
    /// The file has a single column of codes, and the delimiter was guessed rather than given.
    is_single_column: bool,
    accepted: u64,
    warnings: Vec<String>,
    table: T,
}

impl<R: Read, T: RowSchema> CsvRows<R, T> {
    /// Opens the file and reads its first line.
    pub(super) fn open(
        mut source: Source<R>,
        options: &CsvOptions,
        table: T,
    ) -> Result<CsvRows<R, T>, UploadError> {
        if let Some(kind) = text_kind_of(source.head()) {
            let blank = source
                .head()
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace());
            let line = 1 + blank.filter(|byte| **byte == b'\n').count() as u64;
            return Err(UploadError::NotCsv { line, kind });
        }
        let (mut skipped, mut separator) = (0, None);
        if let Some((stated, bytes, lines)) = parse_sep_line(source.head()) {
            (skipped, separator) = (lines, stated);
            source.consume(bytes);
        }
        let delimiter = delimiter(&table, options, separator, source.head());
        let below = sample(&source, delimiter);
        let reader = builder(delimiter)
            .buffer_capacity(MAX_ROW_BYTES)
            .from_reader(source);
        let mut rows = CsvRows {
            reader,
            record: ByteRecord::new(),
            pending: false,
            line: skipped,
            skipped,
            roles: Vec::new(),
            header: None,
            is_described: options.no_header || !options.columns.is_empty(),
            is_single_column: false,
            accepted: 0,
            warnings: Vec::new(),
            table,
        };
        if rows.read_record()? {
            let cells: Vec<&str> = rows.record.iter().map(|cell| trim(text(cell))).collect();
            let first = FirstLines {
                line: rows.line,
                cells: &cells,
                below: &below,
            };
            let Layout {
                roles,
                has_header,
                warnings,
            } = layout(&rows.table, options, &first)?;
            rows.is_single_column = roles.len() == 1
                && rows.table.bare_column().is_some()
                && options.delimiter.or(separator).is_none();
            rows.header = has_header.then(|| cells.into_iter().map(str::to_owned).collect());
            rows.roles = roles;
            rows.warnings = warnings;
            rows.pending = !has_header;
        }
        Ok(rows)
    }

    /// Returns the schema of the rows.
    pub(super) fn table(&self) -> &T {
        &self.table
    }

    /// Returns warnings about how the file was interpreted.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        if self.header.is_none() && self.accepted > 0 {
            let rows = match self.accepted {
                1 => T::PLURAL.strip_suffix('s').unwrap_or(T::PLURAL),
                _ => T::PLURAL,
            };
            warnings.push(format!("no heading: {} {rows}", self.accepted));
        }
        warnings
    }

    /// Returns the next row, or `None` at the end of the file.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<T::Row>>, UploadError> {
        if !std::mem::take(&mut self.pending) && !self.read_record()? {
            return Ok(None);
        }
        self.check_joined()?;
        let mut row_builder = RowBuilder::new(RowLocation::line(self.line));
        let (found, expected) = (self.record.len(), self.roles.len());
        if found != expected {
            let s = if found == 1 { "" } else { "s" };
            let message =
                format!("found {found} field{s}, expected {expected} as in the first line");
            row_builder.reject("", message);
            return Ok(Some(row_builder.finish(&self.table, self.table.defaults())));
        }
        for (role, cell) in self.roles.iter().zip(&self.record) {
            let value = unguarded(trim(text(cell)));
            match role {
                CellRole::Column(column) => {
                    if self.is_single_column && value.contains(['|', ';', '\t']) {
                        let message = format!(
                            "`{}` contains a character that may separate columns; name the \
                             delimiter with `--delimiter` (over HTTP `delimiter`)",
                            shorten(value)
                        );
                        row_builder.reject(T::name(column), message);
                        continue;
                    }
                    if self.header.is_none()
                        && !self.is_described
                        && let Err(reason) =
                            check_later_line(value, |text| self.table.is_made_of_words(text))
                    {
                        let message = format!(
                            "`{}` does not look like a {}: {reason}; if it is one, use `--no-header` \
                             (over HTTP `noHeader=true`)",
                            shorten(value),
                            T::PLURAL.strip_suffix('s').unwrap_or(T::PLURAL)
                        );
                        row_builder.reject(T::name(column), message);
                        continue;
                    }
                    row_builder.read(&mut self.table, column, value);
                }
                CellRole::Unnamed if !value.is_empty() => {
                    let value = shorten(value);
                    row_builder.reject(
                        "",
                        format!("`{value}` is in a column without a name; name it or remove it"),
                    );
                }
                CellRole::Unnamed | CellRole::Ignored => {}
            }
        }
        let row = row_builder.finish(&self.table, self.table.defaults());
        self.accepted += u64::from(matches!(row, Row::Accepted(_)));
        Ok(Some(row))
    }

    /// Rejects a repeated header or an inner byte order mark: two files were joined.
    fn check_joined(&self) -> Result<(), UploadError> {
        let header_error = |message: String| UploadError::Header {
            line: self.line,
            field: String::new(),
            message,
        };
        let cells = || self.record.iter().map(|cell| trim(text(cell)));
        let repeats = |header: &Vec<String>| {
            header.len() == self.record.len() && cells().eq(header.iter().map(String::as_str))
        };
        let is_header = match &self.header {
            Some(header) if repeats(header) => true,
            _ => !self.is_described && names_columns(&self.table, cells()),
        };
        if is_header {
            let shown: Vec<&str> = cells().collect();
            return Err(header_error(format!(
                "`{}` repeats the header; if two files were joined, upload them separately; if it \
                 is a row, describe the first line (`--column` or `--no-header`, over HTTP `column` \
                 or `noHeader`)",
                shorten(&shown.join(","))
            )));
        }
        let is_inside = |cell: &[u8]| {
            !cell.is_ascii()
                && trim(text(cell))
                    .as_bytes()
                    .windows(3)
                    .any(|three| three == BYTE_ORDER_MARK)
        };
        if self.record.iter().any(is_inside) {
            return Err(header_error(
                "a value contains a byte order mark: two files were joined without a line break \
                 between them; upload them separately"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Reads the next non-blank record and checks that it is UTF-8. Returns false at the end.
    fn read_record(&mut self) -> Result<bool, UploadError> {
        loop {
            self.reader.get_mut().allow(2 * MAX_ROW_BYTES);
            let read = self.reader.read_byte_record(&mut self.record);
            let after = self.reader.position().line() + self.skipped;
            if let Err(error) = read {
                let line = self.line + 1;
                return Err(if self.reader.get_ref().is_allowance_used() {
                    UploadError::TooLong {
                        line,
                        limit: MAX_ROW_BYTES,
                    }
                } else {
                    UploadError::Unreadable {
                        line,
                        source: error.into(),
                    }
                });
            }
            if self.record.is_empty() {
                return Ok(false);
            }
            // The reader's position is before the blank lines that it skipped, so the line number
            // is counted back from the end of the record, which is always one line break.
            let content = self.record.as_slice();
            let inside = content.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.line = after.saturating_sub(1 + inside).max(self.line + 1);
            if content.len() > MAX_ROW_BYTES {
                let limit = MAX_ROW_BYTES;
                return Err(UploadError::TooLong {
                    line: self.line,
                    limit,
                });
            }
            if !content.is_ascii()
                && let Some(cell) = self
                    .record
                    .iter()
                    .find(|cell| std::str::from_utf8(cell).is_err())
            {
                return Err(not_utf8(self.line, cell));
            }
            if self.record.iter().any(|cell| !trim(text(cell)).is_empty()) {
                return Ok(true);
            }
        }
    }
}

fn builder(delimiter: u8) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder
        .delimiter(delimiter)
        .has_headers(false)
        // Only a row with too few or too many fields is rejected, not the whole file.
        .flexible(true);
    builder
}

/// Returns the cells of the rows below the first line, as far as the first block holds them.
fn sample<R: Read>(source: &Source<R>, delimiter: u8) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for record in builder(delimiter)
        .from_reader(source.head())
        .into_byte_records()
    {
        let Ok(record) = record else {
            break;
        };
        let cells = record
            .iter()
            .map(|cell| trim(&String::from_utf8_lossy(cell)).to_owned());
        let cells: Vec<String> = cells.collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push(cells);
        }
        if rows.len() > SAMPLE_ROWS {
            break;
        }
    }
    // The last row may continue in the next block.
    if !source.is_whole() && rows.len() <= SAMPLE_ROWS {
        rows.pop();
    }
    rows.drain(..rows.len().min(1));
    rows
}

/// Returns the text of a cell, which [`CsvRows::read_record`] has checked.
fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default()
}
