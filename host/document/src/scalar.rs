//! Scalars. The text is kept as written, and the reader of a value decides what it means: `type:
//! 2026` and `country: no` are text where text is expected, and a phone number keeps its plus sign
//! and leading zeros.

use serde_json::{Number, Value};

use super::node::Position;

/// Text, a number, `true`, `false` or nothing.
#[derive(Clone, Debug)]
pub struct Scalar {
    text: String,
    plain: bool,
    origin: Origin,
    /// Start of a comment that is most likely part of the text.
    comment_start: Option<Position>,
}

/// The mapping from positions in a scalar's text to positions in the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// The text is a contiguous part of the file from this position.
    Exact(Position),
    /// A literal block (`|`): one line of text per line of the file, after an indentation.
    Lines {
        /// The line of the first line of text.
        line: u32,
        /// The indentation of the block, in columns.
        indent: u32,
    },
    /// Escapes or folded lines make other positions unknown; only the start is known.
    Beginning(Position),
}

impl Scalar {
    pub(super) fn new(text: String, plain: bool, origin: Origin) -> Scalar {
        Scalar {
            text,
            plain,
            origin,
            comment_start: None,
        }
    }

    /// Records that a comment begins at this position.
    pub(super) fn set_comment_start(&mut self, at: Position) {
        self.comment_start = Some(at);
    }

    /// Returns the start of a comment that would be part of the text if the text is meant for
    /// people.
    pub fn comment_start(&self) -> Option<Position> {
        self.comment_start
    }

    /// Returns the text: as in the file if unquoted, otherwise with escapes resolved.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if there is no value.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Returns the boolean, if the scalar is an unquoted `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    /// Converts the scalar to typed JSON. Only JSON numbers become numbers: `+380…`, `007`, `0x1F`
    /// and integers beyond 64 bits stay text, because converting them would lose what was written.
    pub fn to_json(&self) -> Value {
        if self.is_null() {
            return Value::Null;
        }
        if let Some(truth) = self.boolean() {
            return Value::Bool(truth);
        }
        match self.number() {
            Some(number) => Value::Number(number),
            None => Value::String(self.text.clone()),
        }
    }

    /// Names the kind of value for a message.
    pub fn kind(&self) -> &'static str {
        if self.is_null() {
            "nothing"
        } else if self.boolean().is_some() {
            "true or false"
        } else if self.number().is_some() {
            "a number"
        } else {
            "text"
        }
    }

    /// Maps a position in the text to a position in the file; lines and columns count from 1.
    pub fn locate(&self, line: usize, column: usize) -> Position {
        let line = u32::try_from(line.max(1) - 1).unwrap_or(u32::MAX);
        let column = u32::try_from(column.max(1) - 1).unwrap_or(u32::MAX);
        match self.origin {
            Origin::Exact(at) if line == 0 => Position {
                line: at.line,
                column: at.column.saturating_add(column),
            },
            Origin::Lines {
                line: first,
                indent,
            } => Position {
                line: first.saturating_add(line),
                column: indent.saturating_add(column).saturating_add(1),
            },
            Origin::Exact(at) | Origin::Beginning(at) => at,
        }
    }

    fn number(&self) -> Option<Number> {
        if !self.plain
            || !self
                .text
                .starts_with(|c: char| c == '-' || c.is_ascii_digit())
        {
            return None;
        }
        let number: Number = serde_json::from_str(&self.text).ok()?;
        let whole = !self.text.contains(['.', 'e', 'E']);
        (!whole || number.is_i64()).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scalar(text: &str, plain: bool) -> Scalar {
        Scalar::new(text.to_owned(), plain, Origin::Beginning(Position::START))
    }

    #[test]
    fn converts_only_json_numbers_to_numbers() {
        for (text, value) in [
            ("10", json!(10)),
            ("-0.5", json!(-0.5)),
            ("1e3", json!(1000.0)),
            ("+380501234567", json!("+380501234567")),
            ("007", json!("007")),
            ("0x1F", json!("0x1F")),
            ("1_000", json!("1_000")),
            (".5", json!(".5")),
            ("1e999", json!("1e999")),
            (
                "123456789012345678901234567890",
                json!("123456789012345678901234567890"),
            ),
            ("no", json!("no")),
            ("on", json!("on")),
            ("true", json!(true)),
            ("~", json!(null)),
        ] {
            assert_eq!(scalar(text, true).to_json(), value, "{text}");
            assert_eq!(scalar(text, false).to_json(), json!(text), "quoted {text}");
        }
    }

    #[test]
    fn maps_text_positions_to_file_positions() {
        let at = Position {
            line: 4,
            column: 10,
        };
        let exact = Scalar::new("abc".into(), true, Origin::Exact(at));
        assert_eq!(
            exact.locate(1, 3),
            Position {
                line: 4,
                column: 12
            }
        );
        let lines = Scalar::new("a\nb\n".into(), false, Origin::Lines { line: 5, indent: 2 });
        assert_eq!(lines.locate(2, 1), Position { line: 6, column: 3 });
        let folded = Scalar::new("a b".into(), false, Origin::Beginning(at));
        assert_eq!(folded.locate(9, 9), at);
    }
}
