//! Durations as people write them.

/// The text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as 90s, 15m, 12h or 30d")]
pub struct ParseDurationError;

/// Maximum duration, in seconds: about 100 years, so that adding it to a time stays within the
/// range of calendars.
const MAX_SECONDS: u64 = 36_525 * 86_400;

/// Parses `90s`, `15m`, `12h` or `30d` to seconds.
pub fn parse_duration(text: &str) -> Result<u64, ParseDurationError> {
    let text = text.trim();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(ParseDurationError),
    };
    let digits = &text[..text.len() - 1];
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseDurationError);
    }
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|seconds| *seconds <= MAX_SECONDS)
        .ok_or(ParseDurationError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_numbers_with_a_unit() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "", "d", "30", "30 d", "-1d", "+1d", "1.5h", "1w", "40000d", "9e9s", "٣d", "1é",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
