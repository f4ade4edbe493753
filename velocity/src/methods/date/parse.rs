//! Parses dates.

use chrono::{Datelike, FixedOffset, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;

use super::Date;
use super::pattern::{Token, tokens};
use crate::locale::{Locale, Names};

/// Formats of dates without a given pattern: those in Yespo's manual, and those used in JSON.
const COMMON_FORMATS: [&str; 17] = [
    "yyyy-MM-dd",
    "yyyy-MM-dd'T'HH:mm",
    "yyyy-MM-dd'T'HH:mm:ss",
    "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "yyyy-MM-dd'T'HH:mmXXX",
    "yyyy-MM-dd'T'HH:mm:ssXXX",
    "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "yyyy-MM-dd HH:mm",
    "yyyy-MM-dd HH:mm:ss",
    "yyyy-MM-dd HH:mm:ss.SSS",
    "yyyy-MM-dd HH:mm:ssXXX",
    "dd/MM/yyyy",
    "dd/MM/yyyy HH:mm",
    "dd/MM/yyyy HH:mm:ss",
    "dd.MM.yyyy",
    "dd.MM.yyyy HH:mm",
    "yyyy.MM.dd",
];
/// The pattern for a moment that was given as a number.
const NUMBER_FORMAT: &str = "dd/MM/yyyy HH:mm";
/// Maximum length of a date, in bytes.
const MAX_DATE_BYTES: usize = 200;
/// Minimum number of digits for a text to be read as milliseconds since 1970.
const DIGITS_OF_MILLIS: usize = 12;

impl Date {
    /// Parses a date in one of the usual formats, and returns its pattern.
    pub(crate) fn guess(text: &str, zone: Tz) -> Option<(Date, &'static str)> {
        let text = text.trim();
        if text.len() > MAX_DATE_BYTES
            || !text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        {
            return None;
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.len() >= DIGITS_OF_MILLIS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let date = Date::from_millis(text.parse().ok()?, zone)?;
            return Some((date, NUMBER_FORMAT));
        }
        let names = Locale::default().names();
        COMMON_FORMATS.iter().find_map(|pattern| {
            let tokens = tokens(pattern).ok()?;
            match Date::parse(text, &tokens, names)? {
                (date, "") => Some((date, *pattern)),
                _ => None,
            }
        })
    }

    /// Converts a moment given as a number, and returns the pattern in which it is printed by
    /// default.
    pub(crate) fn of_number(millis: i64, zone: Tz) -> Option<(Date, &'static str)> {
        Some((Date::from_millis(millis, zone)?, NUMBER_FORMAT))
    }

    /// Parses a date by a pattern at the start of a text, and returns the rest of the text.
    pub(crate) fn parse<'t>(
        text: &'t str,
        tokens: &[Token],
        names: &Names,
    ) -> Option<(Date, &'t str)> {
        if text.len() > MAX_DATE_BYTES {
            return None;
        }
        let mut rest = text;
        let mut parts = Parts::default();
        for (index, token) in tokens.iter().enumerate() {
            rest = match token {
                Token::Literal(literal) => rest.strip_prefix(literal.as_str())?,
                Token::Field(letter, count) => {
                    let next = tokens.get(index + 1);
                    // Digits follow directly, so only as many as the pattern says belong to this
                    // field.
                    let abuts = matches!(next, Some(Token::Field(next, n)) if is_number(*next, *n));
                    parts.read(*letter, *count, abuts, rest.trim_start(), names)?
                }
            };
        }
        Some((parts.date()?, rest))
    }
}

/// Returns true if a field holds digits.
fn is_number(letter: char, count: usize) -> bool {
    match letter {
        'M' | 'L' => count < 3,
        _ => !"GEazZX".contains(letter),
    }
}

/// Parses a UTC offset at the start of a text (`Z`, `+2`, `+02:00` or `-0530`), and returns the
/// rest.
pub(super) fn offset(text: &str) -> Option<(FixedOffset, &str)> {
    for name in ["Z", "UTC", "GMT"] {
        if let Some(rest) = text.strip_prefix(name) {
            return match offset(rest) {
                Some(found) if name != "Z" => Some(found),
                _ => Some((FixedOffset::east_opt(0)?, rest)),
            };
        }
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, digits, rest) = digits(rest, 4)?;
    let (hours, minutes, rest) = match (digits, rest.strip_prefix(':')) {
        (1 | 2, Some(after)) => match self::digits(after, 2) {
            Some((minutes, 2, rest)) => (hours, minutes, rest),
            _ => return None,
        },
        (1 | 2, None) => (hours, 0, rest),
        _ => (hours / 100, hours % 100, rest),
    };
    if hours > 18 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    Some((FixedOffset::east_opt(sign * seconds)?, rest))
}

/// Parses up to `most` digits at the start of a text; returns the number, the count of digits, and
/// the rest.
fn digits(text: &str, most: usize) -> Option<(u32, usize, &str)> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    let (number, rest) = text.split_at_checked(count)?;
    Some((number.parse().ok()?, count, rest))
}

/// The fields of a date that were parsed so far.
#[derive(Default)]
struct Parts {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    ordinal: Option<u32>,
    before_christ: bool,
    /// Hour of the day, 0 to 23.
    hour: Option<u32>,
    /// Hour of the half day, 0 to 11.
    half_hour: Option<u32>,
    afternoon: bool,
    minute: Option<u32>,
    second: Option<u32>,
    millisecond: Option<u32>,
    offset: Option<FixedOffset>,
}

impl Parts {
    /// Parses a field at the start of a text, and returns the rest.
    fn read<'t>(
        &mut self,
        letter: char,
        count: usize,
        abuts: bool,
        text: &'t str,
        names: &Names,
    ) -> Option<&'t str> {
        if !is_number(letter, count) {
            return self.read_name(letter, text, names);
        }
        let most = match (letter, abuts) {
            (_, true) => count,
            ('S', _) => 9,
            ('y' | 'Y', _) => 6,
            ('D', _) => 3,
            _ => 2,
        };
        let (number, found, rest) = digits(text, most.min(9))?;
        let below = |end: u32| (number < end).then_some(number);
        match letter {
            'y' | 'Y' => {
                // As in Java, a two-digit year is within 80 years before and 20 years after today.
                let year = i32::try_from(number).ok()?;
                self.year = Some(if count <= 2 && found == 2 {
                    nearest_century(year)
                } else {
                    year
                });
            }
            'M' | 'L' => self.month = Some(number),
            'd' => self.day = Some(number),
            'D' => self.ordinal = Some(number),
            'H' => self.hour = Some(below(24)?),
            'k' => self.hour = Some(below(25)? % 24),
            'K' => self.half_hour = Some(below(12)?),
            'h' => self.half_hour = Some(below(13)? % 12),
            'm' => self.minute = Some(below(60)?),
            's' => self.second = Some(below(60)?),
            'S' => {
                // A fraction of a second of any length.
                let scale = i32::try_from(found).ok()? - 3;
                let power = 10_u32.pow(scale.unsigned_abs());
                let millis = if scale > 0 { number / power } else { number };
                self.millisecond = Some(millis);
            }
            _ => {}
        }
        Some(rest)
    }

    fn read_name<'t>(&mut self, letter: char, text: &'t str, names: &Names) -> Option<&'t str> {
        match letter {
            'M' | 'L' => {
                let english = Locale::default().names();
                let lists = [names, english].map(|names| {
                    [
                        &names.months,
                        &names.months_alone,
                        &names.short_months,
                        &names.short_months_alone,
                    ]
                });
                let all = lists.into_iter().flatten();
                let found = all.filter_map(|list| longest_name(text, list));
                let (index, rest) = found.min_by_key(|(_, rest)| rest.len())?;
                self.month = u32::try_from(index + 1).ok();
                Some(rest)
            }
            'E' => {
                let english = Locale::default().names();
                let lists = [names, english].map(|names| [&names.days, &names.short_days]);
                let found = lists.into_iter().flatten();
                let found = found.filter_map(|list| longest_name(text, list));
                Some(found.min_by_key(|(_, rest)| rest.len())?.1)
            }
            'a' => {
                let english = &Locale::default().names().halves;
                let mut lists = [&names.halves, english].into_iter();
                let (index, rest) = lists.find_map(|list| longest_name(text, list))?;
                self.afternoon = index == 1;
                Some(rest)
            }
            'G' => {
                let english = &Locale::default().names().eras;
                let mut lists = [&names.eras, english].into_iter();
                let (index, rest) = lists.find_map(|list| longest_name(text, list))?;
                self.before_christ = index == 0;
                Some(rest)
            }
            _ => {
                let (found, rest) = offset(text)?;
                self.offset = Some(found);
                Some(rest)
            }
        }
    }

    fn date(self) -> Option<Date> {
        let has_time = self.hour.is_some() || self.half_hour.is_some() || self.minute.is_some();
        let year = self.year.unwrap_or(1970);
        let year = if self.before_christ { 1 - year } else { year };
        let day = match self.ordinal {
            Some(ordinal) if self.month.is_none() => NaiveDate::from_yo_opt(year, ordinal)?,
            _ => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let of_half = self
            .half_hour
            .map(|hour| hour + if self.afternoon { 12 } else { 0 });
        let hour = self.hour.or(of_half).unwrap_or(0);
        let time = NaiveTime::from_hms_milli_opt(
            hour,
            self.minute.unwrap_or(0),
            self.second.unwrap_or(0),
            self.millisecond.unwrap_or(0),
        )?;
        Some(Date {
            local: day.and_time(time),
            offset: self.offset,
            has_time,
        })
    }
}

/// Returns the index of the longest name at the start of a text, ignoring case, and the rest.
fn longest_name<'t>(text: &'t str, names: &[&str]) -> Option<(usize, &'t str)> {
    let found = names.iter().enumerate().filter_map(|(index, name)| {
        let mut rest = text.chars();
        let same = name.chars().all(|wanted| {
            let found = rest.next();
            found.is_some_and(|found| found.to_lowercase().eq(wanted.to_lowercase()))
        });
        same.then_some((index, rest.as_str()))
    });
    found.min_by_key(|(_, rest)| rest.len())
}

/// Returns the year nearest to today for a two-digit year.
fn nearest_century(year: i32) -> i32 {
    let today = Utc::now().year();
    let century = today - today.rem_euclid(100);
    let year = century + year;
    if year > today + 20 {
        year - 100
    } else if year <= today - 80 {
        year + 100
    } else {
        year
    }
}
