//! What the end of an attempt does to its delivery.

use std::borrow::Cow;

use promoflow_model::clock::Timestamp;

use crate::AttemptOutcome;

/// The reason why a rejected delivery must not switch to an alternative.
const AMBIGUOUS: &str =
    "an earlier attempt may have reached the contact, so no alternative is tried";

/// What an engine knows of the alternatives of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternatives {
    /// True if there is another alternative after the current one.
    pub has_next: bool,
    /// True if an attempt was ambiguous: it may have reached the contact.
    pub any_ambiguous: bool,
}

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
    /// It switches to its next alternative, due at once.
    Switch {
        /// The error.
        error: &'e str,
    },
    /// It stays as it is.
    Keep,
}

/// Returns what the end of the present attempt changes of its delivery; the start of an attempt that
/// [was not made](AttemptOutcome::was_attempted) is undone as well. The contact must not get
/// the message twice, so no alternative follows an ambiguous attempt.
pub fn delivery_after(outcome: &AttemptOutcome, alternatives: Alternatives) -> DeliveryChange<'_> {
    match outcome {
        AttemptOutcome::Delivered => DeliveryChange::Deliver,
        AttemptOutcome::RetryableFailure { error, due, .. }
        | AttemptOutcome::Misconfigured { error, due } => {
            DeliveryChange::Retry { due: *due, error }
        }
        AttemptOutcome::RetriesExhausted { error, .. } => DeliveryChange::Fail {
            error: error.into(),
        },
        AttemptOutcome::PermanentFailure { error } => {
            match (alternatives.has_next, alternatives.any_ambiguous) {
                (true, false) => DeliveryChange::Switch { error },
                (true, true) => DeliveryChange::Fail {
                    error: format!("{error}; {AMBIGUOUS}").into(),
                },
                (false, _) => DeliveryChange::Fail {
                    error: error.into(),
                },
            }
        }
        AttemptOutcome::NotStarted => DeliveryChange::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcome: &AttemptOutcome, has_next: bool, any_ambiguous: bool) -> DeliveryChange<'_> {
        delivery_after(
            outcome,
            Alternatives {
                has_next,
                any_ambiguous,
            },
        )
    }

    #[test]
    fn switches_only_after_permanent_failures_that_reached_nobody() {
        let error = || "no".to_owned();
        let refused = AttemptOutcome::PermanentFailure { error: error() };
        assert_eq!(
            after(&refused, true, false),
            DeliveryChange::Switch { error: "no" }
        );
        let failed = DeliveryChange::Fail { error: "no".into() };
        assert_eq!(after(&refused, false, false), failed);
        let DeliveryChange::Fail { error: why } = after(&refused, true, true) else {
            panic!("an ambiguous attempt was followed by an alternative")
        };
        assert!(why.starts_with("no; "), "{why}");
        let exhausted = AttemptOutcome::RetriesExhausted {
            error: error(),
            ambiguous: false,
        };
        assert_eq!(after(&exhausted, true, false), failed);
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
        assert_eq!(after(&held, true, false), retried);
        let kept = after(&AttemptOutcome::NotStarted, true, true);
        assert_eq!(kept, DeliveryChange::Keep);
        assert_eq!(
            after(&AttemptOutcome::Delivered, true, true),
            DeliveryChange::Deliver
        );
    }
}
