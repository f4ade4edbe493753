//! Detects the delimiter of a CSV file.

use super::header::{FirstLines, trim};
use super::options::can_delimit;
use super::schema::RowSchema;
use super::{CsvOptions, UploadError, fold, text};

/// Delimiters that are detected automatically. The last one wins a tie.
const DELIMITERS: [u8; 3] = [b'\t', b';', b','];
/// Other delimiters that an error message suggests.
const OTHER_DELIMITERS: [char; 10] = ['|', '^', '~', '\u{1F}', '\u{1}', ':', '/', '=', '#', ' '];

/// Parses the line `sep=;` that names the delimiter for spreadsheets. Returns the delimiter and the
/// number of bytes and lines to skip, including blank lines before it.
pub(super) fn parse_sep_line(head: &[u8]) -> Option<(Option<u8>, usize, u64)> {
    let start = head.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let length = head[start..].iter().position(|byte| *byte == b'\n');
    let end = length.map_or(head.len(), |at| start + at + 1);
    let line = std::str::from_utf8(&head[start..end])
        .ok()?
        .trim_end_matches('\n');
    let line = line
        .trim_start_matches(text::is_invisible)
        .trim_matches('"');
    let (word, rest) = line.split_once('=')?;
    if !word.trim().eq_ignore_ascii_case("sep") {
        return None;
    }
    let rest = rest.trim_matches('"');
    let stated = match rest.trim_matches(' ').chars().next() {
        _ if rest.starts_with("\\t") => Some(b'\t'),
        Some(c) => Some(u8::try_from(c).ok().filter(|byte| can_delimit(*byte))?),
        None if rest.starts_with(' ') => Some(b' '),
        None => None,
    };
    // The spreadsheet may pad the line with its own delimiters.
    let mut behind = rest.trim_matches(' ').trim_start_matches("\\t").chars();
    if behind.any(char::is_alphanumeric) {
        return None;
    }
    let lines = head[..end].iter().filter(|byte| **byte == b'\n').count() as u64;
    Some((stated, end, lines))
}

/// Returns the delimiter of a file: the one that splits the first line into the most known columns;
/// in a tie, the one that occurs most often outside quotes.
/// `separator`: the delimiter named by a `sep=` line, unless the header contradicts it.
pub(super) fn delimiter<T: RowSchema>(
    table: &T,
    options: &CsvOptions,
    separator: Option<u8>,
    head: &[u8],
) -> u8 {
    if let Some(stated) = options.delimiter {
        return stated;
    }
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    let stated: Vec<String> = options
        .columns
        .iter()
        .map(|column| fold(&column.heading))
        .collect();
    let score = |delimiter: u8| {
        let mut quoted = false;
        let cells: Vec<&[u8]> = line
            .split(|byte| {
                quoted ^= *byte == b'"';
                *byte == delimiter && !quoted
            })
            .collect();
        let is_known = |cell: &&[u8]| {
            std::str::from_utf8(cell).is_ok_and(|text| {
                let text = trim(text).trim_matches('"');
                table.is_known(text) || (!text.is_empty() && stated.contains(&fold(text)))
            })
        };
        (
            cells.iter().copied().filter(|cell| is_known(cell)).count(),
            cells.len(),
        )
    };
    let found = DELIMITERS
        .into_iter()
        .max_by_key(|byte| score(*byte))
        .unwrap_or(b',');
    match separator {
        Some(separator) if score(separator).0 >= score(found).0 => separator,
        _ => found,
    }
}

/// Returns an error if another delimiter would split the only cell of the first line into known
/// columns.
pub(super) fn delimiter_error<T: RowSchema>(
    table: &T,
    first: &FirstLines<'_>,
) -> Option<UploadError> {
    let [cell] = first.cells else {
        return None;
    };
    let known = |delimiter: char| {
        let parts: Vec<&str> = cell.split(delimiter).map(trim).collect();
        let known = parts.iter().filter(|part| table.is_known(part)).count();
        (known, parts.len())
    };
    for delimiter in DELIMITERS {
        let (known, parts) = known(char::from(delimiter));
        if known > 0 && parts > 1 {
            let message = format!(
                "`{}` is quoted as a whole but holds several columns; export the file without \
                 these quotes",
                first.shown()
            );
            return Some(first.header_error("", message));
        }
    }
    let found = OTHER_DELIMITERS.into_iter().find(|delimiter| {
        let (known, parts) = known(*delimiter);
        let certain = !matches!(delimiter, ':' | '/' | '=' | '#' | ' ');
        parts > 1 && (known == parts || certain && known > 0)
    })?;
    let (line, preview) = (first.shown(), first.preview());
    let found = found.escape_default();
    let message = format!(
        "`{line}` names no column; `{found}` seems to separate the columns: use \
         `--delimiter '{found}'` (over HTTP `delimiter`); {preview}"
    );
    Some(first.header_error("", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_sep_line_of_spreadsheets() {
        for (head, expected) in [
            ("sep=;\ncode;type\n", Some((Some(b';'), 6, 1))),
            ("\"sep=;\"\nx", Some((Some(b';'), 8, 1))),
            ("\nSEP=,\nx", Some((Some(b','), 7, 2))),
            ("sep=\t\nx", Some((Some(b'\t'), 6, 1))),
            ("sep=\\t\nx", Some((Some(b'\t'), 7, 1))),
            ("\u{200B}sep=|\nx", Some((Some(b'|'), 9, 1))),
            ("sep=;;;;\nx", Some((Some(b';'), 9, 1))),
            ("sep=\nx", Some((None, 5, 1))),
            ("sep=;", Some((Some(b';'), 5, 0))),
            ("sep=A1\nx", None),
            ("separator=;\nx", None),
            ("code\nsep=;", None),
            ("", None),
        ] {
            assert_eq!(parse_sep_line(head.as_bytes()), expected, "{head:?}");
        }
    }
}
