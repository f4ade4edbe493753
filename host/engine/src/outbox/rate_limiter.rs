//! The rate limiter of a channel.

use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use promoflow_config::Rate;

/// Limits the rate of deliveries; without a rate, all may start.
pub(super) struct ChannelRateLimiter {
    limiter: Option<DefaultDirectRateLimiter>,
    clock: DefaultClock,
}

impl ChannelRateLimiter {
    pub(super) fn new(rate: Option<Rate>) -> ChannelRateLimiter {
        let quota = rate.and_then(|rate| {
            let even = Quota::with_period(rate.interval())?;
            Some(even.allow_burst(rate.burst()))
        });
        ChannelRateLimiter {
            limiter: quota.map(RateLimiter::direct),
            clock: DefaultClock::default(),
        }
    }

    /// Requests to start this many deliveries. Returns the number that may start now, and if that
    /// is fewer, the time at which the next one may.
    pub(super) fn take(&self, deliveries: usize) -> (usize, Option<Instant>) {
        let Some(limiter) = &self.limiter else {
            return (deliveries, None);
        };
        for taken in 0..deliveries {
            if let Err(not_yet) = limiter.check() {
                let wait = not_yet.wait_time_from(self.clock.now());
                // A timer that fires slightly early would only ask again.
                let next = Instant::now() + wait + Duration::from_micros(100);
                return (taken, Some(next));
            }
        }
        (deliveries, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_the_rate_and_returns_the_next_start() {
        let rate_limiter = ChannelRateLimiter::new("20/s".parse().ok());
        let before = Instant::now();
        let (taken, next) = rate_limiter.take(100);
        assert_eq!(taken, 2, "the burst is a tenth of a second");
        let wait = next.unwrap() - before;
        assert!(
            wait > Duration::from_millis(20) && wait < Duration::from_millis(80),
            "{wait:?}"
        );
        assert_eq!(ChannelRateLimiter::new(None).take(100), (100, None));
    }
}
