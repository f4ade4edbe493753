//! The parser: turns tokens into a syntax tree.
//!
//! The productions and their lookahead follow the grammar of Velocity 2.3: looking ahead makes the
//! lexer read a token in its current state.

mod block;
mod directive;
mod expression;
mod reference;
mod statement;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ast::{Block, Macros, Node};
use crate::error::{Error, Pos, Result};
use crate::lexer::{Kind, Lexer, Token};
use crate::limits::{MAX_SOURCE_BYTES, MAX_SOURCE_DEPTH, MAX_SOURCE_TOKENS};
use crate::options::ParseOptions;

/// The result of parsing.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) block: Block,
    pub(crate) macros: Macros,
    /// The options, which also apply to evaluated texts.
    pub(crate) options: ParseOptions,
}

/// Parses `source`, whose first character is at `pos`, inside `depth` levels of nesting.
pub(crate) fn parse(source: &str, pos: Pos, depth: u32, options: ParseOptions) -> Result<Parsed> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Error::new(
            pos,
            format!("the template is longer than {MAX_SOURCE_BYTES} bytes"),
        ));
    }
    let mut parser = Parser::new(Lexer::new(source, pos, options), depth, Macros::new());
    let block = parser.template()?;
    Ok(Parsed {
        block,
        macros: parser.macros,
        options,
    })
}

/// The state of parsing one source.
pub(crate) struct Parser {
    lexer: Lexer,
    ahead: VecDeque<Token>,
    /// The end of the last token.
    last_end: usize,
    /// The start of the last token.
    last_pos: Pos,
    depth: u32,
    /// Number of tokens so far, including those of nested texts.
    taken: u32,
    macros: Macros,
}

impl Parser {
    fn new(lexer: Lexer, depth: u32, macros: Macros) -> Parser {
        Parser {
            lexer,
            ahead: VecDeque::new(),
            last_end: 0,
            last_pos: Pos::START,
            depth,
            taken: 0,
            macros,
        }
    }

    /// Parses the whole source.
    fn template(&mut self) -> Result<Block> {
        self.enter()?;
        let mut block = Block::new();
        let mut line_start = true;
        while self.peek(1)? != Kind::EndOfFile {
            line_start = self.statement(&mut block, line_start)?;
        }
        self.leave();
        Ok(block)
    }

    /// Returns the kind of the `n`th next token, starting at 1.
    fn peek(&mut self, n: usize) -> Result<Kind> {
        while self.ahead.len() < n {
            let token = self.lexer.next_token()?;
            self.ahead.push_back(token);
        }
        Ok(self
            .ahead
            .get(n - 1)
            .map_or(Kind::EndOfFile, |token| token.kind))
    }

    /// Consumes the next token.
    fn take(&mut self) -> Result<Token> {
        self.peek(1)?;
        match self.ahead.pop_front() {
            Some(token) => {
                self.last_end = token.end;
                self.last_pos = token.pos;
                self.taken += 1;
                if self.taken > MAX_SOURCE_TOKENS {
                    let message =
                        format!("the template has more than {MAX_SOURCE_TOKENS} words and symbols");
                    return Err(Error::new(token.pos, message));
                }
                Ok(token)
            }
            None => Err(Error::new(Pos::START, "unexpected end of the template")),
        }
    }

    /// Consumes the next token, which must have one of `kinds`.
    fn expect(&mut self, kinds: &[Kind], expected: &str) -> Result<Token> {
        if kinds.contains(&self.peek(1)?) {
            self.take()
        } else {
            Err(self.unexpected_token(expected))
        }
    }

    /// Consumes the next token if it has this kind, and returns whether it did.
    fn accept(&mut self, kind: Kind) -> Result<bool> {
        let found = self.peek(1)? == kind;
        if found {
            self.take()?;
        }
        Ok(found)
    }

    /// Returns the error for an unexpected token.
    fn unexpected_token(&self, expected: &str) -> Error {
        match self.ahead.front() {
            Some(token) => Error::new(
                token.pos,
                format!("expected {expected}, found {}", self.describe(token)),
            ),
            None => Error::new(Pos::START, format!("expected {expected}")),
        }
    }

    fn describe(&self, token: &Token) -> String {
        let text = self.text(token);
        let short = text.chars().count() <= 20 && !text.chars().any(char::is_control);
        let name = token.kind.describe();
        if short && matches!(name, "a word" | "a number" | "an operator") {
            format!("'{text}'")
        } else {
            name.to_owned()
        }
    }

    fn text(&self, token: &Token) -> &str {
        self.slice(token.start, token.end)
    }

    fn slice(&self, start: usize, end: usize) -> &str {
        self.lexer.source().get(start..end).unwrap_or("")
    }

    fn position(&mut self) -> Result<Pos> {
        self.peek(1)?;
        Ok(self.ahead.front().map_or(Pos::START, |token| token.pos))
    }

    /// Returns the position `columns` to the right of `pos`.
    fn shifted(&self, pos: Pos, columns: usize) -> Pos {
        if self.lexer.has_fixed_position() {
            return pos;
        }
        Pos {
            line: pos.line,
            column: pos.column + u32::try_from(columns).unwrap_or(0),
        }
    }

    fn skip_white_space(&mut self) -> Result<()> {
        while matches!(self.peek(1)?, Kind::Whitespace | Kind::Newline) {
            self.take()?;
        }
        Ok(())
    }

    /// Consumes the end of the line with the white space before it, and returns it; empty if the
    /// line has other text.
    fn line_end(&mut self) -> Result<Box<str>> {
        let start = match self.peek(1)? {
            Kind::Newline => self.take()?.start,
            Kind::Whitespace if self.peek(2)? == Kind::Newline => {
                let start = self.take()?.start;
                self.take()?;
                start
            }
            _ => return Ok("".into()),
        };
        Ok(self.slice(start, self.last_end).into())
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_SOURCE_DEPTH {
            let pos = self.ahead.front().map_or(Pos::START, |token| token.pos);
            return Err(Error::new(
                pos,
                format!("nested deeper than {MAX_SOURCE_DEPTH} levels"),
            ));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Parses the content of a quoted text as a template. Unless it is `as_written`, its positions
    /// do not correspond to the source.
    fn nested(&mut self, source: &str, pos: Pos, as_written: bool) -> Result<Arc<Block>> {
        let macros = std::mem::take(&mut self.macros);
        let mut lexer = Lexer::new(source, pos, self.lexer.options());
        if !as_written {
            lexer.fix_position();
        }
        let mut parser = Parser::new(lexer, self.depth, macros);
        parser.taken = self.taken;
        let block = parser.template();
        self.taken = parser.taken;
        self.macros = parser.macros;
        block.map(Arc::new)
    }
}

/// Appends text to a block, merging it with a preceding text node.
fn push_text(block: &mut Block, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Node::Text(last)) = block.last_mut() {
        let mut joined = std::mem::take(last).into_string();
        joined.push_str(text);
        *last = joined.into_boxed_str();
    } else {
        block.push(Node::Text(text.into()));
    }
}
