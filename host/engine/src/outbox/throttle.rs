//! A throttle: the provider or webhook asked for a delay (`Retry-After`).

use std::time::Duration;

use promoflow_model::clock::Timestamp;

/// Maximum delay in milliseconds; a longer `Retry-After` is assumed to be a mistake.
const MAX_THROTTLE: i64 = 24 * 3_600_000;

/// The time before which no attempt is made.
#[derive(Default)]
pub(super) struct Throttle(Option<Timestamp>);

impl Throttle {
    /// Restores a stored throttle. A time beyond the maximum comes from a clock that was ahead, so
    /// it is ignored; the next response will state the delay again.
    pub(super) fn restore(until: Option<Timestamp>, now: Timestamp) -> Throttle {
        Throttle(until.filter(|until| *until <= now.plus_millis(MAX_THROTTLE)))
    }

    /// Returns the end of a throttle that is requested now.
    pub(super) fn end(after: Duration, now: Timestamp) -> Timestamp {
        let asked = i64::try_from(after.as_millis()).unwrap_or(MAX_THROTTLE);
        now.plus_millis(asked.min(MAX_THROTTLE))
    }

    /// Extends the throttle to this time, if it is later.
    pub(super) fn extend(&mut self, until: Timestamp) {
        self.0 = self.0.max(Some(until));
    }

    /// Returns the end of the throttle; `None` if there is none now. If the clock was set back, the
    /// end is limited to the maximum delay.
    pub(super) fn until(&mut self, now: Timestamp) -> Option<Timestamp> {
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
