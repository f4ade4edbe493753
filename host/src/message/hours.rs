//! Allowed hours: when a message may reach a contact, on the clock of the contact's wall.

use std::fmt;
use std::str::FromStr;

use chrono::Timelike;
use chrono_tz::Tz;

use crate::clock::Timestamp;

const MINUTE: i64 = 60_000;
const MINUTES_A_DAY: u16 = 24 * 60;
/// The clocks of the world change at quarters of an hour: whoever walks in such steps meets each
/// change.
const STEP: i64 = 15;
/// Steps until it is given up: more than three days, though no gap swallows the hours of two.
const MOST_STEPS: usize = 4 * 24 * 4;

/// Hours of the day in which a delivery may begin. Stored as their text: `09:00-21:00 Europe/Kyiv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedHours {
    from: u16,
    until: u16,
    zone: Tz,
}

impl AllowedHours {
    /// Hours in minutes after midnight; where `until` is less than `from`, they reach over midnight.
    /// `None` where they are none.
    pub fn new(from: u16, until: u16, zone: Tz) -> Option<AllowedHours> {
        let fit = from < MINUTES_A_DAY && (1..=MINUTES_A_DAY).contains(&until) && from != until;
        fit.then_some(AllowedHours { from, until, zone })
    }

    /// Whether a delivery may begin at that moment.
    pub fn are_open(&self, at: Timestamp) -> bool {
        self.wait(at).is_none()
    }

    /// The first moment, from this one on, at which a delivery may begin.
    ///
    /// What the clock on the wall shows decides: an hour that the clocks skip is not waited for,
    /// and one that they repeat is open twice.
    pub fn next_open(&self, at: Timestamp) -> Timestamp {
        let mut at = at;
        for _ in 0..MOST_STEPS {
            let Some(minutes) = self.wait(at) else {
                return at;
            };
            // To the beginning of a minute, and of a quarter: there the clocks may have changed.
            let minute = at.0.div_euclid(MINUTE);
            let quarter = STEP - minute.rem_euclid(STEP);
            at = Timestamp(minute.saturating_add(minutes.min(quarter)) * MINUTE);
        }
        at
    }

    /// How many minutes on the wall are left until the hours open; `None` while they are open.
    fn wait(&self, at: Timestamp) -> Option<i64> {
        // What chrono cannot tell is beyond every clock: nothing holds it back.
        let wall = at.to_utc()?.with_timezone(&self.zone);
        let now = u16::try_from(wall.hour() * 60 + wall.minute()).ok()?;
        let open = match self.from < self.until {
            true => (self.from..self.until).contains(&now),
            false => now >= self.from || now < self.until,
        };
        let wait = i64::from(self.from) - i64::from(now);
        (!open).then(|| wait.rem_euclid(i64::from(MINUTES_A_DAY)))
    }
}

impl fmt::Display for AllowedHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let (from, until) = (clock(self.from), clock(self.until));
        write!(f, "{from}-{until} {}", self.zone.name())
    }
}

/// A text that names no hours with their time zone.
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

/// Minutes after midnight of `09:00`.
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
        let next = hours(hours_of).next_open(moment(at));
        assert_eq!(next, moment(then), "{hours_of} at {at}: {next}");
    }

    #[test]
    fn within_the_hours_it_may_begin_at_once_and_outside_when_they_open() {
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
    fn hours_may_reach_over_midnight() {
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
    fn an_hour_that_the_clocks_skip_is_not_waited_for() {
        // In Kyiv 2026-03-29 goes from 02:59 to 04:00.
        let at = "2026-03-29T02:00:00+02:00";
        opens("03:30-05:00 Europe/Kyiv", at, "2026-03-29T04:00:00+03:00");
        // All of it is skipped that day.
        opens("03:10-03:50 Europe/Kyiv", at, "2026-03-30T03:10:00+03:00");
        opens("09:00-21:00 Europe/Kyiv", at, "2026-03-29T09:00:00+03:00");
    }

    #[test]
    fn an_hour_that_the_clocks_repeat_is_open_twice() {
        // In Kyiv 2026-10-25 goes from 03:59 in summer time back to 03:00.
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
    fn it_is_the_first_minute_that_is_open_whatever_the_clocks_do() {
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
                    let found = hours.next_open(at);
                    let minutes = (0..).map(|n| match n {
                        0 => at,
                        n => Timestamp((at.0.div_euclid(MINUTE) + n) * MINUTE),
                    });
                    let first = minutes.take(3 * 1440).find(|at| hours.are_open(*at));
                    assert_eq!(Some(found), first, "{hours} at {at}");
                }
            }
        }
    }

    #[test]
    fn they_are_stored_as_they_read() {
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
