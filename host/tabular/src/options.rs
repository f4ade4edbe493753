//! What the author of a CSV file states of it, where it does not say so itself.

/// How a CSV file is to be read. What is not stated, the file tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// What stands between columns.
    pub delimiter: Option<u8>,
    /// The first line is a row.
    pub no_header: bool,
    /// What the columns are.
    pub columns: Vec<StatedColumn>,
}

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedColumn {
    /// The field, named as in an upload; [`StatedColumn::IGNORE`] for none.
    pub field: String,
    /// The heading as the file has it, or the number of the column, counted from 1, where the file
    /// has no heading.
    pub heading: String,
}

impl StatedColumn {
    /// The field of a column that is not read.
    pub const IGNORE: &'static str = "ignore";

    /// Reads `code=Coupon Code`.
    ///
    /// # Errors
    ///
    /// Tells what is expected where it is not of that form.
    pub fn parse(text: &str) -> Result<StatedColumn, String> {
        match text.split_once('=') {
            Some((field, heading)) if !field.trim().is_empty() && !heading.trim().is_empty() => {
                Ok(StatedColumn {
                    field: field.trim().to_owned(),
                    heading: heading.trim().to_owned(),
                })
            }
            _ => Err(format!(
                "`{}` states no column; expected a field and a heading, such as code=Coupon, or \
                 ignore=Notes",
                super::shorten(text)
            )),
        }
    }
}

impl CsvOptions {
    /// Reads a delimiter: one character of ASCII that is neither letter, digit nor quote, or `tab`.
    ///
    /// # Errors
    ///
    /// Tells what is expected where it is none.
    pub fn parse_delimiter(text: &str) -> Result<u8, String> {
        match text.as_bytes() {
            [b' '] => Ok(b' '),
            _ if matches!(text, "tab" | "\\t" | "\t") => Ok(b'\t'),
            [one] if one.is_ascii() && can_delimit(*one) => Ok(*one),
            _ => Err(format!(
                "`{}` delimits no columns; expected one character, such as | or ;, or the word tab",
                super::shorten(text)
            )),
        }
    }
}

/// Whether columns may be delimited by it.
pub(super) fn can_delimit(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r' | 0) && byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_they_are_written() {
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
