//! Surrogate pair escapes in YAML: `"\\ud83c\\udf89"`, as programs write an emoji.
//!
//! YAML has its own escape for such a character, `\\U0001F389`, and it is the only one that the
//! parser understands.

use super::reader::count;

/// Number of characters by which a pair is longer than the single escape that replaces it.
const PAIR_EXTRA_CHARS: u32 = 2;

/// The joined pairs, in text order.
#[derive(Default)]
pub(super) struct SurrogatePairs(Vec<Pair>);

/// A joined pair.
struct Pair {
    /// The line that contains it.
    line: u32,
    /// Number of joined pairs on the line, including this one.
    number: u32,
    /// Index of the character after the pair in the joined text.
    end: usize,
}

impl SurrogatePairs {
    /// Joins the pairs in the quoted text that begins at byte `begins`. Returns `None` if it
    /// contains none.
    pub(super) fn join(&mut self, text: &str, begins: usize) -> Option<String> {
        let (before, rest) = text.split_at_checked(begins)?;
        let mut joined = String::with_capacity(text.len());
        joined.push_str(before);
        let mut line = count(before.matches('\n').count() + 1);
        let mut index = before.chars().count();
        let mut chars = rest.char_indices();
        let mut opened = false;
        let mut any = false;
        while let Some((at, c)) = chars.next() {
            if c == '"' && std::mem::replace(&mut opened, true) {
                joined.push_str(rest.get(at..)?);
                return any.then_some(joined);
            }
            if c == '\n' {
                line = line.saturating_add(1);
            }
            if let Some(pair) = rest.get(at..at + 12).and_then(pair) {
                joined.push_str(&format!("\\U{:08X}", u32::from(pair)));
                index += 10;
                let before = self.0.last().filter(|last| last.line == line);
                let number = before.map_or(0, |last| last.number).saturating_add(1);
                self.0.push(Pair {
                    line,
                    number,
                    end: index,
                });
                any = true;
                chars.nth(10);
                continue;
            }
            joined.push(c);
            index += 1;
            // An escaped quote does not end the text.
            if c == '\\'
                && let Some((_, next)) = chars.next()
            {
                joined.push(next);
                index += 1;
                line = line.saturating_add(u32::from(next == '\n'));
            }
        }
        None
    }

    /// Returns the number of columns by which a position in the file is to the right of the same
    /// position in the joined text.
    pub(super) fn column_shift(&self, line: u32, index: usize) -> u32 {
        let before = self.0.partition_point(|pair| pair.end <= index);
        let last = before.checked_sub(1).and_then(|last| self.0.get(last));
        let last = last.filter(|last| last.line == line);
        last.map_or(0, |last| last.number)
            .saturating_mul(PAIR_EXTRA_CHARS)
    }
}

/// Decodes two escapes to the character they represent.
fn pair(text: &str) -> Option<char> {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let units = [unit(text.get(..6)?)?, unit(text.get(6..)?)?];
    let mut found = char::decode_utf16(units);
    match (found.next(), found.next()) {
        (Some(Ok(one)), None) => Some(one),
        _ => None,
    }
}
