//! Equality and order.

use std::cmp::Ordering;

use super::Renderer;
use super::print::{MAX_VALUE_DEPTH, VISIT_WORK, too_deep};
use crate::error::{Pos, Result};
use crate::number::Number;
use crate::runtime::Val;

impl<'c> Renderer<'c> {
    /// Converts a value to a number; a text counts if it can be parsed as one.
    pub(crate) fn number(&mut self, value: &Val<'c>, pos: Pos) -> Result<Option<Number>> {
        Ok(match value {
            Val::Number(number) => Some(*number),
            Val::Text(text) | Val::Markup(text) => Number::from_text(text),
            Val::Char(_) | Val::Block(_) => {
                let text = self.text(value, pos)?;
                Number::from_text(&text)
            }
            _ => None,
        })
    }

    /// Compares two values if both are numbers.
    pub(super) fn numeric_order(
        &mut self,
        a: &Val<'c>,
        b: &Val<'c>,
        pos: Pos,
    ) -> Result<Option<Ordering>> {
        let (Some(a), Some(b)) = (self.number(a, pos)?, self.number(b, pos)?) else {
            return Ok(None);
        };
        Ok(Some(a.compare(b)))
    }

    /// `==`: numbers by value, values of the same type by content, others by their text.
    pub(super) fn equal(&mut self, a: &Val<'c>, b: &Val<'c>, pos: Pos) -> Result<bool> {
        if a.is_null() || b.is_null() {
            return Ok(a.is_null() && b.is_null());
        }
        if let (Some(a), Some(b)) = (a.as_text(), b.as_text()) {
            self.budget.work(a.len().min(b.len()) / 16, pos)?;
            if **a == **b {
                return Ok(true);
            }
        }
        if let Some(order) = self.numeric_order(a, b, pos)? {
            return Ok(order == Ordering::Equal);
        }
        let alike = match (a, b) {
            (Val::List(_) | Val::Range(..), Val::List(_) | Val::Range(..)) => true,
            _ => std::mem::discriminant(a) == std::mem::discriminant(b),
        };
        if alike {
            return self.java_equal(a, b, 0, pos);
        }
        let (a, b) = (self.text(a, pos)?, self.text(b, pos)?);
        Ok(*a == *b)
    }

    /// Java's `equals`: `1` and `1.0` differ, and so do `1` and `'1'`.
    pub(crate) fn java_equal(
        &mut self,
        a: &Val<'c>,
        b: &Val<'c>,
        depth: u32,
        pos: Pos,
    ) -> Result<bool> {
        if depth > MAX_VALUE_DEPTH {
            return Err(too_deep(pos));
        }
        self.budget.work(VISIT_WORK, pos)?;
        Ok(match (a, b) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Char(a), Val::Char(b)) => a == b,
            (Val::Date(a), Val::Date(b)) => a == b,
            (Val::Number(Number::Double(a)), Val::Number(Number::Double(b))) => {
                a.to_bits() == b.to_bits()
            }
            (Val::Number(a), Val::Number(b)) => a == b,
            (Val::Text(a) | Val::Markup(a), Val::Text(b) | Val::Markup(b)) => {
                self.budget.work(a.len().min(b.len()) / 16, pos)?;
                **a == **b
            }
            (Val::List(_) | Val::Range(..), Val::List(_) | Val::Range(..)) => {
                if self.size(a) != self.size(b) {
                    return Ok(false);
                }
                let mut index = 0;
                while let (Some(x), Some(y)) = (self.element(a, index), self.element(b, index)) {
                    if !self.java_equal(&x, &y, depth + 1, pos)? {
                        return Ok(false);
                    }
                    index += 1;
                }
                true
            }
            (Val::Map(a), Val::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                let mut index = 0;
                while let Some((key, value)) = a.at(index) {
                    let key = self.key(&key, pos)?;
                    let Some(other) = b.get(&key) else {
                        return Ok(false);
                    };
                    if !self.java_equal(&value, &other, depth + 1, pos)? {
                        return Ok(false);
                    }
                    index += 1;
                }
                true
            }
            (Val::Entry(a), Val::Entry(b)) => {
                self.java_equal(&a.0, &b.0, depth + 1, pos)?
                    && self.java_equal(&a.1, &b.1, depth + 1, pos)?
            }
            _ => false,
        })
    }
}
