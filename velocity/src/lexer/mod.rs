//! Splits a template into tokens.
//!
//! Velocity has no clear boundary between text and language: whether `.` continues a reference or
//! ends a sentence depends on what was read before. So the lexer is a state machine with a stack of
//! [`State`]s. In each state the longest match wins, and among equally long matches the first rule,
//! as in the grammar of Velocity 2.3 (`Parser.jjt`).

mod actions;
mod hidden;
mod quotes;
mod rules;
mod shapes;
mod spaced;
mod token;

use std::sync::Arc;

pub(crate) use quotes::Quoted;
pub(crate) use token::{Kind, State, Token};

use crate::error::{Error, Pos, Result};
use crate::options::ParseOptions;

/// Terminates the source, so that something follows a final `$` or `#`. Velocity uses the same
/// control character.
pub(crate) const END_MARK: char = '\u{1c}';

/// A saved state with its bracket counts.
#[derive(Debug, Clone, Copy)]
struct Saved {
    state: State,
    open: u32,
    closed: u32,
    curly: i32,
}

/// The effect of a matched rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Token(Kind),
    /// `$` or `$!`: the token continues.
    Dollar,
    /// `#`: the token continues.
    Hash,
    RawStart,
    BlockCommentStart,
    FormalCommentStart,
    /// The reference or directive ended before this character.
    Terminator,
}

/// Reads the tokens of a source on demand.
#[derive(Debug)]
pub(crate) struct Lexer {
    source: Arc<str>,
    at: usize,
    state: State,
    stack: Vec<Saved>,
    open: u32,
    closed: u32,
    curly: i32,
    hidden: bool,
    in_set: bool,
    /// The last run of backslashes, so that a long run is counted only once.
    slashes: (usize, usize),
    located: (usize, Pos),
    /// All positions are that of the start, because the source differs from what was written there.
    has_fixed_position: bool,
    options: ParseOptions,
}

impl Lexer {
    /// Creates a lexer for `source`, whose first character is at `pos`.
    pub(crate) fn new(source: &str, pos: Pos, options: ParseOptions) -> Lexer {
        let mut marked = String::with_capacity(source.len() + 1);
        marked.push_str(source);
        marked.push(END_MARK);
        Lexer {
            source: marked.into(),
            at: 0,
            state: State::Text,
            stack: Vec::new(),
            open: 0,
            closed: 0,
            curly: 0,
            hidden: false,
            in_set: false,
            slashes: (0, 0),
            located: (0, pos),
            has_fixed_position: false,
            options,
        }
    }

    /// Reports the position of the start for all tokens.
    pub(crate) fn fix_position(&mut self) {
        self.has_fixed_position = true;
    }

    pub(crate) fn has_fixed_position(&self) -> bool {
        self.has_fixed_position
    }

    pub(crate) fn options(&self) -> ParseOptions {
        self.options
    }

    /// Returns the source with the end mark.
    pub(crate) fn source(&self) -> &Arc<str> {
        &self.source
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn switch_to(&mut self, state: State) {
        self.state = state;
    }

    pub(crate) fn end_set(&mut self) {
        self.in_set = false;
    }

    /// Returns the source from the start of the next token.
    pub(crate) fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or("")
    }

    /// Returns the position of `at`. Calls with increasing `at` scan the source only once.
    fn locate(&mut self, at: usize) -> Pos {
        if self.has_fixed_position {
            return self.located.1;
        }
        let (from, mut pos) = if at >= self.located.0 {
            self.located
        } else {
            return self.located.1;
        };
        let mut after_cr = from > 0 && self.source.as_bytes().get(from - 1) == Some(&b'\r');
        for c in self.source.get(from..at).unwrap_or("").chars() {
            match c {
                '\n' if after_cr => {}
                '\n' | '\r' => {
                    pos.line += 1;
                    pos.column = 1;
                }
                _ => pos.column += 1,
            }
            after_cr = c == '\r';
        }
        self.located = (at, pos);
        pos
    }

    fn push(&mut self) {
        self.stack.push(Saved {
            state: self.state,
            open: self.open,
            closed: self.closed,
            curly: self.curly,
        });
        self.open = 0;
        self.curly = 0;
    }

    /// Restores the previous state; returns false if there was none.
    pub(crate) fn pop(&mut self) -> bool {
        match self.stack.pop() {
            Some(saved) => {
                self.state = saved.state;
                self.open = saved.open;
                self.closed = saved.closed;
                self.curly = saved.curly;
                true
            }
            None => {
                self.open = 0;
                self.state = State::Text;
                false
            }
        }
    }

    fn error(&mut self, at: usize, message: impl Into<String>) -> Error {
        let pos = self.locate(at);
        Error::new(pos, message)
    }

    /// Returns the next token; after the last one, always [`Kind::EndOfFile`].
    pub(crate) fn next_token(&mut self) -> Result<Token> {
        let mut start = self.at;
        let mut stray = String::new();
        loop {
            if self.at >= self.source.len() {
                let end = self.source.len() - END_MARK.len_utf8();
                let pos = self.locate(start.min(end));
                return Ok(self.token(Kind::EndOfFile, self.at, stray, pos));
            }
            if self.hidden {
                match self.skip_hidden(&mut start)? {
                    Some(kind) => {
                        let pos = self.locate(start);
                        return Ok(self.token(kind, start, stray, pos));
                    }
                    None => continue,
                }
            }
            let Some((rule, length)) = self.longest_match() else {
                let found = self.rest().chars().next().unwrap_or(END_MARK);
                let at = self.at;
                return Err(self.error(at, self.unexpected(found)));
            };
            let from = self.at;
            self.at += length;
            match rule {
                Rule::Token(kind) => {
                    let pos = self.locate(start);
                    self.act(kind, from);
                    return Ok(self.token(kind, start, stray, pos));
                }
                Rule::Terminator => {
                    let text = self.source.get(start..self.at).unwrap_or("");
                    push_stray(text, &mut stray);
                    self.at = from;
                    self.pop();
                    start = from;
                }
                Rule::Dollar => self.on_dollar(),
                Rule::Hash => self.on_hash(),
                Rule::RawStart => self.hide(State::Raw),
                Rule::BlockCommentStart => self.hide(State::BlockComment),
                Rule::FormalCommentStart => {
                    // The character after the stars belongs to the comment.
                    self.at = from + 3;
                    self.hide(State::FormalComment);
                }
            }
        }
    }

    fn unexpected(&self, found: char) -> String {
        let (place, expected) = match self.state {
            State::Call => (
                "in the parentheses of a method call",
                ": expected values, such as a text in ' or \" quotes, with commas between them",
            ),
            State::Index => (
                "in the brackets of an index",
                ": expected a whole number, or a text in ' or \" quotes",
            ),
            State::Alternate => (
                "in the default value of a reference",
                ": expected a value, such as a text in ' or \" quotes",
            ),
            State::Directive => (
                "in the arguments of a directive",
                ": expected values, such as a text in ' or \" quotes, and operators between them",
            ),
            _ => ("here", ""),
        };
        match found {
            END_MARK => format!("unexpected end of the template {place}{expected}"),
            '\'' | '"' => format!("the closing {found} is missing"),
            _ => format!("unexpected '{found}' {place}{expected}"),
        }
    }

    fn token(&self, kind: Kind, start: usize, stray: String, pos: Pos) -> Token {
        Token {
            kind,
            start,
            end: self.at,
            stray: stray.into_boxed_str(),
            pos,
        }
    }
}

/// Keeps the `$`, `#` and backslashes before `$` of a text that turned out not to be language; the
/// character that ended it is read again.
fn push_stray(text: &str, stray: &mut String) {
    let mut slashes = 0;
    for c in text.chars() {
        match c {
            '\\' => slashes += 1,
            '$' => {
                stray.extend(std::iter::repeat_n('\\', slashes));
                stray.push('$');
                slashes = 0;
            }
            '#' => {
                stray.push('#');
                slashes = 0;
            }
            _ => slashes = 0,
        }
    }
}
