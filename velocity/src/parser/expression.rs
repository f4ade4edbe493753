//! Expressions: literals, references and operators.

use super::Parser;
use crate::ast::{Chain, Expr, Link, Operator};
use crate::error::{Error, Pos, Result};
use crate::lexer::{Kind, Quoted, Token};
use crate::number::Number;

/// Number of precedence levels, from the loosest.
const LEVELS: u8 = 6;

fn operator(kind: Kind) -> Option<(u8, Operator)> {
    Some(match kind {
        Kind::Or | Kind::OrAfterName => (0, Operator::Or),
        Kind::And => (1, Operator::And),
        Kind::Equal => (2, Operator::Equal),
        Kind::NotEqual => (2, Operator::NotEqual),
        Kind::Less => (3, Operator::Less),
        Kind::Greater => (3, Operator::Greater),
        Kind::LessEqual => (3, Operator::LessEqual),
        Kind::GreaterEqual => (3, Operator::GreaterEqual),
        Kind::Plus => (4, Operator::Plus),
        Kind::Minus => (4, Operator::Minus),
        Kind::Times => (5, Operator::Times),
        Kind::Divide => (5, Operator::Divide),
        Kind::Modulo => (5, Operator::Modulo),
        _ => return None,
    })
}

/// An operand and its range in the source.
struct Operand {
    value: Expr,
    start: usize,
    end: usize,
}

impl Parser {
    /// Parses an expression with operators.
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.enter()?;
        let pos = self.position()?;
        let operand = self.level(0, pos)?;
        self.leave();
        Ok(operand.value)
    }

    /// Parses operators of precedence `level` and tighter.
    fn level(&mut self, level: u8, pos: Pos) -> Result<Operand> {
        if level == LEVELS {
            return self.unary();
        }
        let first = self.level(level + 1, pos)?;
        let mut rest = Vec::new();
        while let Some((found, operator)) = operator(self.peek(1)?) {
            if found != level {
                break;
            }
            self.take()?;
            let operand = self.level(level + 1, pos)?;
            rest.push(Link {
                operator,
                operand: operand.value,
                start: operand.start,
                end: operand.end,
            });
        }
        let Some(last) = rest.last() else {
            return Ok(first);
        };
        let end = last.end;
        Ok(Operand {
            start: first.start,
            end,
            value: Expr::Chain(Box::new(Chain {
                first: first.value,
                rest,
                source: self.lexer.source().clone(),
                start: first.start,
                first_end: first.end,
                pos,
            })),
        })
    }

    fn unary(&mut self) -> Result<Operand> {
        self.skip_white_space()?;
        match self.peek(1)? {
            Kind::Not => {
                self.enter()?;
                let start = self.take()?.start;
                let inner = self.unary()?;
                self.leave();
                Ok(Operand {
                    value: Expr::Not(Box::new(inner.value)),
                    start,
                    end: inner.end,
                })
            }
            Kind::Minus => {
                let start = self.take()?.start;
                let inner = self.primary()?;
                Ok(Operand {
                    value: Expr::Negate(Box::new(inner.value)),
                    start,
                    end: inner.end,
                })
            }
            _ => self.primary(),
        }
    }

    fn primary(&mut self) -> Result<Operand> {
        self.skip_white_space()?;
        self.peek(1)?;
        let start = self.ahead.front().map_or(0, |token| token.start);
        let value = if self.accept(Kind::ParenOpen)? {
            let inner = self.expression()?;
            self.expect(&[Kind::ParenClose], "an operator or ')'")?;
            inner
        } else {
            self.simple_value()?
        };
        let end = self.last_end;
        self.skip_white_space()?;
        Ok(Operand { value, start, end })
    }

    /// Parses a value without operators.
    pub(super) fn simple_value(&mut self) -> Result<Expr> {
        match self.peek(1)? {
            Kind::Name | Kind::CurlyOpen => {
                let output = self.reference()?;
                Ok(Expr::Reference(Box::new(output.reference)))
            }
            Kind::Str => {
                let token = self.take()?;
                self.string(&token)
            }
            Kind::Integer | Kind::Float => {
                let token = self.take()?;
                let text = self.text(&token);
                match Number::literal(text) {
                    Some(number) => Ok(Expr::Number(number)),
                    None => Err(Error::new(token.pos, "the number has too many digits")),
                }
            }
            Kind::True | Kind::False => Ok(Expr::Bool(self.take()?.kind == Kind::True)),
            Kind::ListOpen => self.list(),
            Kind::MapOpen => self.map(),
            _ => Err(self.unexpected_token(
                "a value: a quoted text, a number, a reference, a list or a map",
            )),
        }
    }

    /// Parses a value in a list or map, with white space around it.
    fn element(&mut self) -> Result<Expr> {
        self.skip_white_space()?;
        let value = self.simple_value()?;
        self.skip_white_space()?;
        Ok(value)
    }

    fn list(&mut self) -> Result<Expr> {
        self.enter()?;
        let pos = self.take()?.pos;
        let mut items = Vec::new();
        if !self.accept(Kind::ListClose)? {
            let first = self.element()?;
            let countable = matches!(first, Expr::Reference(_) | Expr::Number(Number::Int(_)));
            if countable && self.accept(Kind::Range)? {
                let end = self.element()?;
                if !matches!(end, Expr::Reference(_) | Expr::Number(Number::Int(_))) {
                    return Err(Error::new(pos, "expected a whole number after '..'"));
                }
                self.expect(&[Kind::ListClose], "']' of the range")?;
                self.leave();
                return Ok(Expr::Range(Box::new((first, end)), pos));
            }
            items.push(first);
            while self.accept(Kind::Comma)? {
                items.push(self.element()?);
            }
            self.expect(&[Kind::ListClose], "',' or ']' in the list")?;
        }
        self.leave();
        Ok(Expr::List(items, pos))
    }

    fn map(&mut self) -> Result<Expr> {
        self.enter()?;
        let pos = self.take()?.pos;
        let mut entries = Vec::new();
        self.skip_white_space()?;
        if !matches!(self.peek(1)?, Kind::MapClose | Kind::CurlyClose) {
            loop {
                let key = self.element()?;
                self.expect(&[Kind::Colon], "':' after the key in the map")?;
                entries.push((key, self.element()?));
                if !self.accept(Kind::Comma)? {
                    break;
                }
            }
        }
        self.expect(&[Kind::MapClose, Kind::CurlyClose], "',' or '}' in the map")?;
        self.leave();
        Ok(Expr::Map(entries, pos))
    }

    /// Parses a quoted text. Double quotes allow references and directives.
    fn string(&mut self, token: &Token) -> Result<Expr> {
        let image = self.text(token).to_owned();
        let quoted = Quoted::new(&image);
        let mut text = quoted.content.to_owned();
        if quoted.interpolated {
            text = unescape(&text).ok_or_else(|| {
                Error::new(token.pos, "expected four hexadecimal digits after \\u")
            })?;
        }
        if let Some(quote) = quoted.doubled {
            let one = quote.to_string();
            text = text.replace(&one.repeat(2), &one);
        }
        if quoted.interpolated && text.contains(['$', '#']) {
            let opening = image.get(..quoted.opening).map_or(1, |o| o.chars().count());
            let pos = self.shifted(token.pos, opening);
            let as_written = !quoted.content.contains("\\u") && !self.lexer.has_fixed_position();
            let block = self.nested(&text, pos, as_written)?;
            return Ok(Expr::Template(block, token.pos));
        }
        Ok(Expr::Text(text.into()))
    }
}

/// Replaces `\uXXXX` escapes and joins surrogate pairs; a lone surrogate becomes `?`.
fn unescape(text: &str) -> Option<String> {
    if !text.contains("\\u") {
        return Some(text.to_owned());
    }
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        units.extend(rest.get(..at)?.encode_utf16());
        let digits = rest.get(at + 2..at + 6)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        units.push(u16::from_str_radix(digits, 16).ok()?);
        rest = rest.get(at + 6..)?;
    }
    units.extend(rest.encode_utf16());
    Some(crate::runtime::text::from_utf16(&units))
}
