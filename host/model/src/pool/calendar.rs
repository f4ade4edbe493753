//! Dates of codes: when an expiry date ends, and which expiry "valid for seven more days" requires.
//! Both depend on the database's time zone.

use chrono::{
    DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
};
use chrono_tz::{GapInfo, Tz};

use super::DateFormat;
use crate::clock::Timestamp;

/// Date calculations in one time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    zone: Tz,
}

/// The reason why a text is not a date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDateError {
    /// Not a date, or one that does not exist.
    #[error("`{0}` is not a date; expected one like 2026-12-31, 2026-12-31T23:59 or 2026.12.31")]
    NotADate(String),
    /// The order of day and month is ambiguous.
    #[error(
        "`{text}` may be {day_first} or {month_first}; name the date format: `--date-format \
         {}` or `--date-format {}` (over HTTP `dateFormat`)",
        format_with_order(.text, "DD", "MM"), format_with_order(.text, "MM", "DD")
    )]
    Ambiguous {
        /// The text.
        text: String,
        /// The date if the day comes first.
        day_first: NaiveDate,
        /// The date if the month comes first.
        month_first: NaiveDate,
    },
}

/// Returns the format of a date with its parts in this order.
fn format_with_order(text: &str, first: &str, second: &str) -> String {
    let mark = text.find(|c: char| !c.is_ascii_digit());
    let mark = mark.map_or("/", |at| &text[at..=at]);
    format!("{first}{mark}{second}{mark}YYYY")
}

/// Formats whose order of day and month is unambiguous.
const UNAMBIGUOUS_FORMATS: [&str; 9] = [
    "%Y-%m-%d",
    "%Y.%m.%d",
    "%Y/%m/%d",
    // With dots, the day comes first in all countries that use them.
    "%d.%m.%Y",
    "%d %B %Y",
    "%d-%B-%Y",
    "%d/%B/%Y",
    "%B %d, %Y",
    "%B %d %Y",
];
/// Number of formats in [`UNAMBIGUOUS_FORMATS`] that start with the year, and cannot conflict with a given
/// format.
const YEAR_FIRST_COUNT: usize = 3;

impl Calendar {
    /// Creates a calendar for an IANA time zone.
    pub fn new(zone: Tz) -> Calendar {
        Calendar { zone }
    }

    /// Returns the time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Returns the local time in the zone, or `None` outside of chrono's range.
    pub fn local(&self, moment: Timestamp) -> Option<DateTime<Tz>> {
        Some(moment.to_utc()?.with_timezone(&self.zone))
    }

    /// Parses an expiry and returns the moment from which a code is no longer valid. Accepts
    /// `2017-12-31`, `2017.12.31`, `2017/12/31`, `31.12.2017`, `31 Dec 2017` (the end of that day),
    /// each optionally with a time after a space or `T`: `2017-12-31T23:59` (the end of that
    /// minute), `2017-12-31 23:59:30`, `11:59 PM`, with a fraction, or followed by `Z`, `UTC` or an
    /// offset such as `+02:00` or `+0200`; also RFC 3339 and RFC 2822. `31/12/2017` and
    /// `12/31/2017` are accepted if only one of the two numbers can be a month.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a date, or is ambiguous.
    pub fn parse_expiry(&self, text: &str) -> Result<Timestamp, ParseDateError> {
        self.parse_expiry_as(text, None)
    }

    /// Like [`parse_expiry`](Self::parse_expiry), for dates in a given format or with the year
    /// first.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a date, or is ambiguous.
    pub fn parse_expiry_as(
        &self,
        text: &str,
        format: Option<&DateFormat>,
    ) -> Result<Timestamp, ParseDateError> {
        let text = text.trim();
        let error = || ParseDateError::NotADate(text.chars().take(40).collect());
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
        let plain = &UNAMBIGUOUS_FORMATS[..if format.is_some() {
            YEAR_FIRST_COUNT
        } else {
            UNAMBIGUOUS_FORMATS.len()
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
                    return Err(ParseDateError::Ambiguous {
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

    /// Returns the expiry for a date and the text after it: nothing, or a time.
    fn end(&self, date: NaiveDate, rest: &str) -> Option<Timestamp> {
        // Days of later years may be outside of chrono's range.
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

    /// Returns the expiry for a time, in the zone that follows it or else in this calendar's.
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
            // A minute that the clocks skip is the first one after the gap, and ends like any other.
            return plausible(match self.end_of_gap(date.and_time(time)) {
                Some(end) => {
                    Timestamp(end.timestamp_millis()).plus_millis(minute.num_milliseconds())
                }
                None => self.moment(local),
            });
        }
        let utc = local.checked_sub_signed(TimeDelta::minutes(offset(zone)?))?;
        plausible(Timestamp(utc.and_utc().timestamp_millis()))
    }

    /// Formats an expiry for listings and exports; parsing it returns the same moment. Whole
    /// minutes are written as the minute that ends there.
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
        // An hour that the clocks repeat can only be distinguished by its offset.
        match self.parse_expiry(&text) {
            Ok(read) if read == expires => Some(text),
            _ => Some(utc.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        }
    }

    /// Returns the earliest expiry of a code that is still valid for `days` more days: through the
    /// last of them, counted from tomorrow. For 0 days the code must not have expired at `now`.
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

    /// Returns the start of a day in this zone.
    fn start_of(&self, day: NaiveDate) -> Timestamp {
        self.moment(day.and_time(NaiveTime::MIN))
    }

    /// Converts a local time: the later moment if the clocks repeat it, the end of the gap if they
    /// skip it, so that a code is never shortened.
    fn moment(&self, local: NaiveDateTime) -> Timestamp {
        let moment = match self.zone.from_local_datetime(&local) {
            LocalResult::Single(time) | LocalResult::Ambiguous(_, time) => Some(time),
            LocalResult::None => self.end_of_gap(local),
        };
        // The time zone database knows the end of every gap.
        let millis = moment.map_or(local.and_utc().timestamp_millis(), |moment| {
            moment.timestamp_millis()
        });
        Timestamp(millis)
    }

    /// Returns the first moment after a local time that the clocks skip; `None` if they do not.
    fn end_of_gap(&self, local: NaiveDateTime) -> Option<DateTime<Tz>> {
        GapInfo::new(&local, &self.zone)?.end
    }
}

/// Returns the minutes by which a zone is ahead of UTC: `Z`, `UTC`, `+02:00`, `+0200`, `+02`.
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

/// Rejects years that can only be typing mistakes. The end of 9999-12-31, which many systems write
/// for "never", is accepted.
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
    fn reads_all_documented_formats() {
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
    fn reads_ambiguous_dates_in_the_given_format() {
        let calendar = Calendar::new(Tz::UTC);
        let error = calendar.parse_expiry("01/02/2040").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`01/02/2040` may be 2040-02-01 or 2040-01-02; name the date format: \
             `--date-format DD/MM/YYYY` or `--date-format MM/DD/YYYY` (over HTTP `dateFormat`)"
        );
        for text in ["01-02-2040", "1/2/2040 10:00"] {
            let error = calendar.parse_expiry(text).unwrap_err();
            assert!(matches!(error, ParseDateError::Ambiguous { .. }), "{error}");
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
    fn expiries_in_skipped_time_are_the_end_of_the_gap_and_repeated_ones_the_later_moment() {
        for (zone, text, moment) in [
            // Clocks go from 02:59 to 04:00, and back from 03:59 to 03:00.
            ("Europe/Kyiv", "2026-03-29T03:30:00", "2026-03-29T01:00:00Z"),
            // The minute 04:00, to its end.
            ("Europe/Kyiv", "2026-03-29T03:30", "2026-03-29T01:01:00Z"),
            ("Europe/Kyiv", "2041-03-31T03:30", "2041-03-31T01:01:00Z"),
            ("Europe/Kyiv", "2026-03-29T02:59", "2026-03-29T01:00:00Z"),
            ("Europe/Kyiv", "2026-03-29T03:59:59", "2026-03-29T01:00:00Z"),
            ("Europe/Kyiv", "2026-10-25T03:30:00", "2026-10-25T01:30:00Z"),
            // Half an hour.
            (
                "Australia/Lord_Howe",
                "2026-10-04T02:10",
                "2026-10-03T15:31:00Z",
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-05T01:45:00",
                "2026-04-04T15:15:00Z",
            ),
            // Midnight does not exist.
            ("America/Sao_Paulo", "2018-11-03", "2018-11-04T03:00:00Z"),
            // A whole day does not exist.
            ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:01:00Z"),
            ("Pacific/Apia", "2011-12-29", "2011-12-30T10:00:00Z"),
        ] {
            let calendar = Calendar::new(zone.parse().unwrap());
            let read = calendar.parse_expiry(text).unwrap();
            assert_eq!(read, utc(moment), "{text} in {zone}");
        }
    }

    #[test]
    fn formatted_expiries_round_trip() {
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
    fn counts_days_from_tomorrow() {
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
