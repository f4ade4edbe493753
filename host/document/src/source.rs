//! The text of a file, and the positions of its scalars in it.

use super::diagnostic::quoted;
use super::node::Position;
use super::scalar::Origin;

/// Hint for text that YAML would misread.
pub(super) const QUOTES: &str = "put the text in quotes, or write it below `|`";

/// Maximum column of a key whose value is checked for a comment.
const MAX_KEY_COLUMN: u32 = 200;

/// Text that YAML reads as a comment.
pub(super) struct Comment<'s> {
    /// Number of blanks before it.
    pub(super) blanks: usize,
    /// The comment including its `#`.
    pub(super) text: &'s str,
}

/// Returns true if the text begins with a template directive.
pub(super) fn is_directive(text: &str) -> bool {
    let text = text.trim_start_matches('#');
    ["if", "elseif", "foreach", "set"].iter().any(|word| {
        let after = text.strip_prefix(word);
        after.is_some_and(|after| after.trim_start_matches(' ').starts_with('('))
    })
}

/// The text of a file, indexed for fast position lookups.
pub(super) struct Source<'s> {
    text: &'s str,
    /// The byte offset of each character; empty if all characters are ASCII.
    bytes: Vec<usize>,
    /// The byte offset of each line.
    lines: Vec<usize>,
}

impl<'s> Source<'s> {
    pub(super) fn new(text: &'s str) -> Source<'s> {
        let bytes = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().map(|(byte, _)| byte).collect(),
        };
        let breaks = text.match_indices('\n').map(|(byte, _)| byte + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Source { text, bytes, lines }
    }

    /// Returns what YAML reads as a comment after the character at `index`, if only blanks precede
    /// it.
    pub(super) fn comment(&self, index: usize) -> Option<Comment<'s>> {
        let rest = self.from(index)?;
        let text = rest.trim_start_matches([' ', '\t']);
        let blanks = rest.len() - text.len();
        // A line may be as long as the file, so it is scanned only if it contains a comment.
        if blanks == 0 || !text.starts_with('#') {
            return None;
        }
        let text = text.split(['\n', '\r']).next().unwrap_or_default();
        Some(Comment { blanks, text })
    }

    /// Returns the indentation of a comment on the line after the character at `index`, if it is
    /// indented deeper than column `than` and no blank follows its `#`. In multi-line text such a
    /// line is most likely part of the text.
    pub(super) fn comment_below(&self, index: usize, than: u32) -> Option<usize> {
        let rest = self.from(index)?;
        let below = rest
            .trim_start_matches([' ', '\t', '\r'])
            .strip_prefix('\n')?;
        let text = below.trim_start_matches(' ');
        let indent = below.len() - text.len();
        let is_tight = text
            .strip_prefix('#')
            .and_then(|text| text.chars().next())
            .is_some_and(|c| !c.is_whitespace() && c != '#');
        let is_below = indent >= than as usize && is_tight;
        is_below.then_some(indent)
    }

    /// Returns the column of a comment in the place of a key's value.
    pub(super) fn comment_after_key(&self, key: Position) -> Option<u32> {
        // People do not indent keys further, but a file of one long line has thousands of keys.
        if key.column > MAX_KEY_COLUMN {
            return None;
        }
        let line = self.line(key.line)?;
        let from = line
            .char_indices()
            .nth(key.column.saturating_sub(1) as usize)?
            .0;
        let (_, value) = line.get(from..)?.split_once(':')?;
        let comment = value.trim_start_matches([' ', '\t']);
        let is_comment = comment.len() < value.len() && comment.starts_with('#');
        let before = line.len() - comment.len();
        let column = line.get(..before)?.chars().count() + 1;
        is_comment.then(|| u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// Suggests quotes if a line that is not valid YAML contains text that needs them. The parser
    /// may notice the error only on the next line.
    pub(super) fn unquoted(&self, line: u32) -> Option<String> {
        let before = line.saturating_sub(1);
        let suspect = |line: u32| {
            let text = self.line(line)?.trim_start_matches(['-', ' ']);
            let (key, value) = text.split_once(": ")?;
            let value = value.trim();
            let begins = value.chars().next()?;
            // An unclosed list or mapping is not text.
            let closes = |open: char, close: char| {
                let behind = value
                    .strip_prefix(open)
                    .and_then(|rest| rest.split_once(close));
                behind.is_some_and(|(_, behind)| !behind.is_empty())
            };
            let is_block = value.trim_start_matches(['|', '>', '+', '-']).is_empty();
            let is_quoted = "\"'".contains(begins)
                && value.len() > 1
                && value.ends_with(begins)
                && value.matches(begins).count() % 2 == 0
                && !value.contains(": ");
            if text.starts_with(['{', '[']) || is_block || is_quoted {
                return None;
            }
            let is_special = "%@`&*!|>?]},\"'#".contains(begins)
                || value.starts_with("- ")
                || closes('[', ']')
                || closes('{', '}');
            let why = if is_special {
                format!("begins with `{begins}`")
            } else if "[{".contains(begins) {
                return None;
            } else if value.contains(": ") || value.ends_with(':') {
                "contains a colon".to_owned()
            } else if value.contains(" #") {
                "contains ` #`".to_owned()
            } else {
                return None;
            };
            let key = quoted(key);
            let mut hint = format!("put the whole text in quotes, because it {why}: ");
            hint.push_str(&format!("write {key} as `\"…\"`, or below `|`"));
            Some(hint)
        };
        suspect(line).or_else(|| suspect(before))
    }

    /// Returns a line, counted from 1.
    fn line(&self, line: u32) -> Option<&'s str> {
        let begins = *self.lines.get((line as usize).checked_sub(1)?)?;
        let line = self.text.get(begins..)?.split('\n').next()?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// Returns the byte offset of a character.
    pub(super) fn byte(&self, index: usize) -> usize {
        match self.bytes.is_empty() {
            true => index,
            false => self.bytes.get(index).copied().unwrap_or(self.text.len()),
        }
    }

    /// Returns the text from the character at `index` on.
    fn from(&self, index: usize) -> Option<&'s str> {
        let byte = match self.bytes.is_empty() {
            true => index,
            false => *self.bytes.get(index)?,
        };
        self.text.get(byte..)
    }

    /// Maps the text of a single-line scalar to the file. `index` is the number of characters
    /// before the scalar, `at` its position; `quoted` is true if a quote precedes the text.
    pub(super) fn inline(&self, text: &str, index: usize, at: Position, quoted: bool) -> Origin {
        let index = index + usize::from(quoted);
        // With escapes or folds in between, the file's characters differ from the text's.
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

    /// Maps the text of a literal block to the file. `at` is the start of its first non-blank line.
    pub(super) fn literal(text: &str, at: Position) -> Origin {
        let blank = text.bytes().take_while(|byte| *byte == b'\n').count();
        Origin::Lines {
            line: at
                .line
                .saturating_sub(u32::try_from(blank).unwrap_or(u32::MAX)),
            indent: at.column - 1,
        }
    }

    /// Returns true if the line is indented with a tab.
    pub(super) fn tab_indents(&self, line: u32) -> bool {
        self.line(line).is_some_and(|line| {
            line.chars()
                .take_while(|c| c.is_whitespace())
                .any(|c| c == '\t')
        })
    }
}
