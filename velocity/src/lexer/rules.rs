//! The rules of each state, by their priority among equally long matches.

use super::hidden::char_length;
use super::quotes::{WIDE_SPACES, quoted_length};
use super::shapes::{braced_word, float, identifier, integer, newline, word};
use super::{Kind, Lexer, Rule, State};

/// The longest match so far; a later rule must be longer to win.
struct Best(Option<(Rule, usize)>);

impl Best {
    fn offer(&mut self, rule: Rule, length: usize) {
        if length > self.0.map_or(0, |best| best.1) {
            self.0 = Some((rule, length));
        }
    }

    fn token(&mut self, kind: Kind, length: usize) {
        self.offer(Rule::Token(kind), length);
    }
}

/// Operators; [`Best`] selects the longest match.
const OPERATORS: [(&str, Kind); 25] = [
    ("-", Kind::Minus),
    ("+", Kind::Plus),
    ("*", Kind::Times),
    ("/", Kind::Divide),
    ("%", Kind::Modulo),
    ("&&", Kind::And),
    ("and", Kind::And),
    ("||", Kind::Or),
    ("or", Kind::Or),
    ("<", Kind::Less),
    ("lt", Kind::Less),
    ("<=", Kind::LessEqual),
    ("le", Kind::LessEqual),
    (">", Kind::Greater),
    ("gt", Kind::Greater),
    (">=", Kind::GreaterEqual),
    ("ge", Kind::GreaterEqual),
    ("==", Kind::Equal),
    ("eq", Kind::Equal),
    ("!=", Kind::NotEqual),
    ("ne", Kind::NotEqual),
    ("!", Kind::Not),
    ("not", Kind::Not),
    ("=", Kind::Assign),
    ("..", Kind::Range),
];

const CONTROL: [(&str, Kind); 8] = [
    ("end", Kind::End),
    ("{end}", Kind::End),
    ("if", Kind::If),
    ("{if}", Kind::If),
    ("elseif", Kind::ElseIf),
    ("{elseif}", Kind::ElseIf),
    ("else", Kind::Else),
    ("{else}", Kind::Else),
];

impl Lexer {
    /// Returns the rule that applies at the current position. Comments are handled elsewhere.
    pub(super) fn longest_match(&mut self) -> Option<(Rule, usize)> {
        let first = *self.source.as_bytes().get(self.at)?;
        if self.state == State::Text && !matches!(first, b'$' | b'#' | b'\\' | 0x1c) {
            return self.plain_text();
        }
        let slashes = self.count_slashes(first);
        let state = self.state;
        let rest = self.rest();
        let mut best = Best(None);
        if first == 0x1c {
            let lone = matches!(state, State::Dollar | State::Hash);
            best.token(
                if lone {
                    Kind::LoneSymbol
                } else {
                    Kind::EndMark
                },
                1,
            );
        }
        brackets(state, rest, &mut best);
        if let Some(length) = self.spaced_parenthesis() {
            best.token(Kind::ParenOpen, length);
        }
        symbols(state, rest, slashes, &mut best);
        match_white_space(state, rest, &mut best);
        literals(state, rest, &mut best);
        words(state, rest, &mut best);
        if state == State::Text && first == b'\\' {
            let double = rest.as_bytes().get(1) == Some(&b'\\');
            let kind = if double {
                Kind::DoubleEscape
            } else {
                Kind::Escape
            };
            best.token(kind, 1 + usize::from(double));
        }
        if matches!(state, State::Text | State::Dollar) {
            for text in ["$[", "$![", "$\\![", "$."] {
                if rest.starts_with(text) {
                    best.token(Kind::EmptyIndex, text.len());
                }
            }
        }
        best.0
    }

    /// Returns the length of the run of backslashes here, counted once per run.
    fn count_slashes(&mut self, first: u8) -> usize {
        if first != b'\\' {
            return 0;
        }
        let (start, end) = self.slashes;
        if !(start <= self.at && self.at < end) {
            let count = self.rest().bytes().take_while(|b| *b == b'\\').count();
            self.slashes = (self.at, self.at + count);
        }
        self.slashes.1 - self.at
    }

    /// Matches text up to the next symbol: whole lines as one token unless the first is blank.
    fn plain_text(&self) -> Option<(Rule, usize)> {
        let bytes = self.rest().as_bytes();
        let line = bytes
            .iter()
            .position(|b| matches!(b, b'$' | b'#' | b'\\' | b'\r' | b'\n' | 0x1c))
            .unwrap_or(bytes.len());
        let blank = bytes.get(..line)?.iter().all(|b| matches!(b, b' ' | b'\t'));
        if line == 0 {
            return Some((Rule::Token(Kind::Newline), newline(bytes)));
        }
        if blank {
            return Some((Rule::Token(Kind::Whitespace), line));
        }
        let mut lines = 0;
        let mut at = line;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\r' | b'\n' => {
                    at += newline(bytes.get(at..)?);
                    lines = at;
                }
                b'$' | b'#' | b'\\' | 0x1c => break,
                _ => at += 1,
            }
        }
        Some(if lines > 0 {
            (Rule::Token(Kind::TextLines), lines)
        } else {
            (Rule::Token(Kind::InlineText), line)
        })
    }
}

fn brackets(state: State, rest: &str, best: &mut Best) {
    use State::{Alternate, Call, CallEnd, Directive, Dollar, Index, Name, Property};
    let Some(&first) = rest.as_bytes().first() else {
        return;
    };
    let after_name = matches!(state, Name | Property | CallEnd);
    let arguments = matches!(state, Directive | Call | Alternate);
    let kind = match first {
        b'[' if after_name => Kind::IndexOpen,
        b'|' if after_name => Kind::Pipe,
        b']' if state == Index => Kind::IndexClose,
        b'[' if arguments => Kind::ListOpen,
        b']' if arguments => Kind::ListClose,
        b',' if arguments => Kind::Comma,
        b':' if arguments => Kind::Colon,
        b'{' if arguments => Kind::MapOpen,
        b'}' if arguments => Kind::MapClose,
        b'(' if matches!(state, Directive | Property) => Kind::ParenOpen,
        b')' if state == Directive => Kind::ParenClose,
        b')' if state == Call => Kind::CallClose,
        b'{' if matches!(state, Dollar | Name | Property | CallEnd) => Kind::CurlyOpen,
        b'}' if matches!(state, Dollar | Name | Property | CallEnd) => Kind::CurlyClose,
        _ => return,
    };
    if kind == Kind::Pipe && rest.starts_with("||") {
        best.token(Kind::OrAfterName, 2);
    }
    best.token(kind, 1);
}

/// Matches `$`, `#` and tokens that start with them or with backslashes before them.
fn symbols(state: State, rest: &str, slashes: usize, best: &mut Best) {
    let bytes = rest.as_bytes();
    match bytes.get(slashes) {
        Some(b'$') => {
            let bang = bytes
                .get(slashes + 1..)
                .map_or(0, |b| b.iter().take_while(|b| **b == b'\\').count());
            if bytes.get(slashes + 1 + bang) == Some(&b'!') {
                best.offer(Rule::Dollar, slashes + bang + 2);
            } else {
                best.offer(Rule::Dollar, slashes + 1);
            }
        }
        Some(b'#') if slashes % 2 == 1 && state == State::Text => {
            let name = rest.get(slashes + 1..).unwrap_or("");
            let length = word(name).max(braced_word(name));
            if length > 0 {
                best.token(Kind::EscapedDirective, slashes + 1 + length);
            }
        }
        Some(b'#') if slashes == 0 => hashes(state, rest, best),
        _ => {}
    }
}

fn hashes(state: State, rest: &str, best: &mut Best) {
    use State::{Alternate, Index};
    let bytes = rest.as_bytes();
    if !matches!(state, Index | Alternate | State::Hash | State::Directive) {
        for name in ["#set", "#{set}"] {
            if let Some(after) = rest.strip_prefix(name) {
                let open = after.trim_start_matches([' ', '\t']);
                if open.starts_with('(') {
                    best.token(Kind::Set, rest.len() - open.len() + 1);
                }
            }
        }
    }
    match bytes {
        [_, b'[', b'[', ..] => best.offer(Rule::RawStart, 3),
        [_, b'*', b'*', c, ..] if !matches!(*c, b'#' | 0x1c) => {
            best.offer(Rule::FormalCommentStart, 3 + char_length(*c));
        }
        [_, b'*', ..] => best.offer(Rule::BlockCommentStart, 2),
        _ => {}
    }
    best.offer(Rule::Hash, 1);
    if bytes.get(1) == Some(&b'#') && !matches!(state, Index | Alternate) {
        best.token(Kind::LineComment, 2);
    }
}

fn match_white_space(state: State, rest: &str, best: &mut Best) {
    use State::{Alternate, Call, Directive, Dollar, Hash, Index};
    let bytes = rest.as_bytes();
    if matches!(state, Call | Directive | Index | Alternate) {
        let wide = |c: char| matches!(c, ' ' | '\t') || WIDE_SPACES.contains(&c);
        let length = rest.len() - rest.trim_start_matches(wide).len();
        best.token(Kind::Whitespace, length);
        best.token(Kind::Newline, newline(bytes));
    }
    if matches!(state, Dollar | Hash) {
        let blank = bytes
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count();
        let end = newline(bytes.get(blank..).unwrap_or(&[]));
        if end > 0 {
            best.token(Kind::SymbolAtLineEnd, blank + end);
        }
    }
}

fn literals(state: State, rest: &str, best: &mut Best) {
    use State::{Alternate, Call, Directive, Hash, Index, Name, Property};
    let arguments = matches!(state, Call | Directive | Index | Alternate);
    if arguments && let Some(length) = quoted_length(rest) {
        best.token(Kind::Str, length);
    }
    if arguments || matches!(state, Name | Property) {
        for (text, kind) in [("true", Kind::True), ("false", Kind::False)] {
            if rest.starts_with(text) {
                best.token(kind, text.len());
            }
        }
    }
    if arguments {
        for (text, kind) in OPERATORS {
            if rest.starts_with(text) && (kind != Kind::Range || state != Index) {
                best.token(kind, text.len());
            }
        }
    }
    if state == Hash {
        for (text, kind) in CONTROL {
            if rest.starts_with(text) {
                best.token(kind, text.len());
            }
        }
    }
    if arguments || state == Hash {
        best.token(Kind::Integer, integer(rest));
        best.token(Kind::Float, float(rest));
    }
}

fn words(state: State, rest: &str, best: &mut Best) {
    use State::{Call, CallEnd, Directive, Dollar, Hash, Name, Property};
    if matches!(state, Hash | Directive) {
        best.token(Kind::Word, word(rest));
        best.token(Kind::BracedWord, braced_word(rest));
    }
    if matches!(state, Dollar | Property | Call) {
        best.token(Kind::Name, identifier(rest));
    }
    let letter_follows = identifier(rest.get(1..).unwrap_or("")) > 0;
    if matches!(state, Name | Property | Call | CallEnd) && rest.starts_with('.') && letter_follows
    {
        best.token(Kind::Dot, 2);
    }
    if matches!(state, Dollar | Name | Property | CallEnd | Hash)
        && let Some(next) = rest.chars().next()
    {
        best.offer(Rule::Terminator, next.len_utf8());
    }
}
