//! Evaluates expressions.

use std::cmp::Ordering;
use std::rc::Rc;

use indexmap::IndexMap;

use super::Renderer;
use super::print::{MAX_VALUE_DEPTH, too_deep};
use crate::ast::{Chain, Expr, Operator};
use crate::error::{Pos, Result};
use crate::limits::NODE_WORK;
use crate::number::Operation;
use crate::runtime::{MapObject, Text, Val};

/// Work for an element of a list or map: approximately its size in memory.
pub(crate) const ELEMENT_WORK: usize = 64;

impl<'c> Renderer<'c> {
    /// Evaluates an expression.
    pub(crate) fn eval(&mut self, expr: &Expr) -> Result<Val<'c>> {
        match expr {
            Expr::Text(text) => Ok(Val::Text(Text::Shared(text.clone()))),
            Expr::Number(number) => Ok(Val::Number(*number)),
            Expr::Bool(value) => Ok(Val::Bool(*value)),
            Expr::Template(block, pos) => {
                let (text, _) = self.nested(block, *pos)?;
                Ok(Val::text(text))
            }
            Expr::Reference(reference) => self.reference(reference),
            Expr::List(items, pos) => self.list(items, *pos),
            Expr::Map(entries, pos) => self.map(entries, *pos),
            Expr::Range(ends, pos) => {
                let (from, to) = (self.eval(&ends.0)?, self.eval(&ends.1)?);
                let (Some(from), Some(to)) = (self.number(&from, *pos)?, self.number(&to, *pos)?)
                else {
                    return Ok(Val::Null);
                };
                Ok(Val::Range(from.to_i32(), to.to_i32()))
            }
            Expr::Not(_) => Ok(Val::Bool(self.truth(expr)?)),
            Expr::Negate(inner) => {
                let value = self.deeper(Pos::START, |renderer| renderer.eval(inner))?;
                let number = self.number(&value, Pos::START)?;
                Ok(number
                    .and_then(|n| n.negate())
                    .map_or(Val::Null, Val::Number))
            }
            Expr::Chain(chain) => self.deeper(chain.pos, |renderer| renderer.chain(chain)),
        }
    }

    fn deeper<T>(&mut self, pos: Pos, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.budget.enter(pos)?;
        let result = run(self);
        self.budget.leave();
        result
    }

    fn list(&mut self, items: &[Expr], pos: Pos) -> Result<Val<'c>> {
        self.budget.work(items.len() * ELEMENT_WORK, pos)?;
        let values = self.deeper(pos, |renderer| {
            items
                .iter()
                .map(|item| renderer.eval(item))
                .collect::<Result<Vec<_>>>()
        })?;
        self.check_depth(Val::list(values), pos)
    }

    fn map(&mut self, entries: &[(Expr, Expr)], pos: Pos) -> Result<Val<'c>> {
        self.budget.work(entries.len() * ELEMENT_WORK * 2, pos)?;
        let map = self.deeper(pos, |renderer| {
            let mut map = IndexMap::with_capacity(entries.len());
            for (key, value) in entries {
                let key = renderer.eval(key)?;
                let key = renderer.key(&key, pos)?;
                map.insert(key, renderer.eval(value)?);
            }
            Ok(map)
        })?;
        self.check_depth(Val::Map(Rc::new(MapObject::new(map))), pos)
    }

    /// Rejects values that are nested too deep to be traversed.
    pub(crate) fn check_depth(&self, value: Val<'c>, pos: Pos) -> Result<Val<'c>> {
        if value.depth() > MAX_VALUE_DEPTH {
            return Err(too_deep(pos));
        }
        Ok(value)
    }

    fn chain(&mut self, chain: &Chain) -> Result<Val<'c>> {
        let Some(first) = chain.rest.first() else {
            return self.eval(&chain.first);
        };
        if matches!(first.operator, Operator::And | Operator::Or) {
            return Ok(Val::Bool(
                self.logic(chain, first.operator == Operator::Or)?,
            ));
        }
        let mut value = self.eval(&chain.first)?;
        let mut end = chain.first_end;
        for link in &chain.rest {
            self.budget.work(NODE_WORK, chain.pos)?;
            let right = self.eval(&link.operand)?;
            value = match link.operator {
                Operator::Plus if value.as_text().is_some() || right.as_text().is_some() => {
                    let left = chain.source.get(chain.start..end).unwrap_or("");
                    let source = chain.source.get(link.start..link.end).unwrap_or("");
                    self.join(value, left, right, source, chain.pos)?
                }
                Operator::Plus => self.arithmetic(&value, Operation::Add, &right, chain.pos)?,
                Operator::Minus => {
                    self.arithmetic(&value, Operation::Subtract, &right, chain.pos)?
                }
                Operator::Times => {
                    self.arithmetic(&value, Operation::Multiply, &right, chain.pos)?
                }
                Operator::Divide => {
                    self.arithmetic(&value, Operation::Divide, &right, chain.pos)?
                }
                Operator::Modulo => {
                    self.arithmetic(&value, Operation::Modulo, &right, chain.pos)?
                }
                Operator::Equal => Val::Bool(self.equal(&value, &right, chain.pos)?),
                Operator::NotEqual => Val::Bool(!self.equal(&value, &right, chain.pos)?),
                operator => Val::Bool(self.ordered(operator, &value, &right, chain.pos)?),
            };
            end = link.end;
        }
        Ok(value)
    }

    /// Evaluates `a && b && ...` or `a || b || ...`, with short-circuiting.
    fn logic(&mut self, chain: &Chain, or: bool) -> Result<bool> {
        if self.truth(&chain.first)? == or {
            return Ok(or);
        }
        for link in &chain.rest {
            self.budget.work(NODE_WORK, chain.pos)?;
            if self.truth(&link.operand)? == or {
                return Ok(or);
            }
        }
        Ok(!or)
    }

    /// Evaluates `+` with a text on one side. An operand without a value prints its source, or
    /// nothing if the options say so.
    fn join(
        &mut self,
        left: Val<'c>,
        left_source: &str,
        right: Val<'c>,
        right_source: &str,
        pos: Pos,
    ) -> Result<Val<'c>> {
        let mut out = String::new();
        for (value, source) in [(left, left_source), (right, right_source)] {
            if value.is_null() {
                if !self.report_unset(source, pos) {
                    out.push_str(source);
                }
            } else {
                let text = self.text(&value, pos)?;
                self.charge_text(out.len() + text.len(), pos)?;
                out.push_str(&text);
            }
        }
        Ok(Val::text(out))
    }

    /// Pays for a text of `bytes` before it is built.
    pub(crate) fn charge_text(&mut self, bytes: usize, pos: Pos) -> Result<()> {
        self.budget.output(bytes, pos)?;
        self.budget.work(bytes, pos)
    }

    fn arithmetic(
        &mut self,
        left: &Val<'c>,
        operation: Operation,
        right: &Val<'c>,
        pos: Pos,
    ) -> Result<Val<'c>> {
        let (Some(left), Some(right)) = (self.number(left, pos)?, self.number(right, pos)?) else {
            return Ok(Val::Null);
        };
        let result = left.calculate(operation, right);
        Ok(result.map_or(Val::Null, Val::Number))
    }

    fn ordered(
        &mut self,
        operator: Operator,
        left: &Val<'c>,
        right: &Val<'c>,
        pos: Pos,
    ) -> Result<bool> {
        let order = self.numeric_order(left, right, pos)?;
        Ok(order.is_some_and(|order| match operator {
            Operator::Less => order == Ordering::Less,
            Operator::Greater => order == Ordering::Greater,
            Operator::LessEqual => order != Ordering::Greater,
            _ => order != Ordering::Less,
        }))
    }

    /// Returns true if an expression is true.
    pub(crate) fn truth(&mut self, expr: &Expr) -> Result<bool> {
        match expr {
            Expr::Not(inner) => {
                let inner = self.deeper(Pos::START, |renderer| renderer.truth(inner))?;
                Ok(!inner)
            }
            Expr::Bool(value) => Ok(*value),
            _ => {
                let value = self.eval(expr)?;
                self.is_true(&value)
            }
        }
    }

    /// Returns false for a missing value, `false`, zero, and an empty text, list or map.
    pub(crate) fn is_true(&mut self, value: &Val<'c>) -> Result<bool> {
        Ok(match value {
            Val::Null | Val::Nothing => false,
            Val::Bool(value) => *value,
            Val::Number(number) => !number.is_zero(),
            Val::Text(text) | Val::Markup(text) => !text.is_empty(),
            Val::List(list) => list.len() > 0,
            Val::Map(map) => map.len() > 0,
            Val::Block(defined) => {
                let text = self.nested(&defined.block.clone(), Pos::START)?.0;
                !text.is_empty()
            }
            _ => true,
        })
    }
}
