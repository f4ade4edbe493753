//! What the end of an attempt does to its delivery.

use std::borrow::Cow;

use promoflow_model::clock::Timestamp;

use super::alternatives::NextAlternative;
use crate::AttemptOutcome;

/// The reason why a rejected delivery must not switch to an alternative.
const AMBIGUOUS: &str =
    "an earlier attempt may have reached the contact, so no alternative is tried";

/// The change of a delivery after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryChange<'e> {
    /// It is delivered.
    Deliver,
    /// It stays pending, due at this time, but not after its expiry.
    Retry {
        /// When to retry.
        due: Timestamp,
        /// The error.
        error: &'e str,
    },
    /// It fails.
    Fail {
        /// The error.
        error: Cow<'e, str>,
    },
    /// It switches to another alternative, due at once.
    Switch {
        /// The number of the alternative.
        to: u32,
        /// The error.
        error: &'e str,
    },
    /// It stays as it is.
    Keep,
}

/// Returns what the end of the present attempt changes of its delivery; the start of an attempt that
/// [was not made](AttemptOutcome::was_attempted) is undone as well. `next`: what comes after the
/// current alternative; it only matters after a permanent failure.
pub fn delivery_after(outcome: &AttemptOutcome, next: NextAlternative) -> DeliveryChange<'_> {
    match outcome {
        AttemptOutcome::Delivered => DeliveryChange::Deliver,
        AttemptOutcome::RetryableFailure { error, due, .. }
        | AttemptOutcome::Misconfigured { error, due } => {
            DeliveryChange::Retry { due: *due, error }
        }
        AttemptOutcome::RetriesExhausted { error, .. } => DeliveryChange::Fail {
            error: error.into(),
        },
        AttemptOutcome::PermanentFailure { error } => match next {
            NextAlternative::Try(to) => DeliveryChange::Switch { to, error },
            NextAlternative::Withheld => DeliveryChange::Fail {
                error: format!("{error}; {AMBIGUOUS}").into(),
            },
            NextAlternative::None => DeliveryChange::Fail {
                error: error.into(),
            },
        },
        AttemptOutcome::NotStarted => DeliveryChange::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::NextAlternative::{None, Try, Withheld};
    use super::*;

    #[test]
    fn switches_only_after_permanent_failures_that_reached_nobody() {
        let error = || "no".to_owned();
        let refused = AttemptOutcome::PermanentFailure { error: error() };
        assert_eq!(
            delivery_after(&refused, Try(2)),
            DeliveryChange::Switch { to: 2, error: "no" }
        );
        let failed = DeliveryChange::Fail { error: "no".into() };
        assert_eq!(delivery_after(&refused, None), failed);
        let DeliveryChange::Fail { error: why } = delivery_after(&refused, Withheld) else {
            panic!("an ambiguous attempt was followed by an alternative")
        };
        assert!(why.starts_with("no; "), "{why}");
        let exhausted = AttemptOutcome::RetriesExhausted {
            error: error(),
            ambiguous: false,
        };
        assert_eq!(delivery_after(&exhausted, Try(1)), failed);
    }

    #[test]
    fn what_was_not_sent_stays_pending() {
        let held = AttemptOutcome::Misconfigured {
            error: "no password".into(),
            due: Timestamp(5),
        };
        let retried = DeliveryChange::Retry {
            due: Timestamp(5),
            error: "no password",
        };
        assert_eq!(delivery_after(&held, Try(1)), retried);
        let kept = delivery_after(&AttemptOutcome::NotStarted, Withheld);
        assert_eq!(kept, DeliveryChange::Keep);
        assert_eq!(
            delivery_after(&AttemptOutcome::Delivered, Withheld),
            DeliveryChange::Deliver
        );
    }
}
