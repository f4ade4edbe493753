//! Back-off: when a failed operation is retried.

use std::hash::{BuildHasher, RandomState};

use crate::clock::Timestamp;

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

    /// Returns the time of the next attempt after attempt number `attempt` (from 1), or `None` if
    /// there is none left.
    pub fn next(&self, attempt: u32, now: Timestamp) -> Option<Timestamp> {
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
}
