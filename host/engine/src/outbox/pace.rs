//! The pace: how many letters of a channel may begin now.

use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use promoflow_config::Rate;

/// Lets so many letters begin as a rate allows; without one, all.
pub(super) struct Pace {
    limiter: Option<DefaultDirectRateLimiter>,
    clock: DefaultClock,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Pace {
        let quota = rate.and_then(|rate| {
            let even = Quota::with_period(rate.interval())?;
            Some(even.allow_burst(rate.burst()))
        });
        Pace {
            limiter: quota.map(RateLimiter::direct),
            clock: DefaultClock::default(),
        }
    }

    /// Of so many letters, how many may begin now, and where that is not all, when the next may.
    pub(super) fn take(&self, letters: usize) -> (usize, Option<Instant>) {
        let Some(limiter) = &self.limiter else {
            return (letters, None);
        };
        for taken in 0..letters {
            if let Err(not_yet) = limiter.check() {
                let wait = not_yet.wait_time_from(self.clock.now());
                // A timer that fires a little early would ask again at once.
                let next = Instant::now() + wait + Duration::from_micros(100);
                return (taken, Some(next));
            }
        }
        (letters, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_holds_back_what_is_too_fast_and_tells_until_when() {
        let pace = Pace::new("20/s".parse().ok());
        let before = Instant::now();
        let (taken, next) = pace.take(100);
        assert_eq!(taken, 2, "a tenth of a second's worth");
        let wait = next.unwrap() - before;
        assert!(
            wait > Duration::from_millis(20) && wait < Duration::from_millis(80),
            "{wait:?}"
        );
        assert_eq!(Pace::new(None).take(100), (100, None));
    }
}
