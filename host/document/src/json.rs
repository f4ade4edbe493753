//! Parses JSON text into nodes.
//!
//! serde_json validates the text and decodes strings; this module adds the position of every value.

use serde::de::{Deserialize, IgnoredAny};
use serde_json::{Deserializer, Error};

use super::diagnostic::{Diagnostics, quoted};
use super::node::{Entry, Node, NodeValue, Position};
use super::reader::{MAX_DEPTH, MAX_NODES, count};
use super::scalar::{Origin, Scalar};

/// Returns true if the text begins like JSON and unlike hand-written YAML: `{"`, `{}`, `[{`, `["`.
pub(super) fn looks_like_json(text: &str) -> bool {
    let mut signs = text.chars().filter(|c| !c.is_whitespace());
    matches!(
        (signs.next(), signs.next()),
        (Some('{'), Some('"' | '}')) | (Some('['), Some('{' | '"'))
    )
}

/// Returns one node per top-level value, up to the first syntax error.
pub(super) fn build(text: &str, out: &mut Diagnostics) -> Vec<Node> {
    let mut reader = JsonReader {
        text,
        at: 0,
        place: Cursor::START,
        nodes: 0,
        out,
    };
    let mut documents = Vec::new();
    loop {
        reader.skip_blanks();
        if reader.rest().is_empty() {
            return documents;
        }
        let from = (reader.at, reader.place);
        let mut deserializer = Deserializer::from_str(reader.rest());
        if let Err(error) = IgnoredAny::deserialize(&mut deserializer) {
            let (at, why, hint) = reader.describe_error(from, &error);
            reader.out.error(at, why, hint);
            return documents;
        }
        match reader.value(0) {
            Ok(node) => documents.push(node),
            Err(ParseError { at, why, hint }) => {
                reader.out.error(at, why, hint);
                return documents;
            }
        }
    }
}

/// The error that ended the parsing of a text.
struct ParseError {
    at: Position,
    why: String,
    hint: Option<String>,
}

/// A position that advances while reading.
#[derive(Clone, Copy)]
struct Cursor {
    line: usize,
    column: usize,
}

impl Cursor {
    const START: Cursor = Cursor { line: 1, column: 1 };

    fn position(self) -> Position {
        Position {
            line: count(self.line),
            column: count(self.column),
        }
    }

    fn advance(&mut self, text: &str) {
        for c in text.chars() {
            if c == '\n' {
                *self = Cursor {
                    line: self.line + 1,
                    column: 1,
                };
            } else {
                self.column += 1;
            }
        }
    }
}

/// Walks over a text that is known to be valid JSON up to the end of the current value.
struct JsonReader<'t, 'o> {
    text: &'t str,
    at: usize,
    place: Cursor,
    nodes: usize,
    out: &'o mut Diagnostics,
}

impl<'t> JsonReader<'t, '_> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) -> &'t str {
        let passed = self.rest().get(..bytes).unwrap_or_default();
        self.place.advance(passed);
        self.at += bytes;
        passed
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.advance(length);
    }

    fn next_is(&self, sign: char) -> bool {
        self.rest().starts_with(sign)
    }

    fn value(&mut self, depth: usize) -> Result<Node, ParseError> {
        self.skip_blanks();
        let at = self.place.position();
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(ParseError {
                at,
                why: format!("the file has more than {MAX_NODES} values"),
                hint: Some("split it into several files".to_owned()),
            });
        }
        if depth == MAX_DEPTH && (self.next_is('{') || self.next_is('[')) {
            return Err(ParseError {
                at,
                why: format!("nested more than {MAX_DEPTH} levels deep"),
                hint: None,
            });
        }
        let content = if self.next_is('{') {
            NodeValue::Mapping(self.object(depth)?)
        } else if self.next_is('[') {
            NodeValue::List(self.list(depth)?)
        } else if self.next_is('"') {
            NodeValue::Scalar(self.text()?)
        } else {
            let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}');
            let length = self.rest().find(ends).unwrap_or(self.rest().len());
            let word = self.advance(length.max(1));
            NodeValue::Scalar(Scalar::new(word.to_owned(), true, Origin::Exact(at)))
        };
        Ok(Node { at, content })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, ParseError> {
        let mut items = Vec::new();
        self.advance(1);
        self.skip_blanks();
        while !self.next_is(']') && !self.rest().is_empty() {
            items.push(self.value(depth + 1)?);
            self.skip_separator();
        }
        self.advance(1);
        Ok(items)
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Entry>, ParseError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        self.advance(1);
        self.skip_blanks();
        while !self.next_is('}') && !self.rest().is_empty() {
            let key_at = self.place.position();
            let key = self.text()?.text().to_owned();
            self.skip_blanks();
            // Skip the colon.
            self.advance(1);
            let value = self.value(depth + 1)?;
            self.skip_separator();
            match seen.get(&key) {
                None => {
                    seen.insert(key.clone(), key_at);
                    entries.push(Entry { key, key_at, value });
                }
                Some(first) => {
                    let Position { line, column } = first;
                    let why = format!("duplicate key {}", quoted(&key));
                    let hint = format!("keep one of them; the first is at {line}:{column}");
                    self.out.error(key_at, why, Some(hint));
                }
            }
        }
        self.advance(1);
        Ok(entries)
    }

    /// Skips the separator between two values.
    fn skip_separator(&mut self) {
        self.skip_blanks();
        if self.next_is(',') {
            self.advance(1);
            self.skip_blanks();
        }
    }

    /// Reads a quoted string.
    fn text(&mut self) -> Result<Scalar, ParseError> {
        let from = (self.at, self.place);
        let mut escaped = false;
        let inner = self.rest().get(1..).unwrap_or_default();
        let end = inner.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let written = self.advance(end.map_or(self.rest().len(), |end| end + 2));
        let text: String = serde_json::from_str(written).map_err(|error| {
            let (at, why, hint) = self.describe_error(from, &error);
            ParseError { at, why, hint }
        })?;
        let mut begins = from.1.position();
        let origin = match written.contains('\\') {
            // Escapes make the file's characters differ from the text's.
            true => Origin::Beginning(begins),
            false => {
                begins.column = begins.column.saturating_add(1);
                Origin::Exact(begins)
            }
        };
        Ok(Scalar::new(text, false, origin))
    }

    /// Converts a serde_json error to a position in the file, a message and a hint.
    fn describe_error(
        &self,
        from: (usize, Cursor),
        error: &Error,
    ) -> (Position, String, Option<String>) {
        let (offset, mut place) = from;
        let text = self.text.get(offset..).unwrap_or_default();
        let lines = text.split_inclusive('\n');
        let before: usize = lines
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        // serde_json's columns count bytes, up to and including the wrong one.
        let mut end = (before + error.column().saturating_sub(1)).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (passed, rest) = text.split_at(end);
        place.advance(passed);
        let whole = error.to_string();
        let why = whole.split(" at line ").next().unwrap_or(&whole);
        let is_trailing = rest.starts_with(['}', ']']) && passed.trim_end().ends_with(',');
        // Read backwards: an escape of the first half of a pair.
        let before: String = passed.chars().rev().take(12).collect();
        let is_lone = why.contains("hex escape") && before.to_ascii_lowercase().contains("du\\");
        let why = match (is_trailing, is_lone) {
            (true, _) => "trailing comma",
            (_, true) => "lone leading surrogate in hex escape",
            _ => why,
        };
        let hint = hint(why, passed, rest);
        let why = match why.strip_suffix(" in hex escape") {
            Some(surrogate) => format!("{surrogate} in an escape `\\u…`"),
            None => why.to_owned(),
        };
        (place.position(), format!("invalid JSON: {why}"), hint)
    }
}

/// Suggests a fix, given the text before and after the error.
fn hint(why: &str, passed: &str, rest: &str) -> Option<String> {
    let sign = rest.chars().next();
    let hint = match (why, sign) {
        (why, _) if why.contains("surrogate") => {
            "write a character beyond U+FFFF as two escapes, such as \\ud83c\\udf89, or as itself"
        }
        (_, Some('}' | ']')) if passed.trim_end().ends_with(',') => {
            "remove the comma before the bracket"
        }
        (_, Some('/' | '#')) => "JSON has no comments: remove it, or write YAML",
        (_, Some('\'' | '‘' | '“' | '”')) => {
            "put strings and keys in straight double quotes, `\"`"
        }
        ("key must be a string", _) => "put the key in double quotes",
        (why, _) if why.starts_with("EOF") => "a quote or a bracket is not closed",
        (why, _) if why.starts_with("control character") => {
            "write a line break within a string as \\n, and a tab as \\t"
        }
        (why, _) if why.starts_with("invalid escape") => "write a backslash as \\\\",
        _ => return None,
    };
    Some(hint.to_owned())
}
