//! The patterns of `java.text.DecimalFormat`, such as `#,##0.00`.

use super::format::grouped;
use crate::locale::{Currency, Locale};

/// Maximum number of digits in a pattern.
const MAX_DIGITS: usize = 340;
/// Maximum length of a pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 500;
/// The placeholder for the currency symbol.
const CURRENCY: char = '¤';

/// A parsed pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NumericPattern {
    prefix: String,
    suffix: String,
    /// Prefix and suffix of negative numbers, instead of the minus sign.
    negative: Option<(String, String)>,
    min_integer: usize,
    min_fraction: usize,
    max_fraction: usize,
    /// Number of digits between separators.
    group: Option<usize>,
    /// The power of ten by which the number is multiplied.
    shift: u8,
}

/// The symbols for printing a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbols {
    decimal: &'static str,
    group: &'static str,
    minus: &'static str,
    currency: Currency,
}

impl Symbols {
    /// Returns the symbols of a language.
    pub(super) fn of(locale: Locale) -> Symbols {
        let names = locale.names();
        Symbols {
            decimal: names.decimal,
            group: names.group,
            minus: names.minus,
            currency: locale.currency(),
        }
    }

    /// Returns the symbols for a pattern written by an author: they are printed literally.
    pub(super) fn plain(locale: Locale) -> Symbols {
        Symbols {
            decimal: ".",
            group: ",",
            minus: "-",
            currency: locale.currency(),
        }
    }
}

impl NumericPattern {
    /// Parses a pattern; the error describes the problem.
    pub(super) fn read(pattern: &str) -> Result<NumericPattern, String> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(format!(
                "the number pattern is longer than {MAX_PATTERN_BYTES} bytes"
            ));
        }
        let wrong = |why: &str| format!("'{pattern}' is not a number pattern: {why}");
        let mut parts = Parts::split(pattern).ok_or_else(|| wrong("a quote is not closed"))?;
        let mut first = parts.next_part();
        if first.digits.is_empty() {
            return Err(wrong("it has no # or 0 for the digits"));
        }
        if first.more_digits {
            return Err(wrong("# and 0 must be together; quote them as text"));
        }
        if first.suffix.starts_with(',') {
            return Err(wrong(
                "digits follow a comma; ## starts a comment in double quotes, so use single quotes",
            ));
        }
        let (whole, fraction) = match first.digits.split_once('.') {
            Some((whole, fraction)) => (whole, fraction),
            None => (first.digits.as_str(), ""),
        };
        let falls = |text: &str, first: char, second: char| {
            let mut digits = text
                .chars()
                .filter(|c| *c != ',')
                .skip_while(|c| *c == first);
            digits.all(|c| c == second)
        };
        if !falls(whole, '#', '0') {
            return Err(wrong("before the point, # comes before 0"));
        }
        if fraction.contains([',', '.']) || !falls(fraction, '0', '#') {
            return Err(wrong("after the point, 0 comes before #"));
        }
        let after_group = whole.rfind(',').map(|at| whole.len() - at - 1);
        let count = |text: &str, digit: char| text.matches(digit).count().min(MAX_DIGITS);
        let mut negative = None;
        if parts.has_second() {
            let second = parts.next_part();
            negative = Some((second.prefix, second.suffix));
        }
        let affixes = [first.prefix.as_str(), &first.suffix].concat();
        Ok(NumericPattern {
            min_integer: count(whole, '0'),
            min_fraction: count(fraction, '0'),
            max_fraction: fraction.len().min(MAX_DIGITS),
            group: after_group,
            shift: match first.shift {
                Some('%') => 2,
                Some(_) => 3,
                None => 0,
            },
            negative: negative
                .filter(|(prefix, suffix)| [prefix.as_str(), suffix].concat() != affixes),
            prefix: std::mem::take(&mut first.prefix),
            suffix: std::mem::take(&mut first.suffix),
        })
    }

    /// Returns true if digits are not grouped by threes, as in `0,00`.
    pub(super) fn has_unusual_grouping(&self) -> bool {
        self.group.is_some_and(|size| size != 3)
    }

    /// Returns the pattern with exactly this many digits after the point.
    pub(super) fn with_fraction(self, digits: usize) -> NumericPattern {
        NumericPattern {
            min_fraction: digits,
            max_fraction: digits,
            ..self
        }
    }

    /// Formats a number; halves are rounded to even.
    pub(super) fn format(&self, value: f64, symbols: &Symbols) -> String {
        let value = value * 10_f64.powi(self.shift.into());
        let most = self.max_fraction;
        let mut digits = format!("{:.most$}", value.abs());
        if most > 0 {
            let least = self.min_fraction;
            while digits.ends_with('0') && digits.len() - digits.find('.').unwrap_or(0) - 1 > least
            {
                digits.pop();
            }
            if digits.ends_with('.') {
                digits.pop();
            }
        }
        let present = digits.find('.').unwrap_or(digits.len());
        if self.min_integer == 0 && digits.starts_with("0.") {
            digits.remove(0);
        } else if self.min_integer > present {
            digits.insert_str(0, &"0".repeat(self.min_integer - present));
        }
        if let Some(size) = self.group {
            digits = grouped(&digits, size);
        }
        let mut number = String::with_capacity(digits.len());
        for c in digits.chars() {
            match c {
                ',' => number.push_str(symbols.group),
                '.' => number.push_str(symbols.decimal),
                digit => number.push(digit),
            }
        }
        let zero = !number.contains(|c: char| ('1'..='9').contains(&c));
        let negative = value < 0.0 && !zero;
        let (sign, prefix, suffix) = match &self.negative {
            Some((prefix, suffix)) if negative => ("", prefix, suffix),
            _ if negative => (symbols.minus, &self.prefix, &self.suffix),
            _ => ("", &self.prefix, &self.suffix),
        };
        let mut out = String::from(sign);
        push_affix(prefix, symbols, &mut out);
        // A currency name in letters is separated from the amount.
        if prefix.ends_with(CURRENCY) && symbols.currency.symbol.ends_with(char::is_alphabetic) {
            out.push('\u{a0}');
        }
        out.push_str(&number);
        push_affix(suffix, symbols, &mut out);
        out
    }
}

fn push_affix(affix: &str, symbols: &Symbols, out: &mut String) {
    let mut chars = affix.chars().peekable();
    while let Some(c) = chars.next() {
        if c != CURRENCY {
            out.push(c);
        } else if chars.next_if_eq(&CURRENCY).is_some() {
            out.push_str(symbols.currency.code);
        } else {
            out.push_str(symbols.currency.symbol);
        }
    }
}

/// One half of a pattern: for all numbers, or for negative ones.
#[derive(Debug, Default)]
struct Part {
    prefix: String,
    digits: String,
    suffix: String,
    /// `%` or `‰`, if there is an unquoted one.
    shift: Option<char>,
    /// Digits follow after other text.
    more_digits: bool,
}

/// The characters of a pattern, and whether each one is quoted.
struct Parts {
    chars: std::iter::Peekable<std::vec::IntoIter<(char, bool)>>,
}

impl Parts {
    fn split(pattern: &str) -> Option<Parts> {
        let mut all = Vec::new();
        let mut chars = pattern.chars().peekable();
        let mut quoted = false;
        while let Some(c) = chars.next() {
            if c != '\'' {
                all.push((c, quoted));
            } else if chars.next_if_eq(&'\'').is_some() {
                all.push(('\'', true));
            } else {
                quoted = !quoted;
            }
        }
        (!quoted).then(|| Parts {
            chars: all.into_iter().peekable(),
        })
    }

    fn has_second(&mut self) -> bool {
        self.chars.peek().is_some()
    }

    fn next_part(&mut self) -> Part {
        let mut part = Part::default();
        let mut ended = false;
        while let Some((c, quoted)) = self.chars.next() {
            let next = self.chars.peek().copied();
            let digit = |c: char| matches!(c, '#' | '0');
            let before_digit = next.is_some_and(|(next, quoted)| !quoted && digit(next));
            // A point or comma elsewhere is text: `0.00 грн.`
            let is_digit = !quoted && (digit(c) || matches!(c, '.' | ',') && before_digit);
            if !quoted && c == ';' {
                break;
            }
            if is_digit && !ended {
                part.digits.push(c);
            } else if part.digits.is_empty() {
                part.prefix.push(c);
            } else {
                ended = true;
                part.more_digits |= is_digit;
                part.suffix.push(c);
            }
            if !quoted && matches!(c, '%' | '‰') {
                part.shift = Some(c);
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(pattern: &str, value: f64, language: &str) -> String {
        let locale = Locale::of(language).expect(language);
        let pattern = NumericPattern::read(pattern).expect(pattern);
        pattern.format(value, &Symbols::of(locale))
    }

    #[test]
    fn formats_by_pattern() {
        for (pattern, value, expected) in [
            ("0.00", 9.5, "9.50"),
            ("#,##0.00", 1_234_567.891, "1,234,567.89"),
            ("#.##", 2.0, "2"),
            ("#.##", 0.25, ".25"),
            ("#.00", 7.0, "7.00"),
            ("0.#", 0.25, "0.2"),
            ("000", 7.0, "007"),
            ("#,###", 1_234.0, "1,234"),
            ("0%", 0.15, "15%"),
            ("0.0 ‰", 0.015, "15.0 ‰"),
            ("0.00 грн.", -3.0, "-3.00 грн."),
            ("грн. 0.00", 3.0, "грн. 3.00"),
            ("0 'p''0'", 3.0, "3 p'0"),
            ("0.0;(0.0)", -2.5, "(2.5)"),
            ("0;-0", -2.0, "-2"),
            ("0.", 2.0, "2."),
            ("¤0.00 ¤¤", 2.0, "$2.00 USD"),
        ] {
            assert_eq!(format(pattern, value, "en"), expected, "{pattern}");
        }
    }

    #[test]
    fn uses_the_symbols_of_the_language() {
        for (pattern, value, language, expected) in [
            ("#,##0.###", 1_341.999, "de", "1.341,999"),
            ("#,##0.###", -1_341.5, "uk", "-1\u{a0}341,5"),
            ("#,##0.00 ¤", 1_341.999, "uk", "1\u{a0}342,00 ₴"),
            ("¤#,##0.00", 2.0, "en-KZ", "KZT\u{a0}2.00"),
        ] {
            assert_eq!(
                format(pattern, value, language),
                expected,
                "{language} {pattern}"
            );
        }
    }

    #[test]
    fn rejects_invalid_patterns() {
        for pattern in [
            "",
            "currency",
            "abc",
            "0#",
            "0.#0",
            "0.0.0",
            "#,##0.0,0",
            "0 0",
            "'0",
            "#,",
        ] {
            assert!(NumericPattern::read(pattern).is_err(), "{pattern}");
        }
        assert!(NumericPattern::read(&"0".repeat(1000)).is_err());
    }
}
