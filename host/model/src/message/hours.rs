//! Allowed hours: the hours of the day, in a time zone, in which a message may be delivered.

use std::fmt;
use std::str::FromStr;

use chrono::Timelike;
use chrono_tz::Tz;

use crate::clock::Timestamp;

const MINUTE: i64 = 60_000;
const MINUTES_PER_DAY: u16 = 24 * 60;
/// Step of the search, in minutes. chrono-tz does not list clock changes. All clock changes in the world happen at a quarter of an hour,
/// so steps of that size hit every change.
const STEP: i64 = 15;
/// Maximum number of steps. They cover more than three days, and no clock change skips the hours of
/// two days.
const MAX_STEPS: usize = 4 * 24 * 4;

/// Hours of the day in which an attempt to deliver may start. Stored as text: `09:00-21:00
/// Europe/Kyiv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedHours {
    from: u16,
    until: u16,
    zone: Tz,
}

impl AllowedHours {
    /// Creates allowed hours from minutes after midnight. If `until` is less than `from`, they span
    /// midnight. Returns `None` if they are out of range or equal.
    pub fn new(from: u16, until: u16, zone: Tz) -> Option<AllowedHours> {
        let is_valid =
            from < MINUTES_PER_DAY && (1..=MINUTES_PER_DAY).contains(&until) && from != until;
        is_valid.then_some(AllowedHours { from, until, zone })
    }

    /// Returns true if an attempt may start at the given time.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.wait(at).is_none()
    }

    /// Returns the first time, not before the given one, at which an attempt may start.
    ///
    /// Local time decides: hours that a clock change skips do not open, and hours that it repeats
    /// open twice.
    pub fn next_opening(&self, at: Timestamp) -> Timestamp {
        let mut at = at;
        for _ in 0..MAX_STEPS {
            let Some(minutes) = self.wait(at) else {
                return at;
            };
            // Advances to the start of a minute, at most to the next quarter, where the clocks may
            // change.
            let minute = at.0.div_euclid(MINUTE);
            let quarter = STEP - minute.rem_euclid(STEP);
            at = Timestamp(minute.saturating_add(minutes.min(quarter)) * MINUTE);
        }
        at
    }

    /// Returns the minutes of local time until the hours open, or `None` while they are open.
    fn wait(&self, at: Timestamp) -> Option<i64> {
        // A time that chrono cannot represent is out of range of every calendar and is not held
        // back.
        let wall = at.to_utc()?.with_timezone(&self.zone);
        let now = u16::try_from(wall.hour() * 60 + wall.minute()).ok()?;
        let open = match self.from < self.until {
            true => (self.from..self.until).contains(&now),
            false => now >= self.from || now < self.until,
        };
        let wait = i64::from(self.from) - i64::from(now);
        (!open).then(|| wait.rem_euclid(i64::from(MINUTES_PER_DAY)))
    }
}

impl fmt::Display for AllowedHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let (from, until) = (clock(self.from), clock(self.until));
        write!(f, "{from}-{until} {}", self.zone.name())
    }
}

/// A text that does not state hours and a time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: expected hours and a time zone, such as 09:00-21:00 Europe/Kyiv")]
pub struct ParseHoursError(pub String);

impl FromStr for AllowedHours {
    type Err = ParseHoursError;

    fn from_str(text: &str) -> Result<AllowedHours, ParseHoursError> {
        let read = || {
            let (hours, zone) = text.split_once(' ')?;
            let (from, until) = hours.split_once('-')?;
            AllowedHours::new(minutes(from)?, minutes(until)?, zone.parse().ok()?)
        };
        read().ok_or_else(|| ParseHoursError(text.to_owned()))
    }
}

/// Parses `09:00` to minutes after midnight.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour <= 24).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> AllowedHours {
        text.parse().unwrap()
    }

    fn moment(text: &str) -> Timestamp {
        let time = chrono::DateTime::parse_from_rfc3339(text).unwrap();
        Timestamp(time.timestamp_millis())
    }

    fn opens(hours_of: &str, at: &str, then: &str) {
        let next = hours(hours_of).next_opening(moment(at));
        assert_eq!(next, moment(then), "{hours_of} at {at}: {next}");
    }

    #[test]
    fn opens_at_once_within_the_hours_and_at_the_next_opening_outside() {
        let day = "09:00-21:00 Europe/Kyiv";
        opens(
            day,
            "2026-06-01T09:00:00+03:00",
            "2026-06-01T09:00:00+03:00",
        );
        opens(
            day,
            "2026-06-01T20:59:59+03:00",
            "2026-06-01T20:59:59+03:00",
        );
        opens(
            day,
            "2026-06-01T21:00:00+03:00",
            "2026-06-02T09:00:00+03:00",
        );
        opens(
            day,
            "2026-06-01T00:00:01+03:00",
            "2026-06-01T09:00:00+03:00",
        );
        opens(
            day,
            "2026-06-01T08:59:59+03:00",
            "2026-06-01T09:00:00+03:00",
        );
    }

    #[test]
    fn spans_midnight() {
        let night = "22:00-06:30 Asia/Kathmandu";
        opens(
            night,
            "2026-06-01T23:10:00+05:45",
            "2026-06-01T23:10:00+05:45",
        );
        opens(
            night,
            "2026-06-02T06:29:00+05:45",
            "2026-06-02T06:29:00+05:45",
        );
        opens(
            night,
            "2026-06-02T06:30:00+05:45",
            "2026-06-02T22:00:00+05:45",
        );
        opens(
            "09:00-24:00 UTC",
            "2026-06-01T23:59:59Z",
            "2026-06-01T23:59:59Z",
        );
        opens(
            "09:00-24:00 UTC",
            "2026-06-02T00:00:00Z",
            "2026-06-02T09:00:00Z",
        );
    }

    #[test]
    fn skips_hours_that_a_clock_change_skips() {
        // In Kyiv, 2026-03-29 jumps from 02:59 to 04:00.
        let at = "2026-03-29T02:00:00+02:00";
        opens("03:30-05:00 Europe/Kyiv", at, "2026-03-29T04:00:00+03:00");
        // The whole range is skipped on that day.
        opens("03:10-03:50 Europe/Kyiv", at, "2026-03-30T03:10:00+03:00");
        opens("09:00-21:00 Europe/Kyiv", at, "2026-03-29T09:00:00+03:00");
    }

    #[test]
    fn opens_twice_in_repeated_hours() {
        // In Kyiv, 2026-10-25 falls back from 03:59 daylight saving time to 03:00.
        let day = "03:30-09:00 Europe/Kyiv";
        opens(
            day,
            "2026-10-25T03:10:00+03:00",
            "2026-10-25T03:30:00+03:00",
        );
        opens(
            day,
            "2026-10-25T03:10:00+02:00",
            "2026-10-25T03:30:00+02:00",
        );
        let early = "02:00-03:30 Europe/Kyiv";
        opens(
            early,
            "2026-10-25T03:40:00+03:00",
            "2026-10-25T03:00:00+02:00",
        );
    }

    #[test]
    fn finds_the_first_open_minute_across_clock_changes() {
        let zones = [
            "Europe/Kyiv",
            "America/Sao_Paulo",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
        ];
        let changes = [
            "2026-03-28T11:00:00Z",
            "2026-10-24T11:00:00Z",
            "2026-04-04T00:00:00Z",
        ];
        for (zone, change) in zones
            .iter()
            .flat_map(|zone| changes.map(|change| (zone, change)))
        {
            for (from, until) in [(0, 1), (125, 200), (1380, 90), (540, 1260), (170, 1440)] {
                let hours = AllowedHours::new(from, until, zone.parse().unwrap()).unwrap();
                for step in 0..60 {
                    let at = moment(change).plus_millis(step * 47 * MINUTE + 1_234);
                    let found = hours.next_opening(at);
                    let minutes = (0..).map(|n| match n {
                        0 => at,
                        n => Timestamp((at.0.div_euclid(MINUTE) + n) * MINUTE),
                    });
                    let first = minutes.take(3 * 1440).find(|at| hours.is_open(*at));
                    assert_eq!(Some(found), first, "{hours} at {at}");
                }
            }
        }
    }

    #[test]
    fn round_trips_through_text() {
        for text in [
            "09:00-21:00 Europe/Kyiv",
            "22:05-06:00 UTC",
            "00:00-24:00 UTC",
        ] {
            assert_eq!(hours(text).to_string(), text);
        }
        for text in [
            "",
            "09:00-21:00",
            "09:00-21:00 Nowhere",
            "09:60-21:00 UTC",
            "09:00-09:00 UTC",
        ] {
            assert!(text.parse::<AllowedHours>().is_err(), "{text}");
        }
    }
}
