//! Options that describe a CSV file whose format is not evident.

/// Options for reading a CSV file. Anything left out is detected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// The column delimiter.
    pub delimiter: Option<u8>,
    /// The first line is a row.
    pub no_header: bool,
    /// The roles of columns.
    pub columns: Vec<StatedColumn>,
}

/// The role of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedColumn {
    /// The field as named in an upload; [`StatedColumn::IGNORE`] for none.
    pub field: String,
    /// The heading as written in the file, or, if the file has no heading, the column number
    /// counted from 1.
    pub heading: String,
}

impl StatedColumn {
    /// The field name of a column that is not read.
    pub const IGNORE: &'static str = "ignore";

    /// Parses a text such as `code=Coupon Code`.
    ///
    /// # Errors
    ///
    /// Returns what is expected if the text does not have this form.
    pub fn parse(text: &str) -> Result<StatedColumn, String> {
        match text.split_once('=') {
            Some((field, heading)) if !field.trim().is_empty() && !heading.trim().is_empty() => {
                Ok(StatedColumn {
                    field: field.trim().to_owned(),
                    heading: heading.trim().to_owned(),
                })
            }
            _ => Err(format!(
                "`{}` is not a column mapping; expected a field and a heading, such as \
                 code=Coupon, or ignore=Notes",
                super::shorten(text)
            )),
        }
    }
}

impl CsvOptions {
    /// Parses a delimiter: one ASCII character other than a letter, a digit or a quote, or `tab`.
    ///
    /// # Errors
    ///
    /// Returns what is expected if the text is not a delimiter.
    pub fn parse_delimiter(text: &str) -> Result<u8, String> {
        match text.as_bytes() {
            [b' '] => Ok(b' '),
            _ if matches!(text, "tab" | "\\t" | "\t") => Ok(b'\t'),
            [one] if one.is_ascii() && can_delimit(*one) => Ok(*one),
            _ => Err(format!(
                "`{}` is not a delimiter; expected one character, such as | or ;, or the word tab",
                super::shorten(text)
            )),
        }
    }
}

/// Returns true if the byte may delimit columns.
pub(super) fn can_delimit(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r' | 0) && byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_column_mappings_and_delimiters() {
        let column = StatedColumn::parse("code = Coupon=Code ").unwrap();
        assert_eq!((&*column.field, &*column.heading), ("code", "Coupon=Code"));
        for text in ["code", "=x", "code=", ""] {
            assert!(StatedColumn::parse(text).is_err(), "{text}");
        }
        assert_eq!(CsvOptions::parse_delimiter("|"), Ok(b'|'));
        assert_eq!(CsvOptions::parse_delimiter("tab"), Ok(b'\t'));
        assert_eq!(CsvOptions::parse_delimiter(" "), Ok(b' '));
        for text in ["", "ab", "a", "1", "\"", "\n", "é"] {
            assert!(CsvOptions::parse_delimiter(text).is_err(), "{text}");
        }
    }
}
