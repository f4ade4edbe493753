//! Escapes of surrogate pairs in YAML: `"\\ud83c\\udf89"`, as programs write an emoji.
//!
//! YAML has an escape for such a character, `\\U0001F389`, and the parser knows that one alone.

use super::reader::count;

/// The characters that a pair is longer than the escape that stands for it.
const SHORTER: u32 = 2;

/// Pairs that were joined, in the order of the text.
#[derive(Default)]
pub(super) struct Joined(Vec<Pair>);

/// A pair that was joined.
struct Pair {
    /// Its line.
    line: u32,
    /// How many of the line there are up to this one.
    number: u32,
    /// The character of the joined text behind it.
    end: usize,
}

impl Joined {
    /// The text with the pairs joined of the quoted text that begins at that byte; `None` where it
    /// holds none.
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
            // What is escaped ends nothing.
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

    /// How much further to the right something stands in the file than in the joined text.
    pub(super) fn shift(&self, line: u32, index: usize) -> u32 {
        let before = self.0.partition_point(|pair| pair.end <= index);
        let last = before.checked_sub(1).and_then(|last| self.0.get(last));
        let last = last.filter(|last| last.line == line);
        last.map_or(0, |last| last.number).saturating_mul(SHORTER)
    }
}

/// The character that two escapes stand for.
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
