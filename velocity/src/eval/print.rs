//! Prints values.

use super::Renderer;
use crate::error::{Error, Pos, Result};
use crate::options::Escape;
use crate::runtime::{Text, Tool, Val};

/// Maximum nesting of lists and maps that are printed, compared or created.
pub(crate) const MAX_VALUE_DEPTH: u32 = 100;

/// Work for visiting a nested value, which may take a dozen nanoseconds.
pub(crate) const VISIT_WORK: usize = 4;

/// Appends `text` with the significant characters of HTML replaced.
pub(crate) fn push_html(text: &str, out: &mut String) {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let entity = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        out.push_str(text.get(from..at).unwrap_or(""));
        out.push_str(entity);
        from = at + 1;
    }
    out.push_str(text.get(from..).unwrap_or(""));
}

/// Appends `text` with all but the unreserved characters of RFC 3986 percent-encoded.
fn push_percent(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Returns the error for values that are nested too deep.
pub(crate) fn too_deep(pos: Pos) -> Error {
    Error::new(
        pos,
        format!("lists or maps nested deeper than {MAX_VALUE_DEPTH} levels"),
    )
}

impl<'c> Renderer<'c> {
    /// Prints a value to the output.
    pub(super) fn print(&mut self, value: &Val<'c>, pos: Pos) -> Result<()> {
        let exempt = self.nested > 0 || matches!(value, Val::Markup(_));
        let push = match self.escape {
            Escape::Html if !exempt => push_html,
            Escape::Url if !exempt => push_percent,
            _ => {
                return match value.as_text() {
                    Some(text) => self.write(text, pos),
                    None => {
                        let text = self.text(value, pos)?;
                        self.write(&text, pos)
                    }
                };
            }
        };
        let text = self.text(value, pos)?;
        self.budget.output(self.out.len() + text.len(), pos)?;
        push(&text, &mut self.out);
        self.budget.output(self.out.len(), pos)
    }

    /// Returns the text of a value: Java's `toString()`.
    pub(crate) fn text(&mut self, value: &Val<'c>, pos: Pos) -> Result<Text<'c>> {
        if let Some(text) = value.as_text() {
            return Ok(text.clone());
        }
        let mut out = String::new();
        self.push(value, &mut out, 0, pos)?;
        Ok(out.into())
    }

    fn push(&mut self, value: &Val<'c>, out: &mut String, depth: u32, pos: Pos) -> Result<()> {
        if depth > MAX_VALUE_DEPTH {
            return Err(too_deep(pos));
        }
        let before = out.len();
        match value {
            Val::Null => out.push_str("null"),
            Val::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Val::Number(number) => number.push_to(out),
            Val::Char(value) => out.push(*value),
            Val::Text(text) | Val::Markup(text) => out.push_str(text),
            Val::List(_) | Val::Range(..) => {
                out.push('[');
                let mut index = 0;
                while let Some(item) = self.element(value, index) {
                    self.budget.work(VISIT_WORK, pos)?;
                    if index > 0 {
                        out.push_str(", ");
                    }
                    if same_object(value, &item) {
                        out.push_str("(this Collection)");
                    } else {
                        self.push(&item, out, depth + 1, pos)?;
                    }
                    index += 1;
                }
                out.push(']');
            }
            Val::Map(map) => {
                out.push('{');
                let mut index = 0;
                while let Some((key, item)) = map.at(index) {
                    self.budget.work(VISIT_WORK, pos)?;
                    if index > 0 {
                        out.push_str(", ");
                    }
                    self.push(&key, out, depth + 1, pos)?;
                    out.push('=');
                    if same_object(value, &item) {
                        out.push_str("(this Map)");
                    } else {
                        self.push(&item, out, depth + 1, pos)?;
                    }
                    index += 1;
                }
                out.push('}');
            }
            Val::Entry(entry) => {
                self.push(&entry.0, out, depth + 1, pos)?;
                out.push('=');
                self.push(&entry.1, out, depth + 1, pos)?;
            }
            Val::Block(defined) => out.push_str(&self.nested(&defined.block.clone(), pos)?.0),
            Val::Date(date) => out.push_str(&self.date_text(*date, pos)?),
            Val::Tool(Tool::Date) => {
                let today = self.today();
                out.push_str(&self.date_text(today, pos)?);
            }
            Val::Loop(_) | Val::Tool(_) | Val::Nothing => {}
        }
        self.budget.work(out.len().saturating_sub(before), pos)?;
        self.budget.output(out.len(), pos)
    }

    /// Returns the element of a list or range at `index`.
    pub(crate) fn element(&self, value: &Val<'c>, index: usize) -> Option<Val<'c>> {
        match value {
            Val::List(list) => list.get(index),
            Val::Range(from, to) => {
                let (from, to) = (i64::from(*from), i64::from(*to));
                let index = i64::try_from(index).ok()?;
                if index > (to - from).abs() {
                    return None;
                }
                let number = if to > from {
                    from + index
                } else {
                    from - index
                };
                Some(Val::Number(crate::number::Number::Int(number)))
            }
            _ => None,
        }
    }

    /// Returns the number of elements of a list, range or map.
    pub(crate) fn size(&self, value: &Val<'c>) -> Option<usize> {
        match value {
            Val::List(list) => Some(list.len()),
            Val::Map(map) => Some(map.len()),
            Val::Range(from, to) => {
                let distance = (i64::from(*to) - i64::from(*from)).unsigned_abs();
                usize::try_from(distance + 1).ok()
            }
            _ => None,
        }
    }
}

fn same_object<'c>(a: &Val<'c>, b: &Val<'c>) -> bool {
    match (a, b) {
        (Val::List(a), Val::List(b)) => std::rc::Rc::ptr_eq(a, b),
        (Val::Map(a), Val::Map(b)) => std::rc::Rc::ptr_eq(a, b),
        _ => false,
    }
}
