//! `$esc`: escapes texts for other languages.

use super::super::Answer;
use crate::error::Pos;
use crate::eval::{Renderer, push_html};
use crate::runtime::{Text, Val};

impl<'c> Renderer<'c> {
    pub(super) fn escape_tool(
        &mut self,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let [value] = arguments else {
            return Ok(None);
        };
        let text = self.text(value, pos)?;
        // The longest replacement is six times as long.
        self.charge_text(text.len().saturating_mul(6), pos)?;
        let mut out = String::with_capacity(text.len());
        match name {
            "raw" | "none" => return Ok(Some(Val::Markup(text))),
            "html" | "xml" => push_html(&text, &mut out),
            "url" => push_url(&text, &mut out),
            "javascript" | "java" | "json" => push_script(&text, &mut out),
            _ => return Ok(None),
        }
        Ok(Some(Val::Markup(Text::from(out))))
    }
}

/// Appends `text` as a form value: a space becomes `+`.
fn push_url(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'*' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Appends `text` for a quoted string of JavaScript or JSON.
fn push_script(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Quotes and brackets would be significant in HTML around a script.
            '"' | '\'' | '<' | '>' | '&' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ => out.push(c),
        }
    }
}
