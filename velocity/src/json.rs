//! Parses JSON values.
//!
//! Templates print numbers as they were written: 10 is not 10.0, and 30 digits stay 30 digits.
//! General JSON parsers turn the latter into a double, so this crate has its own parser.

use crate::error::{Error, Pos};
use crate::value::{Map, Value};

/// Maximum nesting of a JSON text, as in other parsers.
const MAX_JSON_DEPTH: u32 = 128;

impl Value {
    /// Parses a JSON value (RFC 8259).
    ///
    /// A number with a point or an exponent becomes a double, any other an integer. Of repeated
    /// keys the last value wins, at the position of the first.
    ///
    /// # Errors
    ///
    /// Fails if the text is not JSON, is nested deeper than 128 levels, or has an integer with more
    /// than 38 digits.
    pub fn from_json(text: &str) -> Result<Value, Error> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.blank();
        match reader.text.get(reader.at..) {
            Some("") => Ok(value),
            _ => Err(reader.error("expected the end of the JSON text")),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, message: &str) -> Error {
        let before = self.text.get(..self.at).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let small = |n| u32::try_from(n).unwrap_or(u32::MAX);
        let pos = Pos {
            line: small(line),
            column: small(column),
        };
        Error::new(pos, message)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.blank();
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, message: &str) -> Result<(), Error> {
        if self.accept(byte) {
            Ok(())
        } else {
            Err(self.error(message))
        }
    }

    fn value(&mut self, depth: u32) -> Result<Value, Error> {
        if depth > MAX_JSON_DEPTH {
            return Err(self.error("the JSON text is nested too deep"));
        }
        self.blank();
        match self.byte() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::Str(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [
                    ("null", Value::Null),
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                ] {
                    if self
                        .text
                        .get(self.at..)
                        .is_some_and(|t| t.starts_with(word))
                    {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.error("expected a JSON value"))
            }
        }
    }

    fn object(&mut self, depth: u32) -> Result<Value, Error> {
        self.at += 1;
        let mut map = Map::new();
        if self.accept(b'}') {
            return Ok(Value::Map(map));
        }
        loop {
            self.blank();
            if self.byte() != Some(b'"') {
                return Err(self.error("expected a key in quotes"));
            }
            let key = self.string()?;
            self.expect(b':', "expected ':' after the key")?;
            let value = self.value(depth + 1)?;
            map.insert(key, value);
            if !self.accept(b',') {
                break;
            }
        }
        self.expect(b'}', "expected ',' or '}'")?;
        Ok(Value::Map(map))
    }

    fn array(&mut self, depth: u32) -> Result<Value, Error> {
        self.at += 1;
        let mut items = Vec::new();
        if self.accept(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.accept(b',') {
                break;
            }
        }
        self.expect(b']', "expected ',' or ']'")?;
        Ok(Value::List(items))
    }

    fn number(&mut self) -> Result<Value, Error> {
        let rest = self.text.get(self.at..).unwrap_or("");
        let part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or("");
        let digits = text.strip_prefix('-').unwrap_or(text);
        let zero = digits.len() > 1
            && digits.starts_with('0')
            && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let value = if !digits.starts_with(|c: char| c.is_ascii_digit())
            || zero
            || text.ends_with('.')
            || text.contains(".e")
            || text.contains(".E")
        {
            None
        } else if text.contains(['.', 'e', 'E']) {
            text.parse().ok().map(Value::Double)
        } else if let Ok(small) = text.parse() {
            Some(Value::Int(small))
        } else {
            text.parse().ok().map(Value::Big)
        };
        match value {
            Some(value) => {
                self.at += length;
                Ok(value)
            }
            None => Err(self.error("expected a number of at most 38 digits")),
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or("");
            let plain = rest
                .find(|c| matches!(c, '"' | '\\') || c < ' ')
                .unwrap_or(rest.len());
            out.push_str(rest.get(..plain).unwrap_or(""));
            self.at += plain;
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.error("expected '\"' to close the text")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let letter = self.text.as_bytes().get(self.at + 1).copied();
        self.at += 2;
        Ok(match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit()?;
                let paired = (0xd800..0xdc00).contains(&first)
                    && self
                        .text
                        .get(self.at..)
                        .is_some_and(|t| t.starts_with("\\u"));
                let second = if paired {
                    self.at += 2;
                    Some(self.unit()?)
                } else {
                    None
                };
                // A lone surrogate is not a character.
                char::decode_utf16([Some(first), second].into_iter().flatten())
                    .next()
                    .and_then(Result::ok)
                    .unwrap_or('\u{fffd}')
            }
            _ => return Err(self.error("expected an escape such as \\n")),
        })
    }

    fn unit(&mut self) -> Result<u16, Error> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or("");
        let hexadecimal = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        match u16::from_str_radix(digits, 16) {
            Ok(unit) if hexadecimal => {
                self.at += 4;
                Ok(unit)
            }
            _ => Err(self.error("expected four hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_numbers_as_written() {
        let value = Value::from_json("[1, -2.0, 1e2, 123456789012345678901234567890]");
        let expected = vec![
            Value::Int(1),
            Value::Double(-2.0),
            Value::Double(100.0),
            Value::Big(123_456_789_012_345_678_901_234_567_890),
        ];
        assert_eq!(value, Ok(Value::List(expected)));
    }

    #[test]
    fn reads_escapes() {
        let value = Value::from_json(r#"{"a":"\u0041\ud83c\udf81\n\"","a":null}"#);
        let mut map = Map::new();
        map.insert("a", Value::Null);
        assert_eq!(value, Ok(Value::Map(map)));
        assert_eq!(
            Value::from_json(r#""\ud83c\udf81""#),
            Ok(Value::Str("🎁".into()))
        );
    }

    #[test]
    fn errors_have_a_position() {
        for text in [
            "",
            "{",
            "[1,]",
            "01",
            "1.",
            "-",
            "\"\\x\"",
            "nul",
            "[1] 2",
            "{\"a\" 1}",
        ] {
            assert!(Value::from_json(text).is_err(), "{text}");
        }
        let error = Value::from_json("[1,\n  x]").expect_err("no JSON");
        assert_eq!((error.line, error.column), (2, 3));
        assert!(Value::from_json(&"[".repeat(100_000)).is_err());
    }
}
