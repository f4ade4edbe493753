//! Numbers with Velocity's arithmetic.
//!
//! The rules are those of Velocity's `MathUtils`: integers grow instead of overflowing, a double
//! makes the result a double, and a number from a text is a decimal.

mod decimal;
mod double;

use std::cmp::Ordering;

pub(crate) use decimal::Decimal;
pub(crate) use double::{double_text, push_double};

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Java's `Integer` or `Long`.
    Int(i64),
    /// Java's `BigInteger`, up to 38 digits.
    Big(i128),
    Double(f64),
    /// Java's `BigDecimal`: the type of a text in arithmetic.
    Decimal(Decimal),
}

impl Number {
    /// Parses a number literal of a template.
    pub(crate) fn literal(text: &str) -> Option<Number> {
        if text.contains(['.', 'e', 'E']) {
            return text.parse().ok().map(Number::Double);
        }
        match text.parse() {
            Ok(small) => Some(Number::Int(small)),
            Err(_) => text.parse().ok().map(Number::Big),
        }
    }

    /// Parses a text as Java's `new BigDecimal(text)` does.
    pub(crate) fn from_text(text: &str) -> Option<Number> {
        Decimal::parse(text).map(Number::Decimal)
    }

    fn whole(value: i128) -> Number {
        i64::try_from(value).map_or(Number::Big(value), Number::Int)
    }

    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Number::Int(n) => n as f64,
            Number::Big(n) => n as f64,
            Number::Double(n) => n,
            Number::Decimal(n) => n.to_f64(),
        }
    }

    /// Returns the integer part, like Java's `longValue()`.
    pub(crate) fn to_i64(self) -> i64 {
        match self {
            Number::Int(n) => n,
            Number::Big(n) => n as i64,
            Number::Double(n) => n as i64,
            Number::Decimal(n) => n.truncate() as i64,
        }
    }

    /// Returns the integer part, like Java's `intValue()`: excess bits are cut off, a double is
    /// clamped.
    pub(crate) fn to_i32(self) -> i32 {
        match self {
            Number::Double(n) => n as i32,
            other => other.to_i64() as i32,
        }
    }

    fn to_i128(self) -> i128 {
        match self {
            Number::Int(n) => n.into(),
            Number::Big(n) => n,
            Number::Double(n) => n as i128,
            Number::Decimal(n) => n.truncate(),
        }
    }

    fn to_decimal(self) -> Option<Decimal> {
        match self {
            Number::Decimal(n) => Some(n),
            Number::Big(n) => Some(Decimal::whole(n)),
            // Velocity converts through a double, so 2 becomes 2.0.
            other => Decimal::parse(&double_text(other.to_f64())),
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        match self {
            Number::Int(n) => n == 0,
            Number::Big(n) => n == 0,
            Number::Double(n) => n == 0.0,
            Number::Decimal(n) => n.is_zero(),
        }
    }

    fn is_whole(self) -> bool {
        matches!(self, Number::Int(_) | Number::Big(_))
    }

    /// Returns the type in which two numbers are calculated.
    fn base(self, other: Number) -> Base {
        let whole = self.is_whole() && other.is_whole();
        let big = matches!(self, Number::Big(_)) || matches!(other, Number::Big(_));
        let decimal = matches!(self, Number::Decimal(_)) || matches!(other, Number::Decimal(_));
        if decimal || (big && !whole) {
            Base::Decimal
        } else if whole {
            Base::Whole
        } else {
            Base::Double
        }
    }

    /// Returns `self op other`, or `None` if Velocity has no result or it has too many digits.
    pub(crate) fn calculate(self, operation: Operation, other: Number) -> Option<Number> {
        if matches!(operation, Operation::Divide | Operation::Modulo) && other.is_zero() {
            return None;
        }
        match self.base(other) {
            Base::Whole => {
                let (a, b) = (self.to_i128(), other.to_i128());
                match operation {
                    Operation::Add => a.checked_add(b),
                    Operation::Subtract => a.checked_sub(b),
                    Operation::Multiply => a.checked_mul(b),
                    Operation::Divide => a.checked_div(b),
                    Operation::Modulo => a.checked_rem(b),
                }
                .map(Number::whole)
            }
            Base::Double => {
                let (a, b) = (self.to_f64(), other.to_f64());
                Some(Number::Double(match operation {
                    Operation::Add => a + b,
                    Operation::Subtract => a - b,
                    Operation::Multiply => a * b,
                    Operation::Divide => a / b,
                    Operation::Modulo => a % b,
                }))
            }
            Base::Decimal => {
                let (a, b) = (self.to_decimal()?, other.to_decimal()?);
                match operation {
                    Operation::Add => a.add(b),
                    Operation::Subtract => a.subtract(b),
                    Operation::Multiply => a.multiply(b),
                    Operation::Divide => a.divide(b),
                    Operation::Modulo => None,
                }
                .map(Number::Decimal)
            }
        }
    }

    pub(crate) fn negate(self) -> Option<Number> {
        Some(match self {
            Number::Int(n) => Number::whole(-i128::from(n)),
            Number::Big(n) => Number::whole(n.checked_neg()?),
            Number::Double(n) => Number::Double(-n),
            Number::Decimal(n) => Number::Decimal(n.negate()?),
        })
    }

    /// Compares by value; NaN equals everything, as in Velocity.
    pub(crate) fn compare(self, other: Number) -> Ordering {
        match self.base(other) {
            Base::Whole => self.to_i128().cmp(&other.to_i128()),
            Base::Double => self
                .to_f64()
                .partial_cmp(&other.to_f64())
                .unwrap_or(Ordering::Equal),
            Base::Decimal => match (self.to_decimal(), other.to_decimal()) {
                (Some(a), Some(b)) => a.compare(b),
                _ => self
                    .to_f64()
                    .partial_cmp(&other.to_f64())
                    .unwrap_or(Ordering::Equal),
            },
        }
    }

    /// Appends the number as Java prints it.
    pub(crate) fn push_to(self, out: &mut String) {
        use std::fmt::Write as _;
        let written = match self {
            Number::Int(n) => write!(out, "{n}"),
            Number::Big(n) => write!(out, "{n}"),
            Number::Double(n) => {
                push_double(n, out);
                Ok(())
            }
            Number::Decimal(n) => {
                n.push_to(out);
                Ok(())
            }
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
}

enum Base {
    Whole,
    Double,
    Decimal,
}

/// The operations of [`Number::calculate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: Option<Number>) -> String {
        let mut out = String::new();
        if let Some(number) = number {
            number.push_to(&mut out);
        }
        out
    }

    #[test]
    fn integers_grow_beyond_64_bits() {
        let max = Number::Int(i64::MAX);
        let sum = max.calculate(Operation::Add, Number::Int(1));
        assert_eq!(text(sum), "9223372036854775808");
        assert_eq!(text(Number::Int(i64::MIN).negate()), "9223372036854775808");
        assert_eq!(
            text(Number::Int(-7).calculate(Operation::Divide, Number::Int(2))),
            "-3"
        );
        assert_eq!(
            text(Number::Int(-7).calculate(Operation::Modulo, Number::Int(2))),
            "-1"
        );
    }

    #[test]
    fn texts_become_decimals() {
        let five = Number::from_text("5").expect("a number");
        assert_eq!(
            text(five.calculate(Operation::Multiply, Number::Int(2))),
            "10.0"
        );
        assert_eq!(
            text(five.calculate(Operation::Subtract, Number::Int(1))),
            "4.0"
        );
        assert_eq!(five.compare(Number::Double(5.0)), Ordering::Equal);
        assert_eq!(Number::from_text(" 5"), None);
        assert_eq!(Number::from_text(""), None);
    }
}
