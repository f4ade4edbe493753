//! Splits a JSON file into values by finding where each one starts and ends.
//!
//! serde reads a value as a whole, so a file with a million rows would be in memory at once, and it
//! does not report the line of a value. This module only knows strings, brackets and whitespace,
//! and leaves the content of each value to serde.

use std::io::Read;

use super::source::{MAX_ROW_BYTES, Source, not_utf8};
use super::value::Value;
use super::{UploadError, shorten};

/// A position in the file. Both numbers count from 1, the column in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A JSON file that is being split into values.
pub(super) struct JsonScanner<R> {
    source: Source<R>,
    place: Position,
    text: Vec<u8>,
}

impl<R: Read> JsonScanner<R> {
    /// Creates a scanner at the start of the file.
    pub(super) fn new(source: Source<R>) -> JsonScanner<R> {
        let place = Position { line: 1, column: 1 };
        JsonScanner {
            source,
            place,
            text: Vec::new(),
        }
    }

    /// Skips whitespace and returns the next byte without consuming it, or `None` at the end of the
    /// file.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, UploadError> {
        loop {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let found = bytes.iter().position(|byte| !is_blank(*byte));
            let (blanks, next) = match found {
                Some(at) => (at, Some(bytes[at])),
                None => (bytes.len(), None),
            };
            self.advance(blanks);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Consumes this byte; any other is an error.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), UploadError> {
        if self.peek()? != Some(byte) {
            return Err(self.unexpected(&format!("`{}`", byte as char)));
        }
        self.advance(1);
        Ok(())
    }

    /// Moves to the next item between brackets. Returns false after consuming the closing bracket.
    pub(super) fn next_item(&mut self, first: &mut bool, close: u8) -> Result<bool, UploadError> {
        let closed = self.peek()? == Some(close);
        if closed {
            self.advance(1);
            return Ok(false);
        }
        if !std::mem::take(first) {
            if self.peek()? != Some(b',') {
                return Err(self.unexpected(&format!("`,` or `{}`", close as char)));
            }
            self.advance(1);
        }
        Ok(true)
    }

    /// Consumes the next value. Its text is valid until the next call.
    pub(super) fn text(&mut self) -> Result<(Position, &str), UploadError> {
        self.peek()?;
        let place = self.place;
        let mut value_end = ValueEnd::default();
        self.text.clear();
        loop {
            let line = self.place.line;
            let bytes = match self.source.fill() {
                Ok(bytes) => bytes,
                Err(source) => return Err(UploadError::Unreadable { line, source }),
            };
            let (taken, ended) = value_end.take(bytes);
            let is_last = ended || bytes.is_empty();
            self.text.extend_from_slice(&bytes[..taken]);
            self.advance(taken);
            if self.text.len() > MAX_ROW_BYTES {
                return Err(UploadError::TooLong {
                    line: place.line,
                    limit: MAX_ROW_BYTES,
                });
            }
            if is_last {
                break;
            }
        }
        if self.text.is_empty() {
            return Err(self.unexpected("a value"));
        }
        match std::str::from_utf8(&self.text) {
            Ok(text) => Ok((place, text)),
            Err(error) => {
                let before = &self.text[..error.valid_up_to()];
                let line = place.line + newlines(before);
                Err(not_utf8(line, &self.text[before.len()..]))
            }
        }
    }

    /// Consumes the next quoted key and the colon after it.
    pub(super) fn key(&mut self) -> Result<(Position, String), UploadError> {
        if self.peek()? != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let (place, text) = self.text()?;
        let key = serde_json::from_str(text).map_err(|error| parse_error(place, text, &error))?;
        self.expect(b':')?;
        Ok((place, key))
    }

    /// Returns the error for an unexpected byte or the end of the file.
    pub(super) fn unexpected(&mut self, expected: &str) -> UploadError {
        let found = match self.peek() {
            Ok(Some(byte)) if byte.is_ascii_graphic() => format!("found `{}`", byte as char),
            Ok(Some(byte)) if !byte.is_ascii() => {
                let bytes = self.source.head();
                let start = String::from_utf8_lossy(&bytes[..bytes.len().min(8)]);
                format!("found `{}`", start.chars().next().unwrap_or_default())
            }
            Ok(Some(byte)) => format!("found the byte {byte:#04x}"),
            Ok(None) => "the file ends".to_owned(),
            Err(error) => return error,
        };
        let Position { line, column } = self.place;
        UploadError::Json {
            line,
            column,
            message: format!("{found} where {expected} is expected; check the JSON around it"),
        }
    }

    /// Returns the position of the next byte.
    pub(super) fn place(&self) -> Position {
        self.place
    }

    fn fill(&mut self) -> Result<&[u8], UploadError> {
        let line = self.place.line;
        let unreadable = |source| UploadError::Unreadable { line, source };
        self.source.fill().map_err(unreadable)
    }

    fn advance(&mut self, count: usize) {
        let bytes = &self.source.head()[..count];
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                self.place.line += newlines(bytes);
                self.place.column = (count - last) as u64;
            }
            None => self.place.column += count as u64,
        }
        self.source.consume(count);
    }
}

/// Parses a value returned by [`JsonScanner::text`].
pub(super) fn parse(place: Position, text: &str) -> Result<Value<'_>, UploadError> {
    serde_json::from_str(text).map_err(|error| parse_error(place, text, &error))
}

/// Converts serde's error to one with the position in the file.
fn parse_error(place: Position, text: &str, error: &serde_json::Error) -> UploadError {
    let (line, column) = (error.line() as u64, error.column() as u64);
    let said = error.to_string();
    // serde counts within the value and appends the position to its message.
    let reason = said
        .rsplit_once(" at line ")
        .map_or(said.as_str(), |(reason, _)| reason);
    UploadError::Json {
        line: place.line + line.saturating_sub(1),
        column: match line {
            0 | 1 => place.column + column.saturating_sub(1),
            _ => column,
        },
        message: format!("`{}` is not JSON: {reason}", shorten(text.trim_end())),
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Finds the end of a value.
#[derive(Default)]
struct ValueEnd {
    /// Number of open brackets. serde checks whether they match.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// A bracket or a quote opened the value. Otherwise a delimiter ends it: it is a number, a
    /// word, or invalid.
    enclosed: bool,
}

impl ValueEnd {
    /// Returns how many of these bytes belong to the value, and whether it ends there.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    // No string spans lines: a quote was not closed, and serde reports it here
                    // rather than at the next quote.
                    b'\n' => return (at + 1, true),
                    _ => continue,
                }
                if self.in_string || self.depth > 0 {
                    continue;
                }
                return (at + 1, true);
            }
            match byte {
                b'"' | b'{' | b'[' if self.enclosed || at == 0 => {
                    self.enclosed = true;
                    self.in_string = *byte == b'"';
                    self.depth += usize::from(!self.in_string);
                }
                b'}' | b']' if self.enclosed => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                _ if self.enclosed => {}
                b'"' | b'{' | b'[' | b'}' | b']' | b',' | b':' => return (at, true),
                byte if is_blank(*byte) => return (at, true),
                _ => {}
            }
        }
        (bytes.len(), false)
    }
}
