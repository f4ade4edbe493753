//! The text of a file, and where the characters of its scalars stand in it.

use super::node::Position;
use super::scalar::Origin;

/// A file's text with what it takes to find a place in it quickly.
pub(super) struct Source<'s> {
    text: &'s str,
    /// The byte that each character begins at; empty where every character is one byte.
    bytes: Vec<usize>,
}

impl<'s> Source<'s> {
    pub(super) fn new(text: &'s str) -> Source<'s> {
        let bytes = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().map(|(byte, _)| byte).collect(),
        };
        Source { text, bytes }
    }

    /// Whether a directive of a template stands after so many characters, which YAML takes for a
    /// comment because a space stands before it.
    pub(super) fn hides_directive(&self, index: usize) -> bool {
        let rest = self.from(index).unwrap_or_default();
        let Some(comment) = rest.trim_start_matches([' ', '\t']).strip_prefix('#') else {
            return false;
        };
        ["if", "elseif", "foreach", "set"].iter().any(|word| {
            let after = comment.strip_prefix(word);
            after.is_some_and(|after| after.trim_start_matches(' ').starts_with('('))
        })
    }

    /// What stands after so many characters.
    fn from(&self, index: usize) -> Option<&'s str> {
        let byte = match self.bytes.is_empty() {
            true => index,
            false => *self.bytes.get(index)?,
        };
        self.text.get(byte..)
    }

    /// Where the text of a scalar that stands on one line comes from: `index` is the number of
    /// characters before it, `at` its place, `quoted` whether a quote stands before the text.
    pub(super) fn inline(&self, text: &str, index: usize, at: Position, quoted: bool) -> Origin {
        let index = index + usize::from(quoted);
        // Where escapes or folds stand between, the file's characters are not the text's.
        match self.from(index) {
            Some(rest) if rest.starts_with(text) && !text.contains('\n') => {
                Origin::Exact(Position {
                    line: at.line,
                    column: at.column + u32::from(quoted),
                })
            }
            _ => Origin::Beginning(at),
        }
    }

    /// Where the text of a literal block comes from, whose first line that isn't blank begins
    /// at `at`.
    pub(super) fn literal(text: &str, at: Position) -> Origin {
        let blank = text.bytes().take_while(|byte| *byte == b'\n').count();
        Origin::Lines {
            line: at
                .line
                .saturating_sub(u32::try_from(blank).unwrap_or(u32::MAX)),
            indent: at.column - 1,
        }
    }

    /// Whether the line is indented with a tab.
    pub(super) fn tab_indents(&self, line: u32) -> bool {
        let index = (line as usize).saturating_sub(1);
        self.text.lines().nth(index).is_some_and(|line| {
            line.chars()
                .take_while(|c| c.is_whitespace())
                .any(|c| c == '\t')
        })
    }
}
