//! `String.format`.

use super::{Error, Pos, Renderer, Result, excerpt};
use crate::number::Number;
use crate::runtime::Val;

/// Maximum width of a field.
const MAX_WIDTH: usize = 10_000;

/// Maximum number of digits after the point.
const MAX_PRECISION: usize = 400;

/// A `%...` specifier of a format.
#[derive(Debug, Default)]
struct Specifier {
    index: Option<usize>,
    left: bool,
    plus: bool,
    space: bool,
    zero: bool,
    group: bool,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

/// Formats `values` like `String.format(pattern, values)` in the English locale.
pub(super) fn format<'c>(
    renderer: &mut Renderer<'c>,
    pattern: &str,
    values: &[Val<'c>],
    pos: Pos,
) -> Result<String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(rest.get(..at).unwrap_or(""));
        let (specifier, length) = parse(rest.get(at + 1..).unwrap_or(""))
            .ok_or_else(|| Error::new(pos, format!("'{}' is not a format", excerpt(pattern))))?;
        rest = rest.get(at + 1 + length..).unwrap_or("");
        let field = match specifier.conversion {
            'n' => "\n".to_owned(),
            '%' => pad("%".to_owned(), &specifier),
            _ => {
                let index = specifier.index.unwrap_or(next);
                next += usize::from(specifier.index.is_none());
                let Some(value) = values.get(index) else {
                    let message = format!("'{}' needs more values", excerpt(pattern));
                    return Err(Error::new(pos, message));
                };
                field(renderer, &specifier, value, pos)?
            }
        };
        renderer.charge_text(field.len(), pos)?;
        out.push_str(&field);
        renderer.budget.output(out.len(), pos)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Parses a specifier after its `%`, and returns its length.
fn parse(text: &str) -> Option<(Specifier, usize)> {
    let mut specifier = Specifier::default();
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or(&[]);
        rest.iter().take_while(|b| b.is_ascii_digit()).count()
    };
    let mut at = 0;
    let count = digits(0);
    if count > 0 && bytes.get(count) == Some(&b'$') {
        specifier.index = text.get(..count)?.parse::<usize>().ok()?.checked_sub(1);
        specifier.index?;
        at = count + 1;
    }
    while let Some(flag) = bytes.get(at) {
        match flag {
            b'-' => specifier.left = true,
            b'+' => specifier.plus = true,
            b' ' => specifier.space = true,
            b'0' => specifier.zero = true,
            b',' => specifier.group = true,
            _ => break,
        }
        at += 1;
    }
    let count = digits(at);
    if count > 0 {
        specifier.width = text.get(at..at + count)?.parse().ok()?;
        at += count;
    }
    if bytes.get(at) == Some(&b'.') {
        let count = digits(at + 1);
        specifier.precision = Some(text.get(at + 1..at + 1 + count)?.parse().ok()?);
        at += 1 + count;
    }
    specifier.conversion = text.get(at..)?.chars().next()?;
    let sane = specifier.width <= MAX_WIDTH
        && specifier
            .precision
            .is_none_or(|precision| precision <= MAX_PRECISION);
    sane.then_some((specifier, at + specifier_length(text, at)))
}

fn specifier_length(text: &str, at: usize) -> usize {
    text.get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8)
}

fn field<'c>(
    renderer: &mut Renderer<'c>,
    specifier: &Specifier,
    value: &Val<'c>,
    pos: Pos,
) -> Result<String> {
    let conversion = specifier.conversion;
    let text = match (conversion.to_ascii_lowercase(), value) {
        ('b', Val::Bool(value)) => value.to_string(),
        ('b', value) => (!value.is_null()).to_string(),
        ('s', value) => {
            let text = renderer.text(value, pos)?;
            match specifier.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text.to_string(),
            }
        }
        (_, Val::Null) => "null".to_owned(),
        ('c', Val::Char(value)) => value.to_string(),
        ('c', Val::Number(number)) => u32::try_from(number.to_i64())
            .ok()
            .and_then(char::from_u32)
            .map(String::from)
            .unwrap_or_default(),
        ('d', Val::Number(number @ (Number::Int(_) | Number::Big(_)))) => {
            let mut text = String::new();
            number.push_to(&mut text);
            return Ok(signed(&text, specifier));
        }
        ('f', Val::Number(number @ (Number::Double(_) | Number::Decimal(_)))) => {
            renderer.budget.work(MAX_PRECISION, pos)?;
            let text = half_up(number.to_f64(), specifier.precision.unwrap_or(6));
            return Ok(signed(&text, specifier));
        }
        ('x', Val::Number(Number::Int(value))) => match i32::try_from(*value) {
            Ok(small) => format!("{small:x}"),
            Err(_) => format!("{value:x}"),
        },
        ('o', Val::Number(Number::Int(value))) => format!("{value:o}"),
        _ => {
            let text = renderer.text(value, pos)?;
            let message = format!("%{conversion} cannot format '{}'", excerpt(&text));
            return Err(Error::new(pos, message));
        }
    };
    let text = if conversion.is_ascii_uppercase() {
        text.to_uppercase()
    } else {
        text
    };
    Ok(pad(text, specifier))
}

/// Formats a number with its sign, grouping, and leading zeros.
fn signed(text: &str, specifier: &Specifier) -> String {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut digits = if specifier.group {
        grouped(digits, 3)
    } else {
        digits.to_owned()
    };
    let sign = match (negative, specifier.plus, specifier.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    if specifier.zero {
        let missing = specifier.width.saturating_sub(digits.len() + sign.len());
        digits.insert_str(0, &"0".repeat(missing));
    }
    pad(format!("{sign}{digits}"), specifier)
}

fn pad(text: String, specifier: &Specifier) -> String {
    let missing = specifier.width.saturating_sub(text.chars().count());
    let blank = " ".repeat(missing);
    if specifier.left {
        text + &blank
    } else {
        blank + &text
    }
}

/// Inserts a comma before every `size` digits of the integer part.
pub(super) fn grouped(digits: &str, size: usize) -> String {
    let (whole, fraction) = match digits.find('.') {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let mut out = String::with_capacity(digits.len() + whole.len() / size.max(1));
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % size.max(1) == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

/// Formats `value` with `precision` digits after the point, rounding halves away from zero in the
/// shortest decimal form of the number, like Java's `Formatter`.
pub(super) fn half_up(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return crate::number::double_text(value);
    }
    let plain = format!("{}", value.abs());
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut digits: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes().take(precision))
        .collect();
    digits.resize(whole.len() + precision, b'0');
    if fraction
        .as_bytes()
        .get(precision)
        .is_some_and(|digit| *digit >= b'5')
    {
        let mut carry = true;
        for digit in digits.iter_mut().rev() {
            if *digit == b'9' {
                *digit = b'0';
            } else {
                *digit += 1;
                carry = false;
                break;
            }
        }
        if carry {
            digits.insert(0, b'1');
        }
    }
    let point = digits.len() - precision;
    let mut out = String::with_capacity(digits.len() + 2);
    if value.is_sign_negative() {
        out.push('-');
    }
    for (index, digit) in digits.iter().enumerate() {
        if index == point {
            out.push('.');
        }
        out.push(char::from(*digit));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_halves_up() {
        assert_eq!(half_up(1.005, 2), "1.01");
        assert_eq!(half_up(0.125, 2), "0.13");
        assert_eq!(half_up(99.999, 2), "100.00");
        assert_eq!(half_up(-2.5, 0), "-3");
        assert_eq!(half_up(5.0, 2), "5.00");
    }

    #[test]
    fn groups_digits() {
        assert_eq!(grouped("1234567.891", 3), "1,234,567.891");
        assert_eq!(grouped("123", 3), "123");
    }
}
