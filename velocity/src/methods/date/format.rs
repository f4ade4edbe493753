//! Dates as text.

use chrono::{Datelike, FixedOffset, NaiveDate, Timelike};

use super::Date;
use super::pattern::{Style, Token};
use crate::locale::Names;

impl Date {
    /// Formats the date in a style. Without a time of day, none is printed.
    pub(crate) fn in_style(self, style: Style, names: &Names) -> String {
        self.format(&style.tokens(self.is_timed(), names), names)
    }

    /// Formats the date in one style and the time in another.
    pub(crate) fn in_styles(self, date: Style, time: Style, names: &Names) -> String {
        self.format(&Style::both(date, time, names), names)
    }

    /// Formats the date by a pattern.
    pub(crate) fn format(self, tokens: &[Token], names: &Names) -> String {
        // A month without its day is in the nominative.
        let alone = !tokens
            .iter()
            .any(|token| matches!(token, Token::Field('d', _)));
        let mut out = String::new();
        for token in tokens {
            match token {
                Token::Literal(text) => out.push_str(text),
                Token::Field(letter, count) => {
                    self.field(*letter, *count, alone, names, &mut out);
                }
            }
        }
        out
    }

    fn field(self, letter: char, count: usize, alone: bool, names: &Names, out: &mut String) {
        let date = self.local.date();
        let (hour, minute) = (self.local.hour(), self.local.minute());
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        let month = date.month0() as usize;
        let day = date.weekday().num_days_from_sunday();
        let of = |list: &[&'static str], index: usize| list.get(index).copied().unwrap_or_default();
        let value: i64 = match letter {
            'G' => {
                out.push_str(of(&names.eras, usize::from(date.year() > 0)));
                return;
            }
            'y' => year(date.year(), count),
            'Y' => year(week_of_year(date, names).1, count),
            'M' | 'L' if count > 2 => {
                let list = match (count > 3, alone || letter == 'L') {
                    (true, false) => &names.months,
                    (true, true) => &names.months_alone,
                    (false, false) => &names.short_months,
                    (false, true) => &names.short_months_alone,
                };
                out.push_str(of(list, month));
                return;
            }
            'M' | 'L' => date.month().into(),
            'w' => week_of_year(date, names).0.into(),
            'W' => week(date.day(), date, names).into(),
            'D' => date.ordinal().into(),
            'd' => date.day().into(),
            'F' => (date.day0() / 7 + 1).into(),
            'E' | 'c' => {
                let list = if count > 3 {
                    &names.days
                } else {
                    &names.short_days
                };
                out.push_str(of(list, day as usize));
                return;
            }
            'u' => date.weekday().number_from_monday().into(),
            'a' | 'B' => {
                out.push_str(of(&names.halves, usize::from(hour >= 12)));
                return;
            }
            'H' => hour.into(),
            'k' => (if hour == 0 { 24 } else { hour }).into(),
            'K' => (hour % 12).into(),
            'h' => twelve.into(),
            'm' => minute.into(),
            's' => self.local.second().into(),
            'S' => (self.local.nanosecond() / 1_000_000 % 1000).into(),
            _ => {
                if let Some(offset) = self.offset {
                    push_offset(offset, letter, count, out);
                }
                return;
            }
        };
        let width = count.min(20);
        out.push_str(&format!("{value:0width$}"));
    }
}

fn year(year: i32, count: usize) -> i64 {
    // The year before 1 is 1 BC.
    let of_era = if year > 0 {
        year.into()
    } else {
        1 - i64::from(year)
    };
    if count == 2 { of_era % 100 } else { of_era }
}

/// Returns the days from the first day of the week to a date.
fn within_week(date: NaiveDate, names: &Names) -> u32 {
    (date.weekday().num_days_from_sunday() + 7 - names.first_day) % 7
}

/// Returns the number of the week of a date in a period, from 1; `day` is the day in the period. 0
/// means that the week belongs to the previous period.
fn week(day: u32, date: NaiveDate, names: &Names) -> u32 {
    // A multiple of seven keeps the result from becoming negative.
    let start = (within_week(date, names) + 7 * 200 + 1 - day) % 7;
    (day + start - 1) / 7 + u32::from(7 - start >= names.first_week)
}

/// Returns the week of the year, and the year to which it belongs.
fn week_of_year(date: NaiveDate, names: &Names) -> (u32, i32) {
    let (year, day) = (date.year(), date.ordinal());
    let length = |year| 365 + u32::from(NaiveDate::from_yo_opt(year, 366).is_some());
    let number = week(day, date, names);
    if number == 0 {
        return (week(day + length(year - 1), date, names), year - 1);
    }
    let within = within_week(date, names);
    let left = length(year) - day;
    // The number of days of this week that fall into the next year.
    let beyond = (6 - within).saturating_sub(left);
    if beyond > 0 && beyond >= names.first_week {
        return (1, year + 1);
    }
    (number, year)
}

fn push_offset(offset: FixedOffset, letter: char, count: usize, out: &mut String) {
    let minutes = offset.local_minus_utc() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    match (letter, count) {
        ('X', _) if hours == 0 && minutes == 0 => out.push('Z'),
        ('X', 1) => out.push_str(&format!("{sign}{hours:02}")),
        ('X', 3..) => out.push_str(&format!("{sign}{hours:02}:{minutes:02}")),
        ('z', _) if hours == 0 && minutes == 0 => out.push_str("UTC"),
        ('z', _) => out.push_str(&format!("GMT{sign}{hours:02}:{minutes:02}")),
        _ => out.push_str(&format!("{sign}{hours:02}{minutes:02}")),
    }
}
