//! How a staged delivery begins.

use promoflow_model::clock::Timestamp;

/// The error of a delivery whose promo code expires before it may begin.
const TOO_LATE: &str = "the promo code that it carries expires before it may be sent";

/// A new delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// The time after which it is not attempted any more.
    pub expires: Timestamp,
    /// When its first attempt is due; `None` if it has failed already.
    pub due: Option<Timestamp>,
    /// The error with which it has failed.
    pub error: Option<&'static str>,
}

/// Returns how a delivery begins that is staged for `due` and expires with the codes of its segment
/// at `expires`. `earlier`: the earliest expiry of the codes of earlier segments that it carries. A
/// delivery that cannot begin before it expires fails now, not when it becomes due.
pub fn begin(
    due: Timestamp,
    expires: Timestamp,
    earlier: Option<Timestamp>,
    now: Timestamp,
) -> NewDelivery {
    let expires = earlier.map_or(expires, |earlier| earlier.min(expires));
    let is_too_late = expires <= due.max(now);
    NewDelivery {
        expires,
        due: (!is_too_late).then_some(due),
        error: is_too_late.then_some(TOO_LATE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p8_a_delivery_expires_with_the_first_of_its_codes() {
        let now = Timestamp(10);
        let never = i64::MAX;
        for (due, expires, earlier, expected, fails) in [
            (0, never, None, never, false),
            (0, 11, None, 11, false),
            (0, 10, None, 10, true),
            (20, 21, None, 21, false),
            (20, 20, None, 20, true),
            (0, never, Some(12), 12, false),
            (0, 11, Some(12), 11, false),
            (20, never, Some(20), 20, true),
        ] {
            let earlier = earlier.map(Timestamp);
            let new = begin(Timestamp(due), Timestamp(expires), earlier, now);
            assert_eq!(new.expires, Timestamp(expected), "{due} {expires}");
            assert_eq!(new.due.is_none(), fails, "{due} {expires}");
            assert_eq!(new.error.is_some(), fails, "{due} {expires}");
        }
    }
}
