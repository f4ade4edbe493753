//! Patterns of `java.text.DecimalFormat`, such as `#,##0.00`.

use super::format::grouped;

/// Most digits that a pattern may ask for.
const MAX_DIGITS: usize = 340;

/// `value` as the pattern says, with the symbols of English. Halves go to the even neighbour.
pub(super) fn format(pattern: &str, value: f64) -> String {
    if !value.is_finite() {
        return crate::number::double_text(value);
    }
    let positive = pattern.split(';').next().unwrap_or(pattern);
    let digit = |c: char| matches!(c, '#' | '0' | ',' | '.');
    let start = positive.find(digit).unwrap_or(positive.len());
    let (prefix, rest) = positive.split_at(start);
    let end = rest.find(|c| !digit(c)).unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let percent = prefix.contains('%') || suffix.contains('%');
    let value = if percent { value * 100.0 } else { value };
    let most = fraction.len().min(MAX_DIGITS);
    let least = fraction.matches('0').count().min(most);
    let mut digits = format!("{:.most$}", value.abs());
    if most > 0 {
        while digits.ends_with('0') && digits.len() - digits.find('.').unwrap_or(0) - 1 > least {
            digits.pop();
        }
        if digits.ends_with('.') {
            digits.pop();
        }
    }
    let needed = whole.matches('0').count().min(MAX_DIGITS);
    let present = digits.find('.').unwrap_or(digits.len());
    if needed == 0 && digits.starts_with("0.") {
        digits.remove(0);
    } else if needed > present {
        digits.insert_str(0, &"0".repeat(needed - present));
    }
    if let Some(at) = whole.rfind(',') {
        digits = grouped(&digits, (whole.len() - at - 1).max(1));
    }
    let zero = !digits.contains(|c: char| ('1'..='9').contains(&c));
    let sign = if value < 0.0 && !zero { "-" } else { "" };
    let plain = |text: &str| text.replace('\'', "");
    format!("{sign}{}{digits}{}", plain(prefix), plain(suffix))
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn follows_the_pattern() {
        for (pattern, value, expected) in [
            ("0.00", 9.5, "9.50"),
            ("#,##0.00", 1_234_567.891, "1,234,567.89"),
            ("#.##", 2.0, "2"),
            ("#.##", 0.25, ".25"),
            ("0.#", 0.25, "0.2"),
            ("000", 7.0, "007"),
            ("0%", 0.15, "15%"),
            ("0.00 грн", -3.0, "-3.00 грн"),
        ] {
            assert_eq!(format(pattern, value), expected, "{pattern}");
        }
    }
}
