//! Texts, with positions in UTF-16 code units as in Java.

use std::ops::Deref;
use std::sync::Arc;

/// A text that is borrowed from the context or shared.
#[derive(Debug, Clone)]
pub(crate) enum Text<'c> {
    Borrowed(&'c str),
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text::Shared(text.into())
    }
}

/// Converts from UTF-16; a lone surrogate becomes `?`, as when Java writes UTF-8.
pub(crate) fn from_utf16(units: &[u16]) -> String {
    char::decode_utf16(units.iter().copied())
        .map(|unit| unit.unwrap_or('?'))
        .collect()
}

/// Java's `length()`.
pub(crate) fn length(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}

/// Returns the position of the byte `at` in UTF-16 code units.
pub(crate) fn position(text: &str, at: usize) -> usize {
    length(text.get(..at).unwrap_or(text))
}

/// Returns the part from `begin` up to `end`, or `None` if out of range.
pub(crate) fn substring(text: &str, begin: i64, end: i64) -> Option<String> {
    let begin = usize::try_from(begin).ok()?;
    let end = usize::try_from(end).ok()?;
    if begin > end {
        return None;
    }
    if text.is_ascii() {
        return text.get(begin..end).map(str::to_owned);
    }
    let units: Vec<u16> = text.encode_utf16().collect();
    units.get(begin..end).map(from_utf16)
}

/// Returns the byte at which the UTF-16 code unit `at` starts, or the end of the text.
pub(crate) fn byte_at(text: &str, at: usize) -> usize {
    if text.is_ascii() {
        return at.min(text.len());
    }
    let mut units = 0;
    for (byte, c) in text.char_indices() {
        if units >= at {
            return byte;
        }
        units += c.len_utf16();
    }
    text.len()
}
