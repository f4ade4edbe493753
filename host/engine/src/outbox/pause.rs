//! A pause: the other side asks to be left alone for a while.

use std::time::Duration;

use promoflow_model::clock::Timestamp;

/// The longest that anybody is left alone, in milliseconds: a header of years is a slip.
const LONGEST: i64 = 24 * 3_600_000;

/// Until when nothing is handed over.
#[derive(Default)]
pub(super) struct Pause(Option<Timestamp>);

impl Pause {
    /// What an earlier start was asked for. A moment further away than anybody may ask for comes
    /// from a clock that was ahead: whoever is asked again says anew how long.
    pub(super) fn recall(until: Option<Timestamp>, now: Timestamp) -> Pause {
        Pause(until.filter(|until| *until <= now.plus_millis(LONGEST)))
    }

    /// The end of a pause that somebody asks for now.
    pub(super) fn end(after: Duration, now: Timestamp) -> Timestamp {
        let asked = i64::try_from(after.as_millis()).unwrap_or(LONGEST);
        now.plus_millis(asked.min(LONGEST))
    }

    /// Nothing is handed over before that moment.
    pub(super) fn keep(&mut self, until: Timestamp) {
        self.0 = self.0.max(Some(until));
    }

    /// Until when nothing is handed over; `None`: not now. Where the clock was put back it is
    /// brought near: nobody asks for more.
    pub(super) fn until(&mut self, now: Timestamp) -> Option<Timestamp> {
        let until = self.0.filter(|until| now < *until)?;
        let until = until.min(now.plus_millis(LONGEST));
        self.0 = Some(until);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_after_a_day_whatever_is_asked_for_and_however_the_clock_jumps() {
        let day = Duration::from_secs(24 * 3_600);
        let now = Timestamp(1_000_000);
        assert_eq!(
            Pause::end(Duration::from_secs(5), now),
            Timestamp(1_005_000)
        );
        let tomorrow = now.plus_millis(LONGEST);
        assert_eq!(Pause::end(day * 9_000, now), tomorrow);
        assert_eq!(Pause::end(Duration::MAX, now), tomorrow);

        let mut pause = Pause::default();
        assert_eq!(pause.until(now), None);
        pause.keep(Timestamp(1_005_000));
        pause.keep(Timestamp(1_002_000));
        assert_eq!(pause.until(now), Some(Timestamp(1_005_000)));
        assert_eq!(pause.until(Timestamp(1_005_000)), None);
        // The clock was a year ahead.
        let ahead = now.plus_millis(365 * LONGEST);
        pause.keep(ahead);
        assert_eq!(pause.until(now), Some(tomorrow));
        assert_eq!(pause.until(now.plus_millis(1)), Some(tomorrow));
        assert_eq!(pause.until(tomorrow), None);

        let recalled = |until| Pause::recall(Some(until), now).until(now);
        assert_eq!(recalled(Timestamp(1_005_000)), Some(Timestamp(1_005_000)));
        assert_eq!(recalled(tomorrow), Some(tomorrow));
        assert_eq!(recalled(ahead), None);
    }
}
