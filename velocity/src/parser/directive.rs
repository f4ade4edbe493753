//! `#foreach`, `#define`, `#macro`, `#evaluate`, `#break`, `#stop` and calls of macros.

use std::sync::Arc;

use super::statement::{LiteralPrefix, missing_parentheses_error};
use super::{Parser, push_text};
use crate::ast::{Block, Call, Expr, Node};
use crate::error::{Error, Pos, Result, excerpt};
use crate::lexer::{Kind, State};

/// An argument of a directive.
#[derive(Debug)]
pub(super) enum Argument {
    Word(Box<str>),
    Value(Expr),
    /// `$name = value` in a `#macro`.
    Default(Arc<str>, Expr),
}

/// The part of a directive before its block.
pub(super) struct DirectiveHead {
    pub(super) name: Box<str>,
    pub(super) start: usize,
    pub(super) pos: Pos,
    pub(super) arguments: Vec<Argument>,
}

impl Parser {
    /// Parses a directive other than `#if` and `#set`.
    pub(super) fn directive(&mut self, block: &mut Block, line_start: bool) -> Result<bool> {
        let start = self.position_start()?;
        let indent = self.indent()?;
        let token = self.take()?;
        let prefix = LiteralPrefix {
            indent,
            symbols: self.symbols(&token),
        };
        let text = self.text(&token);
        let name = text.get(text.rfind('#').map_or(0, |at| at + 1)..);
        let name = name.unwrap_or("").trim_matches(['{', '}']);
        let mut head = DirectiveHead {
            name: name.into(),
            start,
            pos: token.pos,
            arguments: Vec::new(),
        };
        self.enter()?;
        self.lexer.switch_to(State::Directive);
        if self.parenthesis_follows() {
            head.arguments = self.arguments(&head.name)?;
        } else {
            self.lexer.pop();
            let example = match &*head.name {
                "foreach" => "a list, as in #foreach($item in $list)",
                "define" => "a name, as in #define($name)",
                "macro" => "a name, as in #macro(name)",
                _ => "",
            };
            if !example.is_empty() {
                return Err(missing_parentheses_error(
                    head.pos,
                    &format!("#{}", head.name),
                    example,
                ));
            }
        }
        let has_block =
            matches!(&*head.name, "foreach" | "define" | "macro") || head.name.starts_with('@');
        let takes_line = has_block || line_start || matches!(&*head.name, "include" | "parse");
        let line_end = if takes_line {
            self.line_end()?
        } else {
            "".into()
        };
        let at_start = !line_end.is_empty();
        let ends_line = if has_block {
            self.block_directive(block, head, &prefix, line_start, at_start)?
        } else {
            self.line_directive(block, head, &prefix, &line_end)?;
            at_start
        };
        self.leave();
        Ok(ends_line)
    }

    fn position_start(&mut self) -> Result<usize> {
        self.peek(1)?;
        Ok(self.ahead.front().map_or(0, |token| token.start))
    }

    /// Returns true if `(` is the next non-blank character.
    fn parenthesis_follows(&self) -> bool {
        self.lexer
            .rest()
            .trim_start_matches([' ', '\n', '\r', '\t'])
            .starts_with('(')
    }

    /// Returns true at the end of the arguments.
    fn at_end_of_arguments(&mut self) -> Result<bool> {
        Ok(match self.peek(1)? {
            Kind::ParenClose => true,
            Kind::Whitespace | Kind::Newline => self
                .lexer
                .rest()
                .trim_start_matches([' ', '\n', '\r', '\t', '\u{a0}'])
                .starts_with(')'),
            _ => false,
        })
    }

    fn arguments(&mut self, name: &str) -> Result<Vec<Argument>> {
        let mut arguments = Vec::new();
        self.skip_white_space()?;
        self.expect(&[Kind::ParenOpen], "'('")?;
        while !self.at_end_of_arguments()? {
            self.skip_white_space()?;
            if self.accept(Kind::Comma)? {
                self.skip_white_space()?;
            }
            if name == "macro" && self.peek(1)? == Kind::LineComment {
                self.take()?;
                self.accept(Kind::LineCommentEnd)?;
                continue;
            }
            let argument = self.argument(name)?;
            arguments.push(argument);
        }
        self.skip_white_space()?;
        self.expect(&[Kind::ParenClose], &format!("')' of #{}", excerpt(name)))?;
        Ok(arguments)
    }

    fn argument(&mut self, directive: &str) -> Result<Argument> {
        if self.peek(1)? == Kind::Word {
            let token = self.take()?;
            return Ok(Argument::Word(self.text(&token).into()));
        }
        let assigned = directive == "macro"
            && self.lexer.state() == State::Name
            && self.lexer.rest().trim_start().starts_with('=');
        if assigned && self.peek(1)? == Kind::Name {
            let name = self.reference()?.reference.name;
            self.skip_white_space()?;
            self.expect(&[Kind::Assign], "'='")?;
            self.skip_white_space()?;
            let value = self.simple_value()?;
            return Ok(Argument::Default(name, value));
        }
        Ok(Argument::Value(self.simple_value()?))
    }

    fn line_directive(
        &mut self,
        block: &mut Block,
        head: DirectiveHead,
        prefix: &LiteralPrefix,
        line_end: &str,
    ) -> Result<()> {
        let pos = head.pos;
        let node = match &*head.name {
            "stop" => Node::Stop,
            "break" => match head.arguments.into_iter().next() {
                None => Node::Break(None),
                Some(Argument::Value(scope)) => Node::Break(Some(Box::new(scope))),
                Some(_) => {
                    return Err(Error::new(
                        pos,
                        "expected a loop such as $foreach in #break",
                    ));
                }
            },
            "evaluate" => match <[Argument; 1]>::try_from(head.arguments) {
                Ok(
                    [
                        Argument::Value(
                            value @ (Expr::Text(_) | Expr::Template(..) | Expr::Reference(_)),
                        ),
                    ],
                ) => Node::Evaluate(Box::new(value), pos),
                _ => {
                    return Err(Error::new(
                        pos,
                        "expected one text or reference in #evaluate",
                    ));
                }
            },
            "include" if head.arguments.is_empty() => {
                push_text(block, &prefix.before());
                push_text(block, prefix.after(line_end));
                return Ok(());
            }
            "include" | "parse" => {
                let message = format!(
                    "#{} is not available: messages cannot read files",
                    head.name
                );
                return Err(Error::new(pos, message));
            }
            _ => {
                let call = self.call(head, None, prefix, line_end)?;
                block.push(Node::Call(Box::new(call)));
                return Ok(());
            }
        };
        push_text(block, &prefix.before());
        block.push(node);
        push_text(block, prefix.after(line_end));
        Ok(())
    }

    pub(super) fn call(
        &self,
        head: DirectiveHead,
        body: Option<Block>,
        prefix: &LiteralPrefix,
        line_end: &str,
    ) -> Result<Call> {
        let mut arguments = Vec::new();
        let mut bare_word = None;
        for argument in head.arguments {
            match argument {
                Argument::Value(value) => arguments.push(value),
                Argument::Word(word) => bare_word = Some(word),
                Argument::Default(..) => {}
            }
        }
        Ok(Call {
            name: head.name.trim_start_matches('@').into(),
            arguments,
            body: body.map(Arc::new),
            bare_word,
            source: self.lexer.source().clone(),
            range: head.start..self.last_end,
            before: prefix.before().into(),
            after: prefix.after(line_end).into(),
            pos: head.pos,
        })
    }
}
