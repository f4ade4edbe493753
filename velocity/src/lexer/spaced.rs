//! Calls with blanks before the parenthesis, such as `$data.get ('name')`, if the options allow
//! them.

use super::quotes::{WIDE_SPACES, quoted_length};
use super::shapes::integer;
use super::{Lexer, State};

/// The method that may be called this way.
const GET: &str = ".get";

/// Maximum number of bytes to scan for the closing parenthesis. Keys are much shorter, and without
/// a limit a source with many unclosed parentheses would be scanned again for each of them.
const MAX_SCAN_BYTES: usize = 500;

impl Lexer {
    /// Returns the length of the blanks and the parenthesis if they belong to the method whose name
    /// ends here.
    pub(super) fn spaced_parenthesis(&self) -> Option<usize> {
        let wanted = self.options.spaced_calls && self.state == State::Property;
        if !wanted || !self.source.get(..self.at)?.ends_with(GET) {
            return None;
        }
        let ahead = scan_window(self.rest());
        let open = ahead.trim_start_matches(blank);
        if open.len() == ahead.len() {
            return None;
        }
        let argument = skip_white_space(open.strip_prefix('(')?);
        let length = match quoted_length(argument) {
            Some(length) => length,
            None => integer(argument),
        };
        let closes = length > 0 && skip_white_space(argument.get(length..)?).starts_with(')');
        closes.then_some(ahead.len() - open.len() + 1)
    }
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t') || WIDE_SPACES.contains(&c)
}

/// Strips the white space that is ignored inside parentheses.
fn skip_white_space(text: &str) -> &str {
    text.trim_start_matches(|c| blank(c) || matches!(c, '\n' | '\r'))
}

fn scan_window(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_SCAN_BYTES);
    text.get(..end).unwrap_or(text)
}
