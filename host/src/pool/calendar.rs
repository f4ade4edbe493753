//! The days of an installation: what a date in an upload means, and what "valid for seven more
//! days" asks of an expiry. Both are judged in one time zone, the database's.

use chrono::{
    DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
};
use chrono_tz::Tz;

use crate::clock::Timestamp;

/// Dates in one time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    zone: Tz,
}

/// A text that is no date, or none that exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date; expected one like 2026-12-31, 2026-12-31T23:59 or 2026.12.31")]
pub struct ParseDateError(pub String);

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

    /// The moment from which a code is no longer valid, for an expiry as people write it:
    /// `2017-12-31`, `2017.12.31` (the end of that day), `2017-12-31T23:59` (the end of that
    /// minute), `2017-12-31T23:59:30`, each with a space in the place of the `T`, with a
    /// fraction, or followed by `Z` or an offset such as `+02:00`.
    pub fn parse_expiry(&self, text: &str) -> Result<Timestamp, ParseDateError> {
        let text = text.trim();
        let error = || ParseDateError(text.chars().take(40).collect());
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return plausible(Timestamp(time.timestamp_millis())).ok_or_else(error);
        }
        if let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%:z") {
            let end = Timestamp(time.timestamp_millis()).plus_millis(60_000);
            return plausible(end).ok_or_else(error);
        }
        for format in ["%Y-%m-%d", "%Y.%m.%d"] {
            if let Ok(date) = NaiveDate::parse_from_str(text, format) {
                let next = date.checked_add_days(Days::new(1)).ok_or_else(error)?;
                return plausible(self.start_of(next)).ok_or_else(error);
            }
        }
        for format in ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y.%m.%d %H:%M"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
                let end = time
                    .checked_add_signed(TimeDelta::minutes(1))
                    .ok_or_else(error)?;
                return plausible(self.moment(end)).ok_or_else(error);
            }
        }
        for format in [
            "%Y-%m-%dT%H:%M:%S%.f",
            "%Y-%m-%d %H:%M:%S%.f",
            "%Y.%m.%d %H:%M:%S%.f",
        ] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
                return plausible(self.moment(time)).ok_or_else(error);
            }
        }
        Err(error())
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
            "31.12.2017",
            "12017-01-01",
            "+262142-12-31T23:59",
            "0001-01-01T00:00:00Z",
        ] {
            assert!(calendar.parse_expiry(text).is_err(), "{text}");
        }
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
