//! Rows out of CSV as people have it: any of three delimiters, columns in any order, some or
//! all of them missing, and the traces that spreadsheets leave.

use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::guard::unguarded;
use super::header::{Layout, delimiter, layout, trim};
use super::source::{MAX_ROW_BYTES, Source, not_utf8};
use super::table::{Draft, Table};
use super::{Row, RowPlace, UploadError, shorten};

/// The rows of a CSV file.
pub(super) struct CsvRows<R: Read, T: Table> {
    reader: Reader<Source<R>>,
    record: ByteRecord,
    /// The record is the first row of a file without a header, and not yet handed out.
    pending: bool,
    line: u64,
    columns: Vec<Option<T::Column>>,
    table: T,
}

impl<R: Read, T: Table> CsvRows<R, T> {
    /// Reads the first line.
    pub(super) fn open(source: Source<R>, table: T) -> Result<CsvRows<R, T>, UploadError> {
        let reader = ReaderBuilder::new()
            .delimiter(delimiter(&table, source.head()))
            .has_headers(false)
            // A row with too few or too many fields is refused alone, not the file.
            .flexible(true)
            .buffer_capacity(MAX_ROW_BYTES)
            .from_reader(source);
        let mut rows = CsvRows {
            reader,
            record: ByteRecord::new(),
            pending: false,
            line: 0,
            columns: Vec::new(),
            table,
        };
        if rows.read_record()? {
            let cells = rows.record.iter().map(text);
            let Layout {
                columns,
                has_header,
            } = layout(&rows.table, rows.line, cells)?;
            rows.columns = columns;
            rows.pending = !has_header;
        }
        Ok(rows)
    }

    /// The next row.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<T::Row>>, UploadError> {
        if !std::mem::take(&mut self.pending) && !self.read_record()? {
            return Ok(None);
        }
        let mut draft = Draft::new(RowPlace::line(self.line));
        let (found, expected) = (self.record.len(), self.columns.len());
        if found != expected {
            let s = if found == 1 { "" } else { "s" };
            let message =
                format!("found {found} field{s}, expected {expected} as in the first line");
            draft.reject("", message);
            return Ok(Some(draft.finish(&self.table, self.table.fill())));
        }
        for (column, cell) in self.columns.iter().zip(&self.record) {
            let value = unguarded(trim(text(cell)));
            match column {
                Some(column) => draft.read(&mut self.table, column, value),
                None if value.is_empty() => {}
                None => {
                    let value = shorten(value);
                    draft.reject(
                        "",
                        format!(
                            "`{value}` stands in a column without a name; name it or remove it"
                        ),
                    );
                }
            }
        }
        Ok(Some(draft.finish(&self.table, self.table.fill())))
    }

    /// Reads the next record that is not blank, and checks that it is UTF-8; false at the end.
    fn read_record(&mut self) -> Result<bool, UploadError> {
        loop {
            self.reader.get_mut().allow(2 * MAX_ROW_BYTES);
            let read = self.reader.read_byte_record(&mut self.record);
            let after = self.reader.position().line();
            if let Err(error) = read {
                let line = self.line + 1;
                return Err(if self.reader.get_ref().is_spent() {
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
            // The record's own position is before the blank lines that the reader skipped, so
            // the line is counted back from its end, which is always one line end.
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
            if self.record.iter().any(|cell| !cell.trim_ascii().is_empty()) {
                return Ok(true);
            }
        }
    }
}

/// The text of a cell; [`CsvRows::read_record`] has seen to it that it is one.
fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default()
}
