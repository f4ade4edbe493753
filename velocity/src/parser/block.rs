//! Directives with a block: `#foreach`, `#define`, `#macro` and calls with a body.

use std::sync::Arc;

use super::directive::{Argument, DirectiveHead};
use super::statement::LiteralPrefix;
use super::{Parser, push_text};
use crate::ast::{Block, Expr, Foreach, Macro, Node, Reference};
use crate::error::{Error, Result, excerpt};
use crate::lexer::Kind;

impl Parser {
    /// Parses the block of a directive up to its `#end`.
    pub(super) fn block_directive(
        &mut self,
        block: &mut Block,
        head: DirectiveHead,
        prefix: &LiteralPrefix,
        line_start: bool,
        at_start: bool,
    ) -> Result<bool> {
        let name = head.name.clone();
        let pos = head.pos;
        let (mut body, at_start) = self.directive_block(at_start)?;
        let mut otherwise = Block::new();
        let mut indent = if at_start { self.indent()? } else { "".into() };
        let mut at_start = at_start;
        if &*name == "foreach" && self.peek(1)? == Kind::Else {
            let token = self.take()?;
            let symbols = self.symbols(&token);
            push_text(&mut body, &LiteralPrefix { indent, symbols }.before());
            if !self.line_end()?.is_empty() {
                at_start = true;
            }
            (otherwise, at_start) = self.directive_block(at_start)?;
            indent = if at_start { self.indent()? } else { "".into() };
        }
        let expected = format!("#end for the #{} in line {}", excerpt(&name), pos.line);
        let token = self.expect(&[Kind::End], &expected)?;
        let symbols = self.symbols(&token);
        let last = if otherwise.is_empty() {
            &mut body
        } else {
            &mut otherwise
        };
        push_text(last, &LiteralPrefix { indent, symbols }.before());
        let line_end = if line_start {
            self.line_end()?
        } else {
            "".into()
        };
        let ends_line = !line_end.is_empty();
        if name.starts_with('@') {
            let call = self.call(head, Some(body), prefix, &line_end)?;
            block.push(Node::Call(Box::new(call)));
            return Ok(ends_line);
        }
        push_text(block, &prefix.before());
        match &*name {
            "foreach" => block.push(foreach(head, body, otherwise)?),
            "define" => block.push(define(head, body)?),
            _ => self.define_macro(head, body)?,
        }
        push_text(block, prefix.after(&line_end));
        Ok(ends_line)
    }

    fn directive_block(&mut self, line_start: bool) -> Result<(Block, bool)> {
        let mut block = Block::new();
        let mut at_start = line_start;
        loop {
            let first = self.peek(1)?;
            let kind = if at_start && first == Kind::Whitespace {
                self.peek(2)?
            } else {
                first
            };
            if matches!(kind, Kind::End | Kind::Else) {
                return Ok((block, at_start));
            }
            if first == Kind::EndOfFile {
                return Ok((block, false));
            }
            at_start = self.statement(&mut block, at_start)?;
        }
    }

    fn define_macro(&mut self, head: DirectiveHead, body: Block) -> Result<()> {
        let pos = head.pos;
        let mut arguments = head.arguments.into_iter();
        let Some(Argument::Word(name)) = arguments.next() else {
            return Err(Error::new(
                pos,
                "expected the name of the macro after '#macro('",
            ));
        };
        let mut parameters: Vec<(Arc<str>, Option<Expr>)> = Vec::new();
        for argument in arguments {
            match argument {
                Argument::Default(name, value) => parameters.push((name, Some(value))),
                Argument::Value(Expr::Reference(reference)) => {
                    if parameters.iter().any(|(_, default)| default.is_some()) {
                        let message = "a parameter without a default follows one with a default";
                        return Err(Error::new(reference.pos, message));
                    }
                    parameters.push((reference.name, None));
                }
                _ => {
                    return Err(Error::new(
                        pos,
                        "expected references such as $name as parameters of #macro",
                    ));
                }
            }
        }
        // As in Velocity, the first definition of a name wins.
        self.macros
            .entry(name.into())
            .or_insert_with(|| Arc::new(Macro { parameters, body }));
        Ok(())
    }
}

fn foreach(head: DirectiveHead, body: Block, otherwise: Block) -> Result<Node> {
    let pos = head.pos;
    let mut arguments = head.arguments.into_iter();
    let variable = match arguments.next() {
        Some(Argument::Value(Expr::Reference(reference))) => reference.name,
        _ => {
            return Err(Error::new(
                pos,
                "expected '#foreach($item in $list)', found no $item",
            ));
        }
    };
    let Some(Argument::Word(_)) = arguments.next() else {
        return Err(Error::new(
            pos,
            "expected 'in' after the first reference of #foreach",
        ));
    };
    let Some(Argument::Value(items)) = arguments.next() else {
        return Err(Error::new(pos, "expected a list after 'in' of #foreach"));
    };
    Ok(Node::Foreach(Box::new(Foreach {
        variable,
        items,
        body,
        otherwise,
        pos,
    })))
}

fn define(head: DirectiveHead, body: Block) -> Result<Node> {
    match <[Argument; 1]>::try_from(head.arguments) {
        Ok([Argument::Value(Expr::Reference(reference))]) => {
            let Reference { name, .. } = *reference;
            Ok(Node::Define {
                name,
                body: Arc::new(body),
            })
        }
        _ => Err(Error::new(
            head.pos,
            "expected one reference such as #define($name)",
        )),
    }
}
