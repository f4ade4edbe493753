//! `$math`: calculations.

use super::super::{Answer, Result, format};
use crate::error::Pos;
use crate::eval::Renderer;
use crate::number::{Number, Operation};
use crate::runtime::Val;

/// Work for a calculation.
const MATH_WORK: usize = 250;

impl<'c> Renderer<'c> {
    /// Converts all arguments to numbers; `None` if one is not a number.
    pub(super) fn numbers(
        &mut self,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Result<Option<Vec<Number>>> {
        let mut numbers = Vec::with_capacity(arguments.len());
        for argument in arguments {
            // The tools library parses a text as a double or an integer.
            match self.number(argument, pos)? {
                Some(Number::Decimal(decimal)) => {
                    let text = self.text(argument, pos)?;
                    let whole = text.parse().map(Number::Int);
                    numbers.push(whole.unwrap_or(Number::Double(decimal.to_f64())));
                }
                Some(number) => numbers.push(number),
                None => return Ok(None),
            }
        }
        Ok(Some(numbers))
    }

    pub(super) fn math_tool(&mut self, name: &str, arguments: &[Val<'c>], pos: Pos) -> Answer<'c> {
        let Some(numbers) = self.numbers(arguments, pos)? else {
            return Ok(None);
        };
        self.budget.work(MATH_WORK, pos)?;
        let fold = |operation| {
            let mut rest = numbers.iter().copied();
            let first = rest.next()?;
            rest.try_fold(first, |a, b| a.calculate(operation, b))
        };
        let whole = |value: f64| Some(Number::Int(value as i64));
        let result = match (name, numbers.as_slice()) {
            ("add", [_, _, ..]) => fold(Operation::Add),
            ("sub", [_, _, ..]) => fold(Operation::Subtract),
            ("mul", [_, _, ..]) => fold(Operation::Multiply),
            ("div", [a, b]) if !b.is_zero() => Some(Number::Double(a.to_f64() / b.to_f64())),
            ("idiv", [a, b]) if b.to_i64() != 0 => {
                Number::Int(a.to_i64()).calculate(Operation::Divide, Number::Int(b.to_i64()))
            }
            ("mod", [a, b]) if b.to_i64() != 0 => {
                Number::Int(a.to_i64()).calculate(Operation::Modulo, Number::Int(b.to_i64()))
            }
            ("pow", [a, b]) => {
                let power = a.to_f64().powf(b.to_f64());
                let exact = matches!((a, b), (Number::Int(_), Number::Int(_)));
                if exact && power.abs() < 9e15 && power.fract() == 0.0 {
                    whole(power)
                } else {
                    Some(Number::Double(power))
                }
            }
            ("max" | "min", [first, rest @ ..]) => {
                let wanted = if name == "max" {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Less
                };
                let pick = |a: Number, b: &Number| if b.compare(a) == wanted { *b } else { a };
                Some(rest.iter().fold(*first, pick))
            }
            ("abs", [Number::Int(a)]) => {
                Number::Int(a.signum()).calculate(Operation::Multiply, Number::Int(*a))
            }
            ("abs", [a]) => Some(Number::Double(a.to_f64().abs())),
            ("ceil", [a]) => whole(a.to_f64().ceil()),
            ("floor", [a]) => whole(a.to_f64().floor()),
            ("round", [a]) => whole((a.to_f64() + 0.5).floor()),
            ("roundTo", [digits, a]) => {
                let digits = usize::try_from(digits.to_i64()).unwrap_or(0).min(100);
                half_up(a.to_f64(), digits)
            }
            ("roundToInt" | "toInteger", [a]) if name == "toInteger" => whole(a.to_f64().trunc()),
            ("roundToInt", [a]) => whole((a.to_f64() + 0.5).floor()),
            ("toDouble", [a]) => Some(Number::Double(a.to_f64())),
            ("toNumber", [a]) => Some(*a),
            _ => None,
        };
        Ok(result.map(Val::Number))
    }
}

/// Rounds to `digits` after the point.
fn half_up(value: f64, digits: usize) -> Option<Number> {
    format::half_up(value, digits)
        .parse()
        .ok()
        .map(Number::Double)
}
