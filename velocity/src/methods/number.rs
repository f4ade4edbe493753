//! Methods of `Integer`, `Long`, `Double` and `Boolean`. Static ones can be called on a value.

use super::Answer;
use crate::error::{Error, Pos, excerpt};
use crate::eval::Renderer;
use crate::number::Number;
use crate::runtime::Val;

/// Returns the double that prints like the single-precision number nearest to `value`.
fn as_float(value: f64) -> f64 {
    format!("{}", value as f32).parse().unwrap_or(value)
}

impl<'c> Renderer<'c> {
    /// Calls a method of a number.
    pub(super) fn number_method(
        &mut self,
        target: Number,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let int = |value: i64| Some(Val::Number(Number::Int(value)));
        let double = matches!(target, Number::Double(_));
        Ok(match (name, arguments) {
            ("intValue", []) => int(target.to_i32().into()),
            ("longValue", []) => int(target.to_i64()),
            ("shortValue", []) => int((target.to_i32() as i16).into()),
            ("byteValue", []) => int((target.to_i32() as i8).into()),
            ("doubleValue", []) => Some(Val::Number(Number::Double(target.to_f64()))),
            ("floatValue", []) => Some(Val::Number(Number::Double(as_float(target.to_f64())))),
            ("compareTo" | "compare", [Val::Number(other)]) => int(target.compare(*other) as i64),
            ("compare", [Val::Number(a), Val::Number(b)]) => int(a.compare(*b) as i64),
            ("isNaN", []) if double => Some(Val::Bool(target.to_f64().is_nan())),
            ("isInfinite", []) if double => Some(Val::Bool(target.to_f64().is_infinite())),
            ("max" | "min", [Val::Number(a), Val::Number(b)]) => {
                let first = (a.compare(*b) == std::cmp::Ordering::Greater) == (name == "max");
                Some(Val::Number(if first { *a } else { *b }))
            }
            ("sum", [Val::Number(a), Val::Number(b)]) => a
                .calculate(crate::number::Operation::Add, *b)
                .map(Val::Number),
            ("toString" | "valueOf", [value @ Val::Number(_)]) => {
                let text = self.text(value, pos)?;
                Some(if name == "toString" {
                    Val::Text(text)
                } else {
                    value.clone()
                })
            }
            ("parseInt" | "parseLong" | "valueOf", [value]) if !double => {
                let text = self.string_argument(value, pos)?;
                let wrong = || {
                    Error::new(
                        pos,
                        format!("expected a whole number, found '{}'", excerpt(&text)),
                    )
                };
                if name == "parseLong" {
                    int(text.parse::<i64>().map_err(|_| wrong())?)
                } else {
                    int(text.parse::<i32>().map_err(|_| wrong())?.into())
                }
            }
            ("parseDouble" | "valueOf", [value]) if double => {
                let text = self.string_argument(value, pos)?;
                let plain = text.trim_matches(|c| c <= ' ');
                let known = !plain.contains(|c: char| c.is_alphabetic() && !"eE".contains(c));
                match plain.parse() {
                    Ok(value) if known => Some(Val::Number(Number::Double(value))),
                    _ => {
                        let message = format!("expected a number, found '{}'", excerpt(&text));
                        return Err(Error::new(pos, message));
                    }
                }
            }
            ("toHexString" | "toBinaryString" | "toOctalString", [value]) if !double => {
                let Some(value) = self.int_argument(value, pos)? else {
                    return Ok(None);
                };
                let bits = value as i32;
                Some(Val::text(match name {
                    "toHexString" => format!("{bits:x}"),
                    "toBinaryString" => format!("{bits:b}"),
                    _ => format!("{bits:o}"),
                }))
            }
            ("signum", [Val::Number(value)]) if !double => int(value.to_i64().signum()),
            ("abs", []) => match target {
                // Only `BigInteger` and `BigDecimal` have it.
                Number::Big(n) => n.checked_abs().map(|n| Val::Number(Number::Big(n))),
                _ => None,
            },
            _ => None,
        })
    }

    /// Calls a method of a boolean.
    pub(super) fn boolean_method(
        &mut self,
        target: bool,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        Ok(match (name, arguments) {
            ("booleanValue", []) => Some(Val::Bool(target)),
            ("compareTo", [Val::Bool(other)]) => {
                let order = i64::from(target) - i64::from(*other);
                Some(Val::Number(Number::Int(order)))
            }
            ("parseBoolean" | "valueOf", [value]) => {
                let text = self.text(value, pos)?;
                Some(Val::Bool(text.eq_ignore_ascii_case("true")))
            }
            ("toString", [value @ Val::Bool(_)]) => Some(Val::Text(self.text(value, pos)?)),
            ("logicalAnd", [Val::Bool(a), Val::Bool(b)]) => Some(Val::Bool(*a && *b)),
            ("logicalOr", [Val::Bool(a), Val::Bool(b)]) => Some(Val::Bool(*a || *b)),
            ("logicalXor", [Val::Bool(a), Val::Bool(b)]) => Some(Val::Bool(a != b)),
            _ => None,
        })
    }
}
