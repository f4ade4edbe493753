//! The first line of a CSV file: which columns there are, and what stands between them.

use super::table::Table;
use super::{UploadError, shorten};

/// A value without the spaces around it, and without quotes that a space kept from being
/// read as quotes: `A1, "General"`.
pub(super) fn trim(cell: &str) -> &str {
    let trimmed = cell.trim();
    let spaced = cell.starts_with([' ', '\t']);
    match trimmed.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) if spaced => inner.trim(),
        _ => trimmed,
    }
}

/// What the first line says of a file.
pub(super) struct Layout<C> {
    /// The column of each cell; `None` for one without a name, whose cells must be empty: what
    /// a spreadsheet leaves when all lines end in a delimiter.
    pub(super) columns: Vec<Option<C>>,
    /// The first line is a header. Otherwise it is a row already.
    pub(super) has_header: bool,
}

/// Judges the first line.
pub(super) fn layout<'a, T: Table>(
    table: &T,
    line: u64,
    cells: impl Iterator<Item = &'a str>,
) -> Result<Layout<T::Column>, UploadError> {
    let cells: Vec<&str> = cells.map(trim).collect();
    let fault = |field: &str, message: String| UploadError::Header {
        line,
        field: shorten(field),
        message,
    };
    let columns: Vec<_> = cells.iter().map(|cell| table.heading(cell)).collect();
    if columns.iter().all(Option::is_none) {
        return match table.headless(&cells) {
            Some(columns) => Ok(Layout {
                columns,
                has_header: false,
            }),
            None => {
                let found = shorten(&cells.join(","));
                let (header, or_else) = (T::HEADER, T::OR_ELSE);
                let message = format!(
                    "`{found}` names no column; expected a header such as {header}{or_else}"
                );
                Err(fault("", message))
            }
        };
    }
    for (at, cell) in cells.iter().enumerate() {
        match &columns[at] {
            Some(column) if columns[..at].iter().flatten().any(|other| other == column) => {
                let name = T::name(column);
                return Err(fault(
                    cell,
                    format!("the column `{name}` stands twice; keep one of them"),
                ));
            }
            None if !cell.is_empty() => {
                let name = shorten(cell);
                let message = format!("`{name}` is not a column; {}", table.hint(cell, &[]));
                return Err(fault(cell, message));
            }
            _ => {}
        }
    }
    match table.lacks(&columns, &shorten(&cells.join(","))) {
        Some((field, message)) => Err(fault(&field, message)),
        None => Ok(Layout {
            columns,
            has_header: true,
        }),
    }
}

/// The delimiter of a file: the one of its first line that makes the most known columns, and
/// among equals the one that stands there most often, outside quotes.
pub(super) fn delimiter<T: Table>(table: &T, head: &[u8]) -> u8 {
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    let score = |delimiter: u8| {
        let mut quoted = false;
        let cells: Vec<&[u8]> = line
            .split(|byte| {
                quoted ^= *byte == b'"';
                *byte == delimiter && !quoted
            })
            .collect();
        let is_known = |cell: &&[u8]| {
            std::str::from_utf8(cell)
                .is_ok_and(|text| table.is_known(text.trim().trim_matches('"').trim()))
        };
        (
            cells.iter().copied().filter(|cell| is_known(cell)).count(),
            cells.len(),
        )
    };
    // The last of equals wins, and it is the comma.
    let candidates = [b'\t', b';', b','];
    candidates
        .into_iter()
        .max_by_key(|byte| score(*byte))
        .unwrap_or(b',')
}
