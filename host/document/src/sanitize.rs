//! Makes untrusted text safe for terminals, logs, and JSON shown on a terminal.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Returns true if a character may control a terminal or mislead a reader: control characters (C0,
/// DEL and C1), line and paragraph separators, marks that change the text direction, and invisible
/// format characters. Characters that join the letters of a word or the parts of an emoji are safe.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0001}'
                | '\u{e0020}'..='\u{e007f}'
        )
}

/// Returns true if the text is ASCII without control characters and needs no further checks.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Replaces characters that could control a terminal, except line breaks and tabs.
pub fn sanitize(text: &str) -> String {
    match is_plain(text) {
        true => text.to_owned(),
        false => text.replace(|c: char| is_unsafe(c) && c != '\n' && c != '\t', "\u{fffd}"),
    }
}

/// Same as [`sanitize`], on one line.
pub fn sanitize_line(text: &str) -> String {
    sanitize(text).replace(['\n', '\t'], " ")
}

/// Serialises to JSON with each unsafe character escaped as `\uXXXX`. The value stays the same.
pub fn sanitize_json(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Escaping))?;
    Ok(bytes)
}

/// Same as [`sanitize_json`], for JSON that is already serialised.
pub fn sanitize_json_text(json: &str) -> Cow<'_, str> {
    if is_plain(json) {
        return Cow::Borrowed(json);
    }
    let mut sanitized = String::with_capacity(json.len());
    for c in json.chars() {
        // Only line breaks and tabs occur between values, and valid JSON has none within a string.
        match is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t') {
            true => escape(c, |text| sanitized.push_str(text)),
            false => sanitized.push(c),
        }
    }
    Cow::Owned(sanitized)
}

fn escape(c: char, mut write: impl FnMut(&str)) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        write(&format!("\\u{unit:04x}"));
    }
}

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_unsafe) {
            CompactFormatter.write_string_fragment(writer, &rest[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(c) = chars.next() {
                let mut escaped = String::new();
                escape(c, |text| escaped.push_str(text));
                writer.write_all(escaped.as_bytes())?;
            }
            rest = chars.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn removes_terminal_control_characters() {
        assert_eq!(sanitize("a\u{1b}[2J\nb\u{202e}"), "a\u{fffd}[2J\nb\u{fffd}");
        assert_eq!(sanitize_line("a\nb\tc"), "a b c");
        assert_eq!(
            sanitize("\u{9b}2J\u{7f}\r\u{200f}"),
            "\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}"
        );
        // Letters of any language and multi-character emoji stay.
        for plain in ["Ганна", "می\u{200c}خواهم", "👩\u{200d}👧\u{fe0f}"] {
            assert_eq!(sanitize(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn escapes_unsafe_characters_without_changing_the_value(
            text in any::<String>(), tricks in "[\u{0}-\u{1f}\u{7f}-\u{a0}\u{ad}\u{200b}-\u{202f}\u{2060}-\u{2070}\u{feff}\u{e0001}\"\\\\]{0,20}"
        ) {
            let value = serde_json::json!({ &tricks: [&text, &tricks] });
            let bytes = sanitize_json(&value).unwrap();
            let sanitized = String::from_utf8(bytes).unwrap();
            prop_assert!(!sanitized.contains(is_unsafe), "{sanitized:?}");
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&sanitized).unwrap(), &value);

            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let sanitized = sanitize_json_text(&pretty);
            prop_assert!(!sanitized.replace('\n', "").contains(is_unsafe), "{sanitized:?}");
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&sanitized).unwrap(), &value);
        }
    }
}
