//! Calls with blanks before their parenthesis, `$data.get ('name')`, where the options want them.

use super::quotes::{WIDE_SPACES, quoted_length};
use super::shapes::integer;
use super::{Lexer, State};

/// The method that is called so.
const GET: &str = ".get";

/// Bytes that are looked at for the closing parenthesis. The key of a value is far shorter, and
/// without a bound a source of many parentheses that nothing closes is read again for each.
const MOST: usize = 500;

impl Lexer {
    /// The length of blanks and the parenthesis behind them, if they belong to the method whose
    /// name ends here.
    pub(super) fn spaced_parenthesis(&self) -> Option<usize> {
        let wanted = self.options.spaced_calls && self.state == State::Property;
        if !wanted || !self.source.get(..self.at)?.ends_with(GET) {
            return None;
        }
        let ahead = beginning(self.rest());
        let open = ahead.trim_start_matches(blank);
        if open.len() == ahead.len() {
            return None;
        }
        let argument = within(open.strip_prefix('(')?);
        let length = match quoted_length(argument) {
            Some(length) => length,
            None => integer(argument),
        };
        let closes = length > 0 && within(argument.get(length..)?).starts_with(')');
        closes.then_some(ahead.len() - open.len() + 1)
    }
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t') || WIDE_SPACES.contains(&c)
}

/// A text from its first character on that no parenthesis takes for a blank.
fn within(text: &str) -> &str {
    text.trim_start_matches(|c| blank(c) || matches!(c, '\n' | '\r'))
}

fn beginning(text: &str) -> &str {
    let end = text.floor_char_boundary(MOST);
    text.get(..end).unwrap_or(text)
}
