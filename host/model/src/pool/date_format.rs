//! A user-defined date format for uploads.

use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

/// A date format: `DD.MM.YYYY`, `MM/DD/YYYY HH:mm`, `%d.%m.%Y`, or `DMY`, `MDY`, `YMD` with any
/// separators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat {
    /// Patterns of chrono; the first match applies.
    patterns: Vec<String>,
    has_time: bool,
    has_seconds: bool,
}

/// A text that is not a date format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a date format; expected one with a day, a month and a year, such as DD.MM.YYYY, \
     MM/DD/YYYY or %d.%m.%Y"
)]
pub struct ParseDateFormatError(pub String);

impl DateFormat {
    /// Parses a date, its time if the format has one, and returns the rest of the text.
    pub(super) fn read<'t>(
        &self,
        text: &'t str,
    ) -> Option<(NaiveDate, Option<NaiveTime>, &'t str)> {
        self.patterns.iter().find_map(|pattern| {
            if self.has_time {
                let (time, rest) = NaiveDateTime::parse_and_remainder(text, pattern).ok()?;
                return Some((time.date(), Some(time.time()), rest));
            }
            let (date, rest) = NaiveDate::parse_and_remainder(text, pattern).ok()?;
            Some((date, None, rest))
        })
    }

    /// Returns true if times are exact to the second.
    pub(super) fn has_seconds(&self) -> bool {
        self.has_seconds
    }
}

impl FromStr for DateFormat {
    type Err = ParseDateFormatError;

    fn from_str(text: &str) -> Result<DateFormat, ParseDateFormatError> {
        let text = text.trim();
        let error = || ParseDateFormatError(text.chars().take(40).collect());
        if text.len() > 100 {
            return Err(error());
        }
        let patterns = match text.to_ascii_lowercase().as_str() {
            "dmy" => with_any_separator("%d", "%m", "%Y"),
            "mdy" => with_any_separator("%m", "%d", "%Y"),
            "ymd" => with_any_separator("%Y", "%m", "%d"),
            _ if text.contains('%') => vec![text.to_owned()],
            _ => vec![chrono_pattern(text)],
        };
        let has = |letters: &[char]| {
            let directives: Vec<char> = patterns[0]
                .split('%')
                .skip(1)
                .flat_map(|part| part.chars().next())
                .collect();
            letters.iter().any(|letter| directives.contains(letter))
        };
        let has_time = has(&['H', 'I', 'T', 'R', 'k', 'l']);
        let format = DateFormat {
            has_time,
            has_seconds: has(&['S', 'T']),
            patterns,
        };
        // The format must round-trip a full date.
        let is_whole = [(2041, 2, 3), (2042, 3, 2)]
            .into_iter()
            .all(|(year, month, day)| {
                let date = NaiveDate::from_ymd_opt(year, month, day);
                date.is_some_and(|date| {
                    let time = date.and_time(NaiveTime::MIN);
                    let mut written = String::new();
                    let shown = time.format(&format.patterns[0]);
                    let is_written = std::fmt::write(&mut written, format_args!("{shown}")).is_ok();
                    let read = || {
                        format
                            .read(&written)
                            .map(|(read, _, rest)| (read, rest.is_empty()))
                    };
                    is_written && read() == Some((date, true))
                })
            });
        match is_whole {
            true => Ok(format),
            false => Err(error()),
        }
    }
}

fn with_any_separator(first: &str, second: &str, third: &str) -> Vec<String> {
    let with = |mark: &str| format!("{first}{mark}{second}{mark}{third}");
    ["/", ".", "-", " ", ""].into_iter().map(with).collect()
}

/// Converts `DD.MM.YYYY` to a pattern of chrono. `mm` means minutes after an hour, months
/// otherwise.
fn chrono_pattern(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut pattern = String::new();
    let mut at = 0;
    let mut has_hour = false;
    while at < letters.len() {
        let letter = letters[at];
        let run = letters[at..]
            .iter()
            .take_while(|other| **other == letter)
            .count();
        at += run;
        match (letter, run) {
            ('y' | 'Y', 1..=2) => pattern.push_str("%y"),
            ('y' | 'Y', _) => pattern.push_str("%Y"),
            ('d' | 'D', _) => pattern.push_str("%d"),
            ('m' | 'M', _) if has_hour => pattern.push_str("%M"),
            ('m' | 'M', 1..=2) => pattern.push_str("%m"),
            ('m' | 'M', _) => pattern.push_str("%B"),
            ('H', _) => {
                has_hour = true;
                pattern.push_str("%H");
            }
            ('h', _) => {
                has_hour = true;
                let is_half = text.contains(['a', 'A', 'p', 'P']);
                pattern.push_str(if is_half { "%I" } else { "%H" });
            }
            ('s' | 'S', _) => pattern.push_str("%S"),
            ('a' | 'A', _) => pattern.push_str("%p"),
            (mark, run) => pattern.extend(std::iter::repeat_n(mark, run)),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_formats_without_a_full_date() {
        for text in [
            "",
            "DD",
            "DD.MM",
            "MM/YYYY",
            "%d.%m",
            "date",
            "%",
            "%Q",
            "dd.dd.yyyy",
            "HH:mm",
            "%d.%m.%Y %",
            &"D".repeat(200),
        ] {
            assert!(text.parse::<DateFormat>().is_err(), "{text}");
        }
        for text in [
            "DD.MM.YYYY",
            "%d.%m.%y",
            "mdy",
            "YYYY/MM/DD",
            "d/m/y",
            "D MMMM YYYY",
            "%e %b %Y",
        ] {
            assert!(text.parse::<DateFormat>().is_ok(), "{text}");
        }
    }
}
