//! Dates in the patterns of `java.text.SimpleDateFormat`.

/// A date and time of day without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    millisecond: u32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Days from 1 January 1970 to the first of March of `year`, by the Gregorian calendar.
fn days_to_march(year: i64) -> i64 {
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) - 719_468
}

impl Date {
    /// A date in UTC from milliseconds since 1970.
    pub(super) fn from_millis(millis: i64) -> Date {
        let days = millis.div_euclid(86_400_000);
        let rest = millis.rem_euclid(86_400_000);
        // The mean year of the calendar is never off by more than one.
        let mut year = ((days + 719_468) * 400).div_euclid(146_097);
        if days_to_march(year) > days {
            year -= 1;
        } else if days_to_march(year + 1) <= days {
            year += 1;
        }
        // Months from March on have 31 and 30 days in a pattern of five.
        let of_year = days - days_to_march(year);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let small = |n: i64| u32::try_from(n).unwrap_or(0);
        Date {
            year: if month >= 10 { year + 1 } else { year },
            month: small(if month >= 10 { month - 9 } else { month + 3 }),
            day: small(day),
            hour: small(rest / 3_600_000),
            minute: small(rest / 60_000 % 60),
            second: small(rest / 1000 % 60),
            millisecond: small(rest % 1000),
        }
    }

    /// A date from ISO 8601: `2017-12-31`, with `T23:59`, `:59` and `.999` if there. A zone is
    /// left out: the date prints as it was written.
    pub(super) fn parse(text: &str) -> Option<Date> {
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            let digits = text.get(range)?;
            digits
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| digits.parse().ok())?
        };
        let mark = |at: usize| text.as_bytes().get(at).copied();
        if mark(4) != Some(b'-') || mark(7) != Some(b'-') {
            return None;
        }
        let mut date = Date {
            year: number(0..4)?.into(),
            month: number(5..7)?,
            day: number(8..10)?,
            hour: 0,
            minute: 0,
            second: 0,
            millisecond: 0,
        };
        if matches!(mark(10), Some(b'T' | b' ')) && mark(13) == Some(b':') {
            date.hour = number(11..13)?;
            date.minute = number(14..16)?;
            if mark(16) == Some(b':') {
                date.second = number(17..19)?;
                if mark(19) == Some(b'.') {
                    date.millisecond = number(20..23).unwrap_or(0);
                }
            }
        } else if mark(10).is_some() {
            return None;
        }
        let sane = (1..=12).contains(&date.month)
            && (1..=31).contains(&date.day)
            && date.hour < 24
            && date.minute < 60
            && date.second < 61;
        sane.then_some(date)
    }

    fn weekday(&self) -> usize {
        let shifted = if self.month < 3 {
            self.year - 1
        } else {
            self.year
        };
        let month = i64::from((self.month + 9) % 12);
        let days = days_to_march(shifted) + (153 * month + 2) / 5 + i64::from(self.day) - 1;
        usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0)
    }

    /// The date in a pattern; `None` if the pattern has an unknown letter.
    pub(super) fn format(&self, pattern: &str) -> Option<String> {
        let mut out = String::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                if chars.peek() == Some(&'\'') {
                    chars.next();
                    out.push('\'');
                    continue;
                }
                out.extend(chars.by_ref().take_while(|c| *c != '\''));
                continue;
            }
            if !c.is_ascii_alphabetic() {
                out.push(c);
                continue;
            }
            let mut count = 1;
            while chars.peek() == Some(&c) {
                chars.next();
                count += 1;
            }
            self.field(c, count, &mut out)?;
        }
        Some(out)
    }

    fn field(&self, letter: char, count: usize, out: &mut String) -> Option<()> {
        let twelve = |hour: u32| (hour + 11) % 12 + 1;
        let name = |full: &'static str, out: &mut String| {
            out.push_str(if count > 3 {
                full
            } else {
                full.get(..3).unwrap_or(full)
            });
        };
        let value = match letter {
            'y' if count == 2 => i64::from(u32::try_from(self.year.rem_euclid(100)).ok()?),
            'y' => self.year,
            'M' | 'L' if count > 2 => {
                let index = usize::try_from(self.month).ok()?.checked_sub(1)?;
                name(MONTHS.get(index)?, out);
                return Some(());
            }
            'E' => {
                name(DAYS.get(self.weekday())?, out);
                return Some(());
            }
            'a' => {
                out.push_str(if self.hour < 12 { "AM" } else { "PM" });
                return Some(());
            }
            'M' | 'L' => self.month.into(),
            'd' => self.day.into(),
            'H' => self.hour.into(),
            'h' => twelve(self.hour).into(),
            'm' => self.minute.into(),
            's' => self.second.into(),
            'S' => self.millisecond.into(),
            _ => return None,
        };
        let width = count.min(20);
        out.push_str(&format!("{value:0width$}"));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn formats_dates() {
        let date = Date::parse("2017-12-31T23:59").expect("a date");
        assert_eq!(
            date.format("dd.MM.yyyy HH:mm").as_deref(),
            Some("31.12.2017 23:59")
        );
        assert_eq!(
            date.format("EEEE, d MMMM yy 'at' h a").as_deref(),
            Some("Sunday, 31 December 17 at 11 PM")
        );
        assert_eq!(date.format("Q"), None);
        assert_eq!(Date::parse("31.12.2017"), None);
    }

    #[test]
    fn counts_days() {
        for (millis, text) in [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (-86_400_000, "1969-12-31"),
            (1_767_225_600_000, "2026-01-01"),
            (-62_167_219_200_000, "0000-01-01"),
            (-62_167_219_200_001, "-001-12-31"),
            (i64::MAX, "292278994-08-17"),
            (i64::MIN, "-292275055-05-16"),
        ] {
            assert_eq!(
                Date::from_millis(millis).format("yyyy-MM-dd").as_deref(),
                Some(text)
            );
        }
    }
}
