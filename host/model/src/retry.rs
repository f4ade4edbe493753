//! Retries: when a failed operation is tried again, and when it is given up.
//!
//! Steps, deliveries and notifications retry by the same rules: a [`Backoff`] says how long and how
//! often, and a [`Throttle`] holds everything back that goes to one provider.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::clock::Timestamp;

/// What follows a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Another attempt.
    At {
        /// Its time.
        due: Timestamp,
        /// The error of the failed attempt.
        error: String,
    },
    /// No further attempt: there were enough.
    GiveUp {
        /// The error of the last attempt, and the number of attempts.
        error: String,
    },
}

/// Exponential back-off with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay before the second attempt, in milliseconds.
    pub first_delay: i64,
    /// The maximum delay, in milliseconds.
    pub max_delay: i64,
    /// The maximum number of attempts.
    pub max_attempts: u32,
}

impl Backoff {
    /// For blocks that return `unavailable`: 24 attempts over half a day.
    pub const UNAVAILABLE: Backoff = Backoff {
        first_delay: 1_000,
        max_delay: 3_600_000,
        max_attempts: 24,
    };
    /// For blocks that trap. Most would trap again every time; a lack of memory or time may pass.
    pub const TRAPPED: Backoff = Backoff {
        first_delay: 1_000,
        max_delay: 60_000,
        max_attempts: 3,
    };
    /// For deliveries that a channel could not accept: 36 attempts over two days.
    pub const DELIVERY: Backoff = Backoff {
        first_delay: 2_000,
        max_delay: 7_200_000,
        max_attempts: 36,
    };

    /// Returns what follows the failure of attempt number `attempt` (from 1). `not_before`: the
    /// time that the other side requested, if any.
    pub fn after_failure(
        &self,
        attempt: u32,
        error: String,
        not_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Retry {
        match self.next(attempt, now) {
            Some(due) => Retry::At {
                due: not_before.map_or(due, |not_before| due.max(not_before)),
                error,
            },
            None => Retry::GiveUp {
                error: format!("{error}; given up after {attempt} attempts"),
            },
        }
    }

    /// Returns the time of the next attempt after attempt number `attempt` (from 1), or `None` if
    /// there is none left.
    fn next(&self, attempt: u32, now: Timestamp) -> Option<Timestamp> {
        if attempt >= self.max_attempts {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(40);
        let delay = self
            .first_delay
            .saturating_mul(1 << doublings)
            .min(self.max_delay);
        // The delay is between half and all of `delay`, so that operations that failed together do
        // not retry together. The hasher's keys are random, which is random enough here.
        let random = RandomState::new().hash_one(attempt) % 1024;
        let jitter = delay / 2 * i64::try_from(random).unwrap_or(0) / 1024;
        Some(now.plus_millis(delay - jitter))
    }
}

/// Maximum delay in milliseconds; a longer `Retry-After` is assumed to be a mistake.
const MAX_THROTTLE: i64 = 24 * 3_600_000;

/// The time before which no attempt is made, because a provider or webhook asked for a delay
/// (`Retry-After`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Throttle(Option<Timestamp>);

impl Throttle {
    /// Restores a stored throttle. A time beyond the maximum comes from a clock that was ahead, so
    /// it is ignored; the next response will state the delay again.
    pub fn restore(until: Option<Timestamp>, now: Timestamp) -> Throttle {
        Throttle(until.filter(|until| *until <= now.plus_millis(MAX_THROTTLE)))
    }

    /// Returns the end of a throttle that is requested now.
    pub fn end(after: Duration, now: Timestamp) -> Timestamp {
        let asked = i64::try_from(after.as_millis()).unwrap_or(MAX_THROTTLE);
        now.plus_millis(asked.min(MAX_THROTTLE))
    }

    /// Extends the throttle to this time, if it is later.
    pub fn extend(&mut self, until: Timestamp) {
        self.0 = self.0.max(Some(until));
    }

    /// Returns the end of the throttle; `None` if there is none now. If the clock was set back, the
    /// end is limited to the maximum delay.
    pub fn until(&mut self, now: Timestamp) -> Option<Timestamp> {
        let until = self.0.filter(|until| now < *until)?;
        let until = until.min(now.plus_millis(MAX_THROTTLE));
        self.0 = Some(until);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_maximum_and_end() {
        let now = Timestamp(0);
        let backoff = Backoff {
            first_delay: 1_000,
            max_delay: 60_000,
            max_attempts: 20,
        };
        for (attempt, longest) in [
            (1, 1_000),
            (2, 2_000),
            (6, 32_000),
            (7, 60_000),
            (19, 60_000),
        ] {
            let wait = backoff.next(attempt, now).unwrap().0;
            assert!(
                (longest / 2..=longest).contains(&wait),
                "attempt {attempt}: {wait}"
            );
        }
        assert_eq!(backoff.next(20, now), None);
    }

    #[test]
    fn jitter_spreads_retries() {
        let next = |_| Backoff::UNAVAILABLE.next(7, Timestamp(0)).unwrap().0;
        let mut waits: Vec<i64> = (0..400).map(next).collect();
        waits.sort_unstable();
        let (least, most) = (waits[0], waits[399]);
        // Between 32 and 64 seconds: both ends of the range occur, and few values repeat.
        assert!(least < 40_000 && most > 56_000, "{least} to {most}");
        waits.dedup();
        assert!(waits.len() > 200, "{} moments for 400", waits.len());
    }

    #[test]
    fn a_retry_waits_for_the_requested_time_and_ends_after_the_last_attempt() {
        let backoff = Backoff {
            first_delay: 1_000,
            max_delay: 60_000,
            max_attempts: 2,
        };
        let after = |attempt, not_before| {
            backoff.after_failure(attempt, "refused".to_owned(), not_before, Timestamp(0))
        };
        let due = |retry| match retry {
            Retry::At { due, .. } => Some(due.0),
            Retry::GiveUp { .. } => None,
        };
        assert_eq!(due(after(1, Some(Timestamp(5_000)))), Some(5_000));
        // The requested time has passed before the back-off has.
        assert!((500..=1_000).contains(&due(after(1, Some(Timestamp(1)))).unwrap()));
        assert_eq!(
            after(2, Some(Timestamp(5_000))),
            Retry::GiveUp {
                error: "refused; given up after 2 attempts".to_owned()
            }
        );
    }

    #[test]
    fn limits_a_throttle_to_one_day_even_if_the_clock_jumps() {
        let day = Duration::from_secs(24 * 3_600);
        let now = Timestamp(1_000_000);
        assert_eq!(
            Throttle::end(Duration::from_secs(5), now),
            Timestamp(1_005_000)
        );
        let tomorrow = now.plus_millis(MAX_THROTTLE);
        assert_eq!(Throttle::end(day * 9_000, now), tomorrow);
        assert_eq!(Throttle::end(Duration::MAX, now), tomorrow);

        let mut throttle = Throttle::default();
        assert_eq!(throttle.until(now), None);
        throttle.extend(Timestamp(1_005_000));
        throttle.extend(Timestamp(1_002_000));
        assert_eq!(throttle.until(now), Some(Timestamp(1_005_000)));
        assert_eq!(throttle.until(Timestamp(1_005_000)), None);
        // The clock was a year ahead.
        let ahead = now.plus_millis(365 * MAX_THROTTLE);
        throttle.extend(ahead);
        assert_eq!(throttle.until(now), Some(tomorrow));
        assert_eq!(throttle.until(now.plus_millis(1)), Some(tomorrow));
        assert_eq!(throttle.until(tomorrow), None);

        let recalled = |until| Throttle::restore(Some(until), now).until(now);
        assert_eq!(recalled(Timestamp(1_005_000)), Some(Timestamp(1_005_000)));
        assert_eq!(recalled(tomorrow), Some(tomorrow));
        assert_eq!(recalled(ahead), None);
    }
}
