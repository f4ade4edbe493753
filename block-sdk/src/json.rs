//! A minimal JSON parser for the values of choices and for lists of flat objects.
//!
//! A general parser would be larger than the rest of a small block.

use crate::{ChoicePayload, Value};

/// Parses `{"name": "text"}` or `{"name": 123}`.
pub(crate) fn parse_pair(text: &str) -> Option<(String, ChoicePayload)> {
    let mut reader = Reader { rest: text };
    reader.sign('{')?;
    let name = reader.string()?;
    reader.sign(':')?;
    reader.space();
    let payload = if reader.rest.starts_with('"') {
        ChoicePayload::Text(reader.string()?)
    } else {
        ChoicePayload::Duration(reader.number()?)
    };
    reader.sign('}')?;
    reader.space();
    reader.rest.is_empty().then_some((name, payload))
}

/// Parses `[{"name": "text", "other": 123}]`: objects of strings, integers and booleans.
pub(crate) fn parse_records(text: &str) -> Option<Vec<Vec<(String, Value)>>> {
    let mut reader = Reader { rest: text };
    let records = reader.many('[', ']', Reader::record)?;
    reader.space();
    reader.rest.is_empty().then_some(records)
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(sign)?;
        Some(())
    }

    /// Skips the next character if it is this one, and returns whether it was.
    fn is(&mut self, sign: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Parses comma-separated items between two delimiters.
    fn many<T>(
        &mut self,
        open: char,
        close: char,
        one: fn(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.sign(open)?;
        let mut many = Vec::new();
        if self.is(close) {
            return Some(many);
        }
        loop {
            many.push(one(self)?);
            if self.is(close) {
                return Some(many);
            }
            self.sign(',')?;
        }
    }

    fn record(&mut self) -> Option<Vec<(String, Value)>> {
        self.many('{', '}', |reader| {
            let name = reader.string()?;
            reader.sign(':')?;
            Some((name, reader.scalar()?))
        })
    }

    fn scalar(&mut self) -> Option<Value> {
        self.space();
        for (word, value) in [("true", true), ("false", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Some(Value::Boolean(value));
            }
        }
        Some(if self.rest.starts_with('"') {
            Value::Text(self.string()?)
        } else {
            Value::Integer(self.number()?.try_into().ok()?)
        })
    }

    fn next(&mut self) -> Option<char> {
        let mut signs = self.rest.chars();
        let next = signs.next()?;
        self.rest = signs.as_str();
        Some(next)
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.rest.find(|sign: char| !sign.is_ascii_digit())?;
        let (digits, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        digits.parse().ok()
    }

    fn string(&mut self) -> Option<String> {
        self.sign('"')?;
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                control if control < ' ' => return None,
                plain => text.push(plain),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => return self.code_point(),
            same @ ('"' | '\\' | '/') => same,
            _ => return None,
        })
    }

    /// Parses what follows `\u`: four digits, or a surrogate pair beyond U+FFFF.
    fn code_point(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first);
        }
        self.rest = self.rest.strip_prefix("\\u")?;
        let low = self.hex()?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
        char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + low)
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |number, _| {
            Some(number * 16 + self.next()?.to_digit(16)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Option<String> {
        match parse_pair(json)? {
            (_, ChoicePayload::Text(text)) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn parses_the_value_of_a_choice() {
        let read = parse_pair(" { \"contact\" : 2592000 } ");
        assert_eq!(
            read,
            Some(("contact".into(), ChoicePayload::Duration(2_592_000)))
        );
        assert_eq!(text(r#"{"code":"WELCOME"}"#).as_deref(), Some("WELCOME"));
        assert_eq!(
            text(r#"{"code":"a\"\\\/\n\u00e9\ud83c\udf82é🎂"}"#).as_deref(),
            Some("a\"\\/\né🎂é🎂")
        );
    }

    #[test]
    fn parses_lists_of_flat_objects() {
        let read = parse_records(" [ { \"to\" : \"ann\", \"n\": 38050 } , {\"yes\":true}, {} ] ");
        let first = vec![
            ("to".into(), Value::Text("ann".into())),
            ("n".into(), Value::Integer(38_050)),
        ];
        let second = vec![("yes".into(), Value::Boolean(true))];
        assert_eq!(read, Some(vec![first, second, vec![]]));
        assert_eq!(parse_records("[]"), Some(vec![]));
        for json in [
            "",
            "{}",
            "[",
            "[{}",
            "[{},]",
            "[{} {}]",
            r#"[{"a":"b",}]"#,
            r#"[{"a":null}]"#,
            r#"[{"a":{}}]"#,
            r#"[{"a":[]}]"#,
            r#"[{"a":1.5}]"#,
            r#"[{"a":99999999999999999999}]"#,
            r#"["a"]"#,
            r#"[{"a":"b"}] x"#,
        ] {
            assert_eq!(parse_records(json), None, "{json}");
        }
    }

    #[test]
    fn rejects_everything_else() {
        for json in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"code"}"#,
            r#"{"code":}"#,
            r#"{"code":-1}"#,
            r#"{"code":1.5}"#,
            r#"{"code":99999999999999999999}"#,
            r#"{"code":true}"#,
            r#"{"code":"A"} x"#,
            r#"{"code":"A","more":1}"#,
            r#"{"code":"A"#,
            r#"{"code":"\x"}"#,
            r#"{"code":"\ud83c"}"#,
            r#"{"code":"\ud83c\u0041"}"#,
            r#"{"code":"\udf82"}"#,
            r#"{"code":"\u+123"}"#,
            r#"{"code":"\u12é"}"#,
            "{\"code\":\"\n\"}",
        ] {
            assert_eq!(parse_pair(json), None, "{json}");
        }
    }
}
