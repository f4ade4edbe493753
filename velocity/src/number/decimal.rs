//! Decimal numbers with a scale, like Java's `BigDecimal`.

use std::cmp::Ordering;

/// `unscaled` · 10^-`scale`, with up to 38 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    unscaled: i128,
    scale: i32,
}

/// Maximum scale; with 38 digits, a larger one makes no difference to a message.
const MAX_SCALE: i32 = 400;

/// Maximum length of a text that is parsed as a number; meaningful long ones have leading zeros.
const MAX_LENGTH: usize = 1_000;

fn power(exponent: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

impl Decimal {
    pub(crate) fn whole(value: i128) -> Decimal {
        Decimal {
            unscaled: value,
            scale: 0,
        }
    }

    fn new(unscaled: i128, scale: i32) -> Option<Decimal> {
        (-MAX_SCALE..=MAX_SCALE)
            .contains(&scale)
            .then_some(Decimal { unscaled, scale })
    }

    /// Parses the format of `new BigDecimal(String)`: a sign, digits with a point, an exponent.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        // Any text may be tested for being a number, and most are not.
        let begins = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        if !begins || text.len() > MAX_LENGTH {
            return None;
        }
        let (number, exponent) = match text.find(['e', 'E']) {
            Some(at) => {
                let exponent = text.get(at + 1..)?;
                let digits = exponent.strip_prefix('+').unwrap_or(exponent);
                if digits.starts_with('+') {
                    return None;
                }
                (text.get(..at)?, digits.parse::<i32>().ok()?)
            }
            None => (text, 0),
        };
        let (negative, digits) = match number.as_bytes().first()? {
            b'-' => (true, number.get(1..)?),
            b'+' => (false, number.get(1..)?),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut unscaled: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
            unscaled = unscaled.checked_mul(10)?.checked_add(digit)?;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Decimal::new(if negative { -unscaled } else { unscaled }, scale)
    }

    pub(crate) fn is_zero(self) -> bool {
        self.unscaled == 0
    }

    pub(crate) fn to_f64(self) -> f64 {
        format!("{}e{}", self.unscaled, -self.scale)
            .parse()
            .unwrap_or(f64::NAN)
    }

    /// Returns the part before the point.
    pub(crate) fn truncate(self) -> i128 {
        if self.scale <= 0 {
            power(-self.scale)
                .and_then(|p| self.unscaled.checked_mul(p))
                .unwrap_or(if self.unscaled < 0 {
                    i128::MIN
                } else {
                    i128::MAX
                })
        } else {
            power(self.scale).map_or(0, |p| self.unscaled / p)
        }
    }

    pub(crate) fn negate(self) -> Option<Decimal> {
        Decimal::new(self.unscaled.checked_neg()?, self.scale)
    }

    /// Converts both numbers to the larger of the two scales.
    fn align(self, other: Decimal) -> Option<(i128, i128, i32)> {
        let scale = self.scale.max(other.scale);
        let a = self.unscaled.checked_mul(power(scale - self.scale)?)?;
        let b = other.unscaled.checked_mul(power(scale - other.scale)?)?;
        Some((a, b, scale))
    }

    pub(crate) fn add(self, other: Decimal) -> Option<Decimal> {
        let (a, b, scale) = self.align(other)?;
        Decimal::new(a.checked_add(b)?, scale)
    }

    pub(crate) fn subtract(self, other: Decimal) -> Option<Decimal> {
        let (a, b, scale) = self.align(other)?;
        Decimal::new(a.checked_sub(b)?, scale)
    }

    pub(crate) fn multiply(self, other: Decimal) -> Option<Decimal> {
        let unscaled = self.unscaled.checked_mul(other.unscaled)?;
        Decimal::new(unscaled, self.scale.checked_add(other.scale)?)
    }

    /// Keeps the scale of `self` and rounds halves towards zero, as Velocity does.
    pub(crate) fn divide(self, other: Decimal) -> Option<Decimal> {
        let mut dividend = self.unscaled;
        let mut divisor = other.unscaled;
        if other.scale >= 0 {
            dividend = dividend.checked_mul(power(other.scale)?)?;
        } else {
            divisor = divisor.checked_mul(power(-other.scale)?)?;
        }
        let quotient = dividend.checked_div(divisor)?;
        let rest = dividend.checked_rem(divisor)?;
        let above_half = rest.unsigned_abs() > divisor.unsigned_abs() - rest.unsigned_abs();
        let step = match (above_half, (dividend < 0) == (divisor < 0)) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => -1,
        };
        Decimal::new(quotient.checked_add(step)?, self.scale)
    }

    pub(crate) fn compare(self, other: Decimal) -> Ordering {
        match self.align(other) {
            Some((a, b, _)) => a.cmp(&b),
            None => self
                .to_f64()
                .partial_cmp(&other.to_f64())
                .unwrap_or(Ordering::Equal),
        }
    }

    /// Appends `BigDecimal.toString()`.
    pub(crate) fn push_to(self, out: &mut String) {
        let digits = self.unscaled.unsigned_abs().to_string();
        if self.unscaled < 0 {
            out.push('-');
        }
        let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
        let adjusted = count - 1 - self.scale;
        if self.scale == 0 {
            out.push_str(&digits);
        } else if self.scale > 0 && adjusted >= -6 {
            let point = count - self.scale;
            if point > 0 {
                let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
                out.push_str(whole);
                out.push('.');
                out.push_str(fraction);
            } else {
                out.push_str("0.");
                out.extend((point..0).map(|_| '0'));
                out.push_str(&digits);
            }
        } else {
            let (first, rest) = digits.split_at(1);
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            if adjusted != 0 {
                out.push('E');
                if adjusted > 0 {
                    out.push('+');
                }
                out.push_str(&adjusted.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    fn text(value: Option<Decimal>) -> String {
        let mut out = String::new();
        if let Some(value) = value {
            value.push_to(&mut out);
        }
        out
    }

    #[test]
    fn prints_like_java() {
        for (source, expected) in [
            ("5", "5"),
            ("05.10", "5.10"),
            ("-0.25", "-0.25"),
            ("1.0E7", "1.0E+7"),
            ("1e-7", "1E-7"),
            ("0.000001", "0.000001"),
            (".5", "0.5"),
        ] {
            assert_eq!(text(Decimal::parse(source)), expected);
        }
        for source in ["", "-", ".", "1e", "1,5", "0x1", "1 "] {
            assert_eq!(Decimal::parse(source), None);
        }
    }

    #[test]
    fn division_keeps_the_scale_of_the_dividend() {
        let divide = |a, b| text(Decimal::parse(a).and_then(|a| a.divide(Decimal::parse(b)?)));
        assert_eq!(divide("5", "2.0"), "2");
        assert_eq!(divide("5.00", "3.0"), "1.67");
        assert_eq!(divide("-5.0", "4.0"), "-1.2");
    }
}
