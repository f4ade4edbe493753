//! The text of a file, and where the characters of its scalars stand in it.

use super::diagnostic::shown;
use super::node::Position;
use super::scalar::Origin;

/// What to do with a text that YAML reads otherwise.
pub(super) const QUOTES: &str = "put the text in quotes, or write it below `|`";

/// Keys further to the right are not asked what stands behind them.
const MAX_KEY_COLUMN: u32 = 200;

/// What YAML takes for a comment.
pub(super) struct Comment<'s> {
    /// The blanks before it.
    pub(super) blanks: usize,
    /// It, with its sign.
    pub(super) text: &'s str,
}

/// Whether a directive of a template stands there.
pub(super) fn is_directive(text: &str) -> bool {
    let text = text.trim_start_matches('#');
    ["if", "elseif", "foreach", "set"].iter().any(|word| {
        let after = text.strip_prefix(word);
        after.is_some_and(|after| after.trim_start_matches(' ').starts_with('('))
    })
}

/// A file's text with what it takes to find a place in it quickly.
pub(super) struct Source<'s> {
    text: &'s str,
    /// The byte that each character begins at; empty where every character is one byte.
    bytes: Vec<usize>,
    /// The byte that each line begins at.
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

    /// What YAML takes for a comment after so many characters, where blanks alone stand before it.
    pub(super) fn comment(&self, index: usize) -> Option<Comment<'s>> {
        let rest = self.from(index)?;
        let text = rest.trim_start_matches([' ', '\t']);
        let blanks = rest.len() - text.len();
        // A line may be as long as the file: it is walked over for a comment alone.
        if blanks == 0 || !text.starts_with('#') {
            return None;
        }
        let text = text.split(['\n', '\r']).next().unwrap_or_default();
        Some(Comment { blanks, text })
    }

    /// Where a comment begins in the line below so many characters, indented deeper than that column
    /// and without a blank behind its sign: in a text of several lines it is most likely one of them.
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

    /// The column of a comment that stands where the value of a key would.
    pub(super) fn comment_after_key(&self, key: Position) -> Option<u32> {
        // Nobody writes one further to the right; a file that is one long line has thousands of keys.
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

    /// The hint to put a text in quotes, where a line that is no YAML holds one that needs them. The
    /// parser may find it in the next line only.
    pub(super) fn unquoted(&self, line: u32) -> Option<String> {
        let before = line.saturating_sub(1);
        let suspect = |line: u32| {
            let text = self.line(line)?.trim_start_matches(['-', ' ']);
            let (key, value) = text.split_once(": ")?;
            let value = value.trim();
            let begins = value.chars().next()?;
            // A list or mapping that is not closed is no text.
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
            let key = shown(key);
            let mut hint = format!("put the whole text in quotes, because it {why}: ");
            hint.push_str(&format!("write {key} as `\"…\"`, or below `|`"));
            Some(hint)
        };
        suspect(line).or_else(|| suspect(before))
    }

    /// A line, counted from 1.
    fn line(&self, line: u32) -> Option<&'s str> {
        let begins = *self.lines.get((line as usize).checked_sub(1)?)?;
        let line = self.text.get(begins..)?.split('\n').next()?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// The byte at which a character begins.
    pub(super) fn byte(&self, index: usize) -> usize {
        match self.bytes.is_empty() {
            true => index,
            false => self.bytes.get(index).copied().unwrap_or(self.text.len()),
        }
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
        self.line(line).is_some_and(|line| {
            line.chars()
                .take_while(|c| c.is_whitespace())
                .any(|c| c == '\t')
        })
    }
}
