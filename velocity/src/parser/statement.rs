//! Text, references, comments, `#if` and `#set`.

use super::{Parser, push_text};
use crate::ast::{Block, Expr, If, Node, Output, Set};
use crate::error::{Error, Pos, Result};
use crate::lexer::{Kind, Token};

/// A `$`, `#` or both directly before a directive are text, and so is the surrounding white space.
#[derive(Debug, Default)]
pub(super) struct LiteralPrefix {
    /// The indentation before the directive.
    pub(super) indent: Box<str>,
    /// The symbols before the directive.
    pub(super) symbols: Box<str>,
}

impl LiteralPrefix {
    /// Returns the text before the directive. Without symbols, the indentation is dropped with the
    /// line.
    pub(super) fn before(&self) -> String {
        if self.symbols.is_empty() {
            String::new()
        } else {
            format!("{}{}", self.indent, self.symbols)
        }
    }

    /// Returns the end of the directive's line if the line has other text.
    pub(super) fn after<'t>(&self, line_end: &'t str) -> &'t str {
        if self.symbols.is_empty() {
            ""
        } else {
            line_end
        }
    }
}

impl Parser {
    /// Parses a statement. `line_start`: only white space precedes it in its line. Returns the same
    /// for what follows the statement.
    pub(super) fn statement(&mut self, block: &mut Block, line_start: bool) -> Result<bool> {
        let first = self.peek(1)?;
        let indented = line_start && first == Kind::Whitespace;
        let directive = if indented { self.peek(2)? } else { first };
        if directive == Kind::If {
            return self.if_statement(block, line_start);
        }
        if self.at_reference(first)? {
            let before = match block.last() {
                Some(Node::Text(text)) => text.chars().next_back(),
                _ => None,
            };
            let mut output = self.output()?;
            output.reads_as_text = reads_as_text(&output, before);
            block.push(Node::Output(Box::new(output)));
            return Ok(false);
        }
        match first {
            Kind::LineComment => {
                self.peek(2)?;
                let token = self.take()?;
                let text = self.text(&token).to_owned();
                push_text(block, text.strip_suffix("##").unwrap_or(""));
                self.accept(Kind::LineCommentEnd)?;
                return Ok(true);
            }
            Kind::BlockComment => {
                self.take()?;
                return Ok(false);
            }
            Kind::Raw => {
                let token = self.take()?;
                let text = self.text(&token);
                let (before, inner) = text.split_once("#[[").unwrap_or(("", text));
                let inner = inner.strip_suffix("]]#").unwrap_or(inner);
                push_text(block, before);
                block.push(Node::Raw(inner.into()));
                return Ok(false);
            }
            _ => {}
        }
        if directive == Kind::Set {
            return self.set_statement(block, line_start);
        }
        match directive {
            Kind::Word | Kind::BracedWord => return self.directive(block, line_start),
            _ => {}
        }
        self.text_statement(block, first, line_start)
    }

    fn text_statement(&mut self, block: &mut Block, first: Kind, line_start: bool) -> Result<bool> {
        let line_start = match first {
            Kind::EscapedDirective => {
                let token = self.take()?;
                let text = self.unescape_directive(self.text(&token));
                push_text(block, &text);
                return Ok(false);
            }
            Kind::DoubleEscape => {
                self.escapes(block)?;
                return Ok(false);
            }
            Kind::LoneSymbol => {
                let token = self.take()?;
                let end = token.end - 1;
                let text = format!("{}{}", token.stray, self.slice(token.start, end));
                push_text(block, &text);
                return Ok(false);
            }
            Kind::EndMark => {
                if self.peek(2)? == Kind::EndOfFile {
                    self.take()?;
                    return Ok(line_start);
                }
                false
            }
            Kind::TextLines | Kind::Newline | Kind::SymbolAtLineEnd => true,
            Kind::OrAfterName => line_start,
            Kind::InlineText
            | Kind::Whitespace
            | Kind::Dot
            | Kind::ParenOpen
            | Kind::ParenClose
            | Kind::Integer
            | Kind::Float
            | Kind::Str
            | Kind::Escape
            | Kind::CurlyOpen
            | Kind::CurlyClose
            | Kind::EmptyIndex
            | Kind::Pipe => false,
            Kind::End => return Err(self.unmatched_error("#end", "block")),
            Kind::Else => return Err(self.unmatched_error("#else", "#if")),
            Kind::ElseIf => return Err(self.unmatched_error("#elseif", "#if")),
            _ => return Err(self.unexpected_token("text or a reference")),
        };
        let token = self.take()?;
        let text = format!("{}{}", token.stray, self.text(&token));
        push_text(block, &text);
        Ok(line_start)
    }

    /// Returns the error for a directive that closes something that is not open.
    fn unmatched_error(&mut self, name: &str, opener: &str) -> Error {
        let pos = self.position().unwrap_or(Pos::START);
        let message = format!("{name} without an open {opener}; {}", text_advice(name));
        Error::new(pos, message)
    }

    /// Parses pairs of backslashes: each is one backslash before a directive, two otherwise.
    fn escapes(&mut self, block: &mut Block) -> Result<()> {
        let mut count = 0;
        while self.peek(1)? == Kind::DoubleEscape {
            let stray = self.take()?.stray;
            push_text(block, &stray);
            count += 1;
        }
        let control = match self.peek(1)? {
            Kind::If | Kind::Else | Kind::ElseIf | Kind::End => true,
            Kind::Word => {
                let name = self.ahead.front().map_or("", |token| self.text(token));
                self.is_directive(name.get(1..).unwrap_or(""))
            }
            _ => false,
        };
        let slashes = if control { "\\" } else { "\\\\" };
        push_text(block, &slashes.repeat(count));
        Ok(())
    }

    /// Parses `\#if`: the backslash is dropped if a directive follows.
    fn unescape_directive(&self, text: &str) -> String {
        let (slashes, name) = text.split_at(text.rfind('\\').map_or(0, |at| at + 1));
        let bare = name.trim_start_matches('#');
        let bare = bare
            .strip_prefix('{')
            .and_then(|bare| bare.strip_suffix('}'))
            .unwrap_or(bare);
        if self.is_directive(bare) || ["if", "end", "set", "else", "elseif"].contains(&bare) {
            let kept = (slashes.len() - 1) / 2;
            format!("{}{name}", "\\".repeat(kept))
        } else {
            text.to_owned()
        }
    }

    fn is_directive(&self, name: &str) -> bool {
        const NAMES: [&str; 8] = [
            "foreach", "include", "parse", "macro", "evaluate", "break", "define", "stop",
        ];
        NAMES.contains(&name) || self.macros.contains_key(name)
    }

    /// Parses the indentation of a directive at the start of a line.
    pub(super) fn indent(&mut self) -> Result<Box<str>> {
        if self.peek(1)? != Kind::Whitespace {
            return Ok("".into());
        }
        let token = self.take()?;
        Ok(self.text(&token).into())
    }

    /// Returns the symbols before the `#` of `token`.
    pub(super) fn symbols(&self, token: &Token) -> Box<str> {
        let text = self.text(token);
        let end = text.rfind('#').unwrap_or(0);
        text.get(..end).unwrap_or("").into()
    }

    fn if_statement(&mut self, block: &mut Block, line_start: bool) -> Result<bool> {
        let indent = self.indent()?;
        let token = self.take()?;
        let pos = token.pos;
        let prefix = LiteralPrefix {
            indent,
            symbols: self.symbols(&token),
        };
        self.enter()?;
        push_text(block, &prefix.before());
        let mut branches = Vec::new();
        let mut otherwise = Block::new();
        let condition = self.condition("#if")?;
        let (mut body, mut at_start) = self.branch(line_start)?;
        let mut condition = Some(condition);
        loop {
            let indent = if at_start { self.indent()? } else { "".into() };
            let kind = self.peek(1)?;
            if !matches!(kind, Kind::ElseIf | Kind::Else | Kind::End)
                || (condition.is_none() && kind != Kind::End)
            {
                let open = format!("#end for the #if in line {}", pos.line);
                return Err(self.unexpected_token(&open));
            }
            let token = self.take()?;
            let symbols = self.symbols(&token);
            push_text(&mut body, &LiteralPrefix { indent, symbols }.before());
            match condition.take() {
                Some(condition) => branches.push((condition, body)),
                None => otherwise = body,
            }
            match kind {
                Kind::ElseIf => condition = Some(self.condition("#elseif")?),
                Kind::Else => {}
                _ => break,
            }
            (body, at_start) = self.branch(at_start)?;
        }
        let mut ends_line = false;
        block.push(Node::If(Box::new(If {
            branches,
            otherwise,
            pos,
        })));
        if line_start {
            let line_end = self.line_end()?;
            ends_line = !line_end.is_empty();
            push_text(block, prefix.after(&line_end));
        }
        self.leave();
        Ok(ends_line)
    }

    /// Parses the parenthesised condition of `#if` or `#elseif`.
    fn condition(&mut self, name: &str) -> Result<Expr> {
        let pos = self.last_pos;
        let follows = self.lexer.rest().trim_start().starts_with('(');
        if self.ahead.is_empty() && !follows {
            return Err(missing_parentheses_error(
                pos,
                name,
                "a condition, such as #if($name)",
            ));
        }
        self.skip_white_space()?;
        self.expect(&[Kind::ParenOpen], &format!("'(' after {name}"))?;
        let condition = self.expression()?;
        let expected = format!("an operator or the ')' of {name}");
        self.expect(&[Kind::ParenClose], &expected)?;
        Ok(condition)
    }

    /// Parses statements up to `#elseif`, `#else` or `#end`. Returns whether a new line starts
    /// there.
    fn branch(&mut self, line_start: bool) -> Result<(Block, bool)> {
        let mut block = Block::new();
        let mut at_start = line_start;
        if !self.line_end()?.is_empty() {
            at_start = true;
        }
        loop {
            let mut kind = self.peek(1)?;
            if at_start && kind == Kind::Whitespace {
                kind = self.peek(2)?;
            }
            if matches!(kind, Kind::ElseIf | Kind::Else | Kind::End) {
                return Ok((block, at_start));
            }
            if self.peek(1)? == Kind::EndOfFile {
                return Ok((block, false));
            }
            at_start = self.statement(&mut block, at_start)?;
        }
    }

    fn set_statement(&mut self, block: &mut Block, line_start: bool) -> Result<bool> {
        let indent = self.indent()?;
        let token = self.take()?;
        let prefix = LiteralPrefix {
            indent,
            symbols: self.symbols(&token),
        };
        self.enter()?;
        push_text(block, &prefix.before());
        self.skip_white_space()?;
        let kind = self.peek(1)?;
        if !matches!(kind, Kind::Name | Kind::CurlyOpen) {
            return Err(self.unexpected_token("a reference such as $name after '#set('"));
        }
        let target = self.reference()?.reference;
        self.skip_white_space()?;
        self.expect(&[Kind::Assign], "'=' after the reference of #set")?;
        let value = self.expression()?;
        self.expect(&[Kind::ParenClose], "an operator or the ')' of #set")?;
        self.lexer.end_set();
        self.leave();
        block.push(Node::Set(Box::new(Set { target, value })));
        if !line_start {
            return Ok(false);
        }
        let line_end = self.line_end()?;
        push_text(block, prefix.after(&line_end));
        Ok(!line_end.is_empty())
    }
}

/// Returns the error for a directive without its parentheses.
pub(super) fn missing_parentheses_error(pos: Pos, name: &str, what: &str) -> Error {
    Error::new(pos, format!("{name} needs {what}; {}", text_advice(name)))
}

/// Returns the advice for a directive name that is meant as text, such as a URL fragment.
fn text_advice(name: &str) -> String {
    format!("if {name} is text here, as in a link, write #[[{name}]]#")
}

/// Returns true if the dollar sign is probably part of the text: `10$off`, `A$AP`, `US$ABC`, `$US
/// 10`.
fn reads_as_text(output: &Output, before: Option<char>) -> bool {
    let name = &*output.reference.name;
    // Neither braces nor `!`, and no steps.
    let bare = output.source.strip_prefix('$') == Some(name);
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let capitals = letters.bytes().all(|byte| byte.is_ascii_uppercase());
    let only_letters = name.bytes().all(|byte| byte.is_ascii_alphabetic());
    bare && !output.escaped
        && match before {
            Some(c) if c.is_ascii_digit() && only_letters => true,
            Some(c) if c.is_alphabetic() && capitals => letters.len() <= 3,
            _ => capitals && letters.len() <= 2,
        }
}
