//! The days of an installation: what a date in an upload means, and what "valid for seven more
//! days" asks of an expiry. Both are judged in one time zone, the database's.

use chrono::{
    DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
};
use chrono_tz::Tz;

use super::DateFormat;
use crate::clock::Timestamp;

/// Dates in one time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    zone: Tz,
}

/// Why a text is not read as a date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDateError {
    /// It is no date, or none that exists.
    #[error("`{0}` is not a date; expected one like 2026-12-31, 2026-12-31T23:59 or 2026.12.31")]
    NoDate(String),
    /// Its day and its month cannot be told apart.
    #[error(
        "`{text}` may be {day_first} or {month_first}; state how dates are written, `--date-format \
         {}` or `--date-format {}` (over HTTP `dateFormat`)",
        shape(.text, "DD", "MM"), shape(.text, "MM", "DD")
    )]
    TwoReadings {
        /// The text.
        text: String,
        /// The day if the day stands first.
        day_first: NaiveDate,
        /// The day if the month stands first.
        month_first: NaiveDate,
    },
}

/// The format of a date whose parts stand in this order.
fn shape(text: &str, first: &str, second: &str) -> String {
    let mark = text.find(|c: char| !c.is_ascii_digit());
    let mark = mark.map_or("/", |at| &text[at..=at]);
    format!("{first}{mark}{second}{mark}YYYY")
}

/// Dates whose parts have one order wherever they are written.
const PLAIN: [&str; 9] = [
    "%Y-%m-%d",
    "%Y.%m.%d",
    "%Y/%m/%d",
    // With dots the day stands first in all countries that write so.
    "%d.%m.%Y",
    "%d %B %Y",
    "%d-%B-%Y",
    "%d/%B/%Y",
    "%B %d, %Y",
    "%B %d %Y",
];
/// How many of [`PLAIN`] begin with the year, and cannot be taken for a stated format.
const YEAR_FIRST: usize = 3;

impl Calendar {
    /// The calendar of an IANA time zone.
    pub fn new(zone: Tz) -> Calendar {
        Calendar { zone }
    }

    /// Its time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// A moment on the clocks of the zone; `None` beyond what chrono can tell.
    pub fn local(&self, moment: Timestamp) -> Option<DateTime<Tz>> {
        Some(moment.to_utc()?.with_timezone(&self.zone))
    }

    /// The moment from which a code is no longer valid, for an expiry as people and programs write
    /// it: `2017-12-31`, `2017.12.31`, `2017/12/31`, `31.12.2017`, `31 Dec 2017` (the end of that
    /// day), each with a time behind a space or `T`: `2017-12-31T23:59` (the end of that minute),
    /// `2017-12-31 23:59:30`, `11:59 PM`, with a fraction, or followed by `Z`, `UTC` or an offset
    /// such as `+02:00` or `+0200`; and as RFC 3339 and RFC 2822 have it. `31/12/2017` and
    /// `12/31/2017` are read where one of the two is no month.
    ///
    /// # Errors
    ///
    /// It is no date, or has two readings.
    pub fn parse_expiry(&self, text: &str) -> Result<Timestamp, ParseDateError> {
        self.parse_expiry_as(text, None)
    }

    /// As [`parse_expiry`](Self::parse_expiry), for dates of a stated format, or with the year first.
    ///
    /// # Errors
    ///
    /// It is no date, or has two readings.
    pub fn parse_expiry_as(
        &self,
        text: &str,
        format: Option<&DateFormat>,
    ) -> Result<Timestamp, ParseDateError> {
        let text = text.trim();
        let error = || ParseDateError::NoDate(text.chars().take(40).collect());
        let instant =
            DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
        if let Ok(time) = instant {
            return plausible(Timestamp(time.timestamp_millis())).ok_or_else(error);
        }
        if let Some(format) = format {
            let stated = format.read(text).and_then(|(date, time, rest)| match time {
                Some(time) if (1..=9999).contains(&chrono::Datelike::year(&date)) => {
                    self.at(date, time, !format.has_seconds(), rest)
                }
                Some(_) => None,
                None => self.end(date, rest),
            });
            if let Some(moment) = stated {
                return Ok(moment);
            }
        }
        let plain = &PLAIN[..if format.is_some() {
            YEAR_FIRST
        } else {
            PLAIN.len()
        }];
        let read = |format: &str| {
            let (date, rest) = NaiveDate::parse_and_remainder(text, format).ok()?;
            Some((date, self.end(date, rest)?))
        };
        if let Some((_, moment)) = plain.iter().find_map(|format| read(format)) {
            return Ok(moment);
        }
        if format.is_some() {
            return Err(error());
        }
        for (day_first, month_first) in [("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y")] {
            match (read(day_first), read(month_first)) {
                (Some((day_first, _)), Some((month_first, _))) if day_first != month_first => {
                    return Err(ParseDateError::TwoReadings {
                        text: text.chars().take(40).collect(),
                        day_first,
                        month_first,
                    });
                }
                (Some((_, moment)), _) | (None, Some((_, moment))) => return Ok(moment),
                (None, None) => {}
            }
        }
        Err(error())
    }

    /// The expiry of a day with what stands behind it: nothing, or a time.
    fn end(&self, date: NaiveDate, rest: &str) -> Option<Timestamp> {
        // Beyond lie years whose days leave the range that chrono can tell.
        if !(1..=9999).contains(&chrono::Datelike::year(&date)) {
            return None;
        }
        if rest.is_empty() {
            return plausible(self.start_of(date.checked_add_days(Days::new(1))?));
        }
        let time = rest
            .strip_prefix(['T', 't'])
            .unwrap_or_else(|| rest.trim_start());
        if time.len() == rest.len() {
            return None;
        }
        let formats = [
            ("%I:%M:%S %p", false),
            ("%I:%M %p", true),
            ("%H:%M:%S%.f", false),
            ("%H:%M", true),
        ];
        formats.into_iter().find_map(|(format, is_minute)| {
            let (time, zone) = NaiveTime::parse_and_remainder(time, format).ok()?;
            self.at(date, time, is_minute, zone)
        })
    }

    /// The expiry at a time, in the zone that stands behind it or else in ours.
    fn at(
        &self,
        date: NaiveDate,
        time: NaiveTime,
        is_minute: bool,
        zone: &str,
    ) -> Option<Timestamp> {
        let minute = TimeDelta::minutes(i64::from(is_minute));
        let local = date.and_time(time).checked_add_signed(minute)?;
        let zone = zone.trim_start();
        if zone.is_empty() {
            return plausible(self.moment(local));
        }
        let utc = local.checked_sub_signed(TimeDelta::minutes(offset(zone)?))?;
        plausible(Timestamp(utc.and_utc().timestamp_millis()))
    }

    /// An expiry as it is written in listings and exports; reading it again gives the same
    /// moment. Whole minutes are written as the minute that ends there.
    pub fn format_expiry(&self, expires: Timestamp) -> Option<String> {
        let utc = expires.to_utc()?;
        let (last, format) = if expires.0.rem_euclid(60_000) == 0 {
            (
                utc.checked_sub_signed(TimeDelta::minutes(1))?,
                "%Y-%m-%dT%H:%M",
            )
        } else if expires.0.rem_euclid(1000) == 0 {
            (utc, "%Y-%m-%dT%H:%M:%S")
        } else {
            (utc, "%Y-%m-%dT%H:%M:%S%.3f")
        };
        let text = last.with_timezone(&self.zone).format(format).to_string();
        // An hour that the clocks repeat is told apart by its offset alone.
        match self.parse_expiry(&text) {
            Ok(read) if read == expires => Some(text),
            _ => Some(utc.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        }
    }

    /// The earliest expiry that a code must have to be valid, at `now`, for `days` more days:
    /// through the last of them, counted from tomorrow. For 0 days it must not have expired.
    pub fn expiry_needed(&self, now: Timestamp, days: u32) -> Timestamp {
        // A code is valid before the moment of its expiry and no longer at it.
        let valid_now = now.plus_millis(1);
        if days == 0 {
            return valid_now;
        }
        let Some(today) = now
            .to_utc()
            .map(|time| time.with_timezone(&self.zone).date_naive())
        else {
            return Timestamp::NEVER;
        };
        match today.checked_add_days(Days::new(u64::from(days) + 1)) {
            Some(day) => self.start_of(day),
            None => Timestamp::NEVER,
        }
    }

    /// When a day begins here.
    fn start_of(&self, day: NaiveDate) -> Timestamp {
        self.moment(day.and_time(NaiveTime::MIN))
    }

    /// When the clock on the wall shows this; the later one where it does so twice, and the
    /// end of the gap where the clocks skip it: a customer is never cut short.
    fn moment(&self, local: NaiveDateTime) -> Timestamp {
        let mut local = local;
        for _ in 0..=24 * 4 {
            match self.zone.from_local_datetime(&local) {
                LocalResult::Single(time) => return Timestamp(time.timestamp_millis()),
                LocalResult::Ambiguous(_, later) => return Timestamp(later.timestamp_millis()),
                LocalResult::None => local += TimeDelta::minutes(15),
            }
        }
        // No gap in the time zone database is longer than a day.
        Timestamp(local.and_utc().timestamp_millis())
    }
}

/// The minutes by which a zone is ahead of UTC: `Z`, `UTC`, `+02:00`, `+0200`, `+02`.
fn offset(zone: &str) -> Option<i64> {
    if ["z", "utc", "gmt", "ut"]
        .iter()
        .any(|name| zone.eq_ignore_ascii_case(name))
    {
        return Some(0);
    }
    let digits = zone.strip_prefix(['+', '-'])?;
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None => digits.split_at_checked(2)?,
    };
    let number = |text: &str, most: i64| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        is_number
            .then(|| text.parse().ok())
            .flatten()
            .filter(|number| *number <= most)
    };
    let minutes = match minutes {
        "" => 0,
        two if two.len() == 2 => number(two, 59)?,
        _ => return None,
    };
    let minutes = number(hours, 23).filter(|_| hours.len() == 2)? * 60 + minutes;
    Some(if zone.starts_with('-') {
        -minutes
    } else {
        minutes
    })
}

/// Refuses years that only a slip of the keyboard makes. The end of 9999-12-31, which many
/// systems write for never, is within.
fn plausible(time: Timestamp) -> Option<Timestamp> {
    let before = time.plus_millis(-24 * 3_600_000).to_utc()?;
    (1969..=9999)
        .contains(&chrono::Datelike::year(&before))
        .then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kyiv() -> Calendar {
        Calendar::new(chrono_tz::Europe::Kyiv)
    }

    fn utc(text: &str) -> Timestamp {
        Timestamp(
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_millis(),
        )
    }

    #[test]
    fn a_date_means_the_end_of_that_day_in_the_time_zone() {
        assert_eq!(
            kyiv().parse_expiry("2026-12-31").unwrap(),
            utc("2026-12-31T22:00:00Z")
        );
        assert_eq!(
            kyiv().parse_expiry("2026.07.31").unwrap(),
            utc("2026-07-31T21:00:00Z")
        );
    }

    #[test]
    fn every_documented_shape_is_read() {
        let calendar = Calendar::new(Tz::UTC);
        for (text, moment) in [
            ("2017-12-31T23:59", "2018-01-01T00:00:00Z"),
            (" 2017-12-31 23:59 ", "2018-01-01T00:00:00Z"),
            ("2017-12-31T23:59:30", "2017-12-31T23:59:30Z"),
            ("2017-12-31T23:59:30.250", "2017-12-31T23:59:30.250Z"),
            ("2017-12-31T23:59+02:00", "2017-12-31T22:00:00Z"),
            ("2017-12-31T23:59:00Z", "2017-12-31T23:59:00Z"),
            ("9999-12-30", "9999-12-31T00:00:00Z"),
            ("2017-12-31 23:59:59 UTC", "2017-12-31T23:59:59Z"),
            ("2017-12-31 23:59:59 +0000", "2017-12-31T23:59:59Z"),
            ("2017-12-31T23:59:59+0200", "2017-12-31T21:59:59Z"),
            ("2017-12-31 23:59:59.5-02", "2018-01-01T01:59:59.5Z"),
            ("2017-12-31 23:59 GMT", "2018-01-01T00:00:00Z"),
            ("2017/12/31", "2018-01-01T00:00:00Z"),
            ("2017/12/31 23:59", "2018-01-01T00:00:00Z"),
            ("31.12.2017", "2018-01-01T00:00:00Z"),
            ("1.2.2017", "2017-02-02T00:00:00Z"),
            ("31.12.2017 23:59:30", "2017-12-31T23:59:30Z"),
            ("31/12/2017", "2018-01-01T00:00:00Z"),
            ("12/31/2017", "2018-01-01T00:00:00Z"),
            ("31-12-2017", "2018-01-01T00:00:00Z"),
            ("05/05/2017", "2017-05-06T00:00:00Z"),
            ("12/31/2017 11:59 PM", "2018-01-01T00:00:00Z"),
            ("31 Dec 2017", "2018-01-01T00:00:00Z"),
            ("31-Dec-2017", "2018-01-01T00:00:00Z"),
            ("December 31, 2017", "2018-01-01T00:00:00Z"),
            ("Sun, 31 Dec 2017 23:59:59 +0000", "2017-12-31T23:59:59Z"),
        ] {
            assert_eq!(calendar.parse_expiry(text).unwrap(), utc(moment), "{text}");
        }
        assert!(calendar.parse_expiry("9999-12-31").is_ok());
        for text in [
            "2017-13-01",
            "2017-02-30",
            "tomorrow",
            "",
            "20171231",
            "31.12.17",
            "31/12/17",
            "31.13.2017",
            "32/12/2017",
            "46387",
            "2017-12-31x",
            "2017-12-31 UTC",
            "2017-12-31 23:59 CEST",
            "2017-12-31 23:59 +2",
            "12017-01-01",
            "+262142-12-31T23:59",
            "0001-01-01T00:00:00Z",
        ] {
            assert!(calendar.parse_expiry(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_date_of_two_readings_is_read_as_it_is_stated() {
        let calendar = Calendar::new(Tz::UTC);
        let error = calendar.parse_expiry("01/02/2040").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`01/02/2040` may be 2040-02-01 or 2040-01-02; state how dates are written, \
             `--date-format DD/MM/YYYY` or `--date-format MM/DD/YYYY` (over HTTP `dateFormat`)"
        );
        for text in ["01-02-2040", "1/2/2040 10:00"] {
            let error = calendar.parse_expiry(text).unwrap_err();
            assert!(
                matches!(error, ParseDateError::TwoReadings { .. }),
                "{error}"
            );
        }
        for (format, text, moment) in [
            ("MM/DD/YYYY", "01/02/2040", "2040-01-03T00:00:00Z"),
            ("DD/MM/YYYY", "01/02/2040", "2040-02-02T00:00:00Z"),
            ("dd/mm/yyyy", "01/02/2040 23:59", "2040-02-02T00:00:00Z"),
            ("%m/%d/%Y", "1/2/2040", "2040-01-03T00:00:00Z"),
            ("%d.%m.%y", "31.12.40", "2041-01-01T00:00:00Z"),
            ("DD.MM.YY", "31.12.40", "2041-01-01T00:00:00Z"),
            ("MDY", "01/02/2040", "2040-01-03T00:00:00Z"),
            ("dmy", "01-02-2040", "2040-02-02T00:00:00Z"),
            ("YYYYMMDD", "20400201", "2040-02-02T00:00:00Z"),
            ("%d/%m/%Y %H:%M", "01/02/2040 23:59", "2040-02-02T00:00:00Z"),
            (
                "MM/dd/yyyy HH:mm:ss",
                "01/02/2040 23:59:30",
                "2040-01-02T23:59:30Z",
            ),
            ("DD-MMM-YYYY", "02-Jan-2040", "2040-01-03T00:00:00Z"),
            ("MM/DD/YYYY", "2040-01-02", "2040-01-03T00:00:00Z"),
            ("MM/DD/YYYY", "2040-01-02T10:00:00Z", "2040-01-02T10:00:00Z"),
        ] {
            let format: DateFormat = format.parse().unwrap();
            let read = calendar.parse_expiry_as(text, Some(&format));
            assert_eq!(read.unwrap(), utc(moment), "{format:?} {text}");
        }
        let stated = "MM/DD/YYYY".parse().unwrap();
        assert!(
            calendar
                .parse_expiry_as("31/12/2040", Some(&stated))
                .is_err()
        );
        assert!(
            calendar
                .parse_expiry_as("31.12.2040", Some(&stated))
                .is_err()
        );
    }

    #[test]
    fn what_is_written_reads_as_the_same_moment() {
        for calendar in [kyiv(), Calendar::new(chrono_tz::America::Sao_Paulo)] {
            let mut time = utc("2026-10-20T00:00:00Z").0;
            while time < utc("2026-11-05T00:00:00Z").0 {
                for extra in [0, 1_000, 61_250] {
                    let moment = Timestamp(time + extra);
                    let text = calendar.format_expiry(moment).unwrap();
                    assert_eq!(calendar.parse_expiry(&text).unwrap(), moment, "{text}");
                }
                time += 15 * 60_000;
            }
        }
    }

    #[test]
    fn days_count_from_tomorrow_and_must_be_whole() {
        let calendar = kyiv();
        let now = utc("2026-11-23T10:00:00Z");
        let needed = calendar.expiry_needed(now, 7);
        assert!(calendar.parse_expiry("2026-11-30").unwrap() >= needed);
        assert!(calendar.parse_expiry("2026-11-30T23:59").unwrap() >= needed);
        assert!(calendar.parse_expiry("2026-11-29T23:59").unwrap() < needed);
        assert!(Timestamp::NEVER >= calendar.expiry_needed(now, u32::MAX));
        assert_eq!(calendar.expiry_needed(now, 0), now.plus_millis(1));
    }
}
