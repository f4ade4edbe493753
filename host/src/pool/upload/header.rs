//! The columns' names, and what the first line of a CSV file is.

use super::UploadError;

/// The header of a full file, as it is asked for in messages and written by exports.
pub(in crate::pool) const HEADER: &str = "code,expirationDate,discount,type,inUse";

/// A column of CSV, or a key of a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Code,
    ExpirationDate,
    Discount,
    Type,
    InUse,
}

impl Column {
    /// In the order of [`HEADER`].
    const ALL: [Column; 5] = [
        Column::Code,
        Column::ExpirationDate,
        Column::Discount,
        Column::Type,
        Column::InUse,
    ];

    /// As uploads and errors name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Column::Code => "code",
            Column::ExpirationDate => "expirationDate",
            Column::Discount => "discount",
            Column::Type => "type",
            Column::InUse => "inUse",
        }
    }

    /// The column of this name, in any case, with or without spaces, `_` and `-` between words.
    pub(super) fn named(text: &str) -> Option<Column> {
        // Most names are written as here, and comparing costs less than folding.
        let exact = Column::ALL.into_iter().find(|column| column.name() == text);
        exact.or_else(|| {
            let folded = fold(text);
            let same = |column: &Column| column.name().eq_ignore_ascii_case(&folded);
            Column::ALL.into_iter().find(same)
        })
    }

    /// As [`named`](Self::named), for a heading: a lone `Promo codes` above a list is taken for
    /// what it is rather than for the first code of the list.
    fn heading(text: &str) -> Option<Column> {
        let is_code = || matches!(fold(text).as_str(), "codes" | "promocode" | "promocodes");
        Column::named(text).or_else(|| is_code().then_some(Column::Code))
    }
}

fn fold(text: &str) -> String {
    let mut folded = text.to_lowercase();
    folded.retain(|c| !matches!(c, ' ' | '_' | '-'));
    folded
}

/// "did you mean" for a name that is none, and all those that there are.
pub(super) fn hint(text: &str, others: &[&'static str]) -> String {
    let names = || others.iter().copied().chain(Column::ALL.map(Column::name));
    let folded = fold(text);
    let near = names()
        .map(|name| (strsim::jaro_winkler(&folded, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let all: Vec<&str> = names().collect();
    match near {
        Some((_, name)) => format!("did you mean `{name}`? There are {}", all.join(", ")),
        None => format!("there are {}", all.join(", ")),
    }
}

/// At most so much of the upload's own text stands in a message.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

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
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The column of each cell; `None` for one without a name, whose cells must be empty: what
    /// a spreadsheet leaves when all lines end in a delimiter.
    pub(super) columns: Vec<Option<Column>>,
    /// The first line is a header. Otherwise it is a code already.
    pub(super) has_header: bool,
}

/// Judges the first line.
pub(super) fn layout<'a>(
    line: u64,
    cells: impl Iterator<Item = &'a str>,
) -> Result<Layout, UploadError> {
    let cells: Vec<&str> = cells.map(trim).collect();
    let fault = |field: &str, message: String| UploadError::Header {
        line,
        field: shorten(field),
        message,
    };
    let mut columns: Vec<_> = cells.iter().map(|cell| Column::heading(cell)).collect();
    if columns.iter().all(Option::is_none) {
        let mut values = (0..cells.len()).filter(|at| !cells[*at].is_empty());
        if let (Some(only), None) = (values.next(), values.next()) {
            columns[only] = Some(Column::Code);
            return Ok(Layout {
                columns,
                has_header: false,
            });
        }
        let found = shorten(&cells.join(","));
        return Err(fault(
            "",
            format!(
                "`{found}` names no column; expected a header such as {HEADER}, or codes alone, one a line"
            ),
        ));
    }
    for (at, cell) in cells.iter().enumerate() {
        match columns[at] {
            Some(column) if columns[..at].contains(&Some(column)) => {
                let name = column.name();
                return Err(fault(
                    cell,
                    format!("the column `{name}` stands twice; keep one of them"),
                ));
            }
            None if !cell.is_empty() => {
                let name = shorten(cell);
                let message = format!("`{name}` is not a column; {}", hint(cell, &[]));
                return Err(fault(cell, message));
            }
            _ => {}
        }
    }
    if !columns.contains(&Some(Column::Code)) {
        let found = shorten(&cells.join(","));
        return Err(fault(
            "code",
            format!("there is no `code` column in `{found}`; expected a header such as {HEADER}"),
        ));
    }
    Ok(Layout {
        columns,
        has_header: true,
    })
}

/// The delimiter of a file: the one of its first line that makes the most known columns, and
/// among equals the one that stands there most often, outside quotes.
pub(super) fn delimiter(head: &[u8]) -> u8 {
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
                .is_ok_and(|text| Column::heading(text.trim().trim_matches('"').trim()).is_some())
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
