//! Dates and times as tools parse, calculate and print them.

mod format;
mod parse;
mod pattern;

use chrono::{DateTime, Datelike, FixedOffset, Months, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

pub(crate) use pattern::{Style, checked, find_likely_mistake, tokens};

/// A date, with a time of day and a UTC offset if its source had them.
///
/// It prints as it was written, regardless of the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    local: NaiveDateTime,
    offset: Option<FixedOffset>,
    /// The date has a time of day.
    has_time: bool,
}

/// Units of date arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Years,
    Months,
    Weeks,
    Days,
    Hours,
    Minutes,
    Seconds,
}

impl Unit {
    /// Returns the unit with this name, ignoring case.
    pub(crate) fn named(name: &str) -> Option<Unit> {
        Some(match name.to_ascii_uppercase().as_str() {
            "YEARS" => Unit::Years,
            "MONTHS" => Unit::Months,
            "WEEKS" => Unit::Weeks,
            "DAYS" => Unit::Days,
            "HOURS" => Unit::Hours,
            "MINUTES" => Unit::Minutes,
            "SECONDS" => Unit::Seconds,
            _ => return None,
        })
    }

    fn seconds(self) -> Option<i64> {
        Some(match self {
            Unit::Years | Unit::Months => return None,
            Unit::Weeks => 7 * 86_400,
            Unit::Days => 86_400,
            Unit::Hours => 3_600,
            Unit::Minutes => 60,
            Unit::Seconds => 1,
        })
    }
}

impl Date {
    /// Converts a moment to the local time of its zone.
    pub(crate) fn at(moment: DateTime<Tz>) -> Date {
        Date {
            local: moment.naive_local(),
            offset: Some(moment.offset().fix()),
            has_time: true,
        }
    }

    /// Converts milliseconds since 1970; `None` outside the range of the calendar.
    pub(crate) fn from_millis(millis: i64, zone: Tz) -> Option<Date> {
        let moment = DateTime::from_timestamp_millis(millis)?;
        Some(Date::at(moment.with_timezone(&zone)))
    }

    /// Returns the date without its time of day.
    pub(crate) fn without_time(self) -> Date {
        Date {
            has_time: false,
            ..self
        }
    }

    /// Returns true if the date has a time of day.
    pub(crate) fn is_timed(self) -> bool {
        self.has_time
    }

    /// Returns the moment; without a UTC offset, as local time in `zone`.
    pub(crate) fn moment(self, zone: Tz) -> Option<DateTime<Tz>> {
        match self.offset {
            Some(offset) => {
                let moment = offset.from_local_datetime(&self.local).single()?;
                Some(moment.with_timezone(&zone))
            }
            // Clocks that are put forward skip an hour; a time in it is read as if they were not.
            None => match zone.from_local_datetime(&self.local).earliest() {
                Some(moment) => Some(moment),
                None => {
                    let before = self.local.checked_sub_signed(TimeDelta::hours(1))?;
                    let moment = zone.from_local_datetime(&before).earliest()?;
                    moment.checked_add_signed(TimeDelta::hours(1))
                }
            },
        }
    }

    /// Returns the year, the month from 1, and the day.
    pub(crate) fn year_month_day(self) -> (i64, i64, i64) {
        let (year, month, day) = (self.local.year(), self.local.month(), self.local.day());
        (year.into(), month.into(), day.into())
    }

    /// Returns the date later by `amount`; `None` outside the range of the calendar.
    pub(crate) fn plus(self, amount: i64, unit: Unit) -> Option<Date> {
        let local = match unit.seconds() {
            Some(seconds) => {
                let delta = TimeDelta::try_seconds(amount.checked_mul(seconds)?)?;
                self.local.checked_add_signed(delta)?
            }
            None => {
                let months = match unit {
                    Unit::Years => amount.checked_mul(12)?,
                    _ => amount,
                };
                let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                if months < 0 {
                    self.local.checked_sub_months(count)?
                } else {
                    self.local.checked_add_months(count)?
                }
            }
        };
        Some(Date { local, ..self })
    }

    /// Returns the whole units from this date to `other`; negative if `other` is earlier.
    pub(crate) fn until(self, other: Date, unit: Unit) -> i64 {
        let (from, to) = self.align_clocks(other);
        if let Some(seconds) = unit.seconds() {
            return to.signed_duration_since(from).num_seconds() / seconds;
        }
        let months = |date: NaiveDateTime| i64::from(date.year()) * 12 + i64::from(date.month());
        let within = |date: NaiveDateTime| (date.day(), date.time());
        let mut count = months(to) - months(from);
        if count > 0 && within(to) < within(from) {
            count -= 1;
        } else if count < 0 && within(to) > within(from) {
            count += 1;
        }
        match unit {
            Unit::Years => count / 12,
            _ => count,
        }
    }

    /// Compares two dates.
    pub(crate) fn compare(self, other: Date) -> std::cmp::Ordering {
        let (one, other) = self.align_clocks(other);
        one.cmp(&other)
    }

    /// Converts both dates to one clock: UTC if both have an offset.
    fn align_clocks(self, other: Date) -> (NaiveDateTime, NaiveDateTime) {
        let utc = |date: Date| {
            let seconds = date.offset?.local_minus_utc().into();
            date.local
                .checked_sub_signed(TimeDelta::try_seconds(seconds)?)
        };
        match (utc(self), utc(other)) {
            (Some(one), Some(other)) => (one, other),
            _ => (self.local, other.local),
        }
    }
}

/// Returns the zone for an IANA name or an offset: `GMT+3`, `UTC+02:00`, `+0530`.
pub(crate) fn zone(name: &str) -> Option<FixedZone> {
    let name = name.trim();
    let bare = ["GMT", "UTC"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    if bare.is_empty() && !name.is_empty() {
        return Some(FixedZone::Named(Tz::UTC));
    }
    match parse::offset(bare) {
        Some((offset, "")) => Some(FixedZone::Offset(offset)),
        _ => name.parse().ok().map(FixedZone::Named),
    }
}

/// A time zone named in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FixedZone {
    Named(Tz),
    Offset(FixedOffset),
}

impl FixedZone {
    /// Converts a moment to the zone.
    pub(crate) fn date(self, moment: DateTime<Tz>) -> Date {
        match self {
            FixedZone::Named(zone) => Date::at(moment.with_timezone(&zone)),
            FixedZone::Offset(offset) => Date {
                local: moment.with_timezone(&offset).naive_local(),
                offset: Some(offset),
                has_time: true,
            },
        }
    }
}

#[cfg(test)]
mod tests;
