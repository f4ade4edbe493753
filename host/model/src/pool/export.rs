//! Writes codes as CSV that imports unchanged.

use std::io::{self, Write};

use super::Calendar;
use super::upload::HEADER;
use crate::clock::Timestamp;
use promoflow_tabular::guarded;

/// A code in an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportRow<'a> {
    /// The code.
    pub code: &'a str,
    /// The moment from which the code is no longer valid; [`Timestamp::NEVER`] is written as an
    /// empty cell.
    pub expires: Timestamp,
    /// 0 to [`MAX_DISCOUNT`](super::MAX_DISCOUNT).
    pub discount: u8,
    /// The type.
    pub code_type: &'a str,
    /// True for claimed and retired codes.
    pub in_use: bool,
}

/// Writes codes as CSV: a header, then one line per code.
///
/// Values are written as they are. With [`for_spreadsheet`](Self::for_spreadsheet), a value that a
/// spreadsheet would read as a formula, such as a code that starts with `=`, gets a leading quote;
/// an upload removes it again.
pub struct ExportWriter<W: Write> {
    csv: csv::Writer<W>,
    calendar: Calendar,
    for_spreadsheet: bool,
    /// The last expiry and its text, because expiries repeat from row to row.
    last: (Timestamp, String),
}

impl<W: Write> ExportWriter<W> {
    /// Creates a writer and writes the header. `writer` need not be buffered.
    pub fn new(writer: W, calendar: Calendar) -> io::Result<ExportWriter<W>> {
        let mut csv = csv::Writer::from_writer(writer);
        csv.write_record(HEADER.split(','))?;
        Ok(ExportWriter {
            csv,
            calendar,
            for_spreadsheet: false,
            last: (Timestamp::NEVER, String::new()),
        })
    }

    /// Sets whether values that a spreadsheet would read as formulas get a leading quote.
    #[must_use]
    pub fn for_spreadsheet(mut self, yes: bool) -> ExportWriter<W> {
        self.for_spreadsheet = yes;
        self
    }

    /// Writes a row.
    pub fn write(&mut self, row: &ExportRow<'_>) -> io::Result<()> {
        if self.last.0 != row.expires {
            let text = self.calendar.format_expiry(row.expires).unwrap_or_default();
            self.last = (row.expires, text);
        }
        let discount = row.discount.to_string();
        let in_use = if row.in_use { "true" } else { "false" };
        let [code, code_type] =
            [row.code, row.code_type].map(|text| guarded(text, self.for_spreadsheet));
        self.csv
            .write_record([&*code, &self.last.1, &discount, &*code_type, in_use])?;
        Ok(())
    }

    /// Flushes the buffer and returns the underlying writer. If this call is omitted, an error at
    /// the end, such as a full disk, goes unnoticed.
    pub fn finish(self) -> io::Result<W> {
        self.csv.into_inner().map_err(|error| error.into_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_header_and_a_line_per_code() {
        let calendar = Calendar::new(chrono_tz::Europe::Kyiv);
        let mut writer = ExportWriter::new(Vec::new(), calendar).unwrap();
        let row = ExportRow {
            code: "A,1",
            expires: Timestamp(1_798_754_400_000),
            discount: 10,
            code_type: "birthday",
            in_use: true,
        };
        let forever = ExportRow {
            code: "=B2",
            expires: Timestamp::NEVER,
            in_use: false,
            ..row
        };
        for row in [row, forever, row] {
            writer.write(&row).unwrap();
        }
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        assert_eq!(
            text,
            "code,expirationDate,discount,type,inUse\n\
             \"A,1\",2026-12-31T23:59,10,birthday,true\n\
             =B2,,10,birthday,false\n\
             \"A,1\",2026-12-31T23:59,10,birthday,true\n"
        );
    }

    #[test]
    fn an_empty_export_is_a_header() {
        let writer = ExportWriter::new(Vec::new(), Calendar::new(chrono_tz::Tz::UTC)).unwrap();
        assert_eq!(
            writer.finish().unwrap(),
            b"code,expirationDate,discount,type,inUse\n"
        );
    }
}
