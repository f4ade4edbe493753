//! Which actions of an operator on a run or a delivery are possible, and what they do.

use promoflow_model::clock::Timestamp;

use super::alternatives::Alternatives;
use crate::{Action, DeliveryState, RunState};

/// What an action does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunChange {
    /// It is not possible, for this reason.
    Reject(&'static str),
    /// The run is cancelled, and its codes are [released](super::release) if they may be.
    Cancel,
    /// The run may continue at once, with the step that failed or is to be retried.
    Restart,
}

/// Returns what an action does to a run in this state.
pub fn on_run(action: Action, state: RunState) -> RunChange {
    match (action, state) {
        (_, RunState::Completed) => RunChange::Reject("it is completed"),
        (_, RunState::Cancelled) => RunChange::Reject("it was cancelled"),
        (Action::Cancel, _) => RunChange::Cancel,
        (Action::Retry, RunState::Waiting) => {
            RunChange::Reject("it has not failed; it is waiting and continues by itself")
        }
        (Action::Retry, RunState::Running | RunState::Failed) => RunChange::Restart,
    }
}

/// A delivery, as an engine reads it for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActedDelivery {
    /// Its state.
    pub state: DeliveryState,
    /// The time after which it is not attempted any more.
    pub expires: Timestamp,
    /// True if an attempt began and did not end in a permanent failure.
    pub may_have_left: bool,
    /// Its alternatives.
    pub alternatives: Alternatives,
}

/// What an action does to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActedChange {
    /// It is not possible, for this reason.
    Reject(&'static str),
    /// The delivery is cancelled.
    Cancel,
    /// The failed delivery is pending again, due at once, with the alternative of this number. Its
    /// back-off begins again.
    Restart(u32),
    /// The pending delivery is due at once.
    Hasten,
}

/// Returns what an action does to a delivery at `now`.
pub fn on_delivery(action: Action, delivery: &ActedDelivery, now: Timestamp) -> ActedChange {
    match (action, delivery.state) {
        (_, DeliveryState::Delivered) => ActedChange::Reject("it is delivered"),
        (_, DeliveryState::Cancelled) => ActedChange::Reject("it was cancelled"),
        (Action::Cancel, _) if delivery.may_have_left => {
            ActedChange::Reject("an attempt may already have delivered it")
        }
        (Action::Cancel, _) => ActedChange::Cancel,
        (Action::Retry, _) if delivery.expires <= now => {
            ActedChange::Reject("the promo code that it carries has expired")
        }
        (Action::Retry, DeliveryState::Failed) => {
            ActedChange::Restart(delivery.alternatives.on_restart())
        }
        (Action::Retry, DeliveryState::Pending) => ActedChange::Hasten,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_runs_stay_as_they_are_and_waiting_ones_are_not_retried() {
        use RunState::{Cancelled, Completed, Failed, Running, Waiting};
        for state in [Completed, Cancelled] {
            for action in [Action::Cancel, Action::Retry] {
                assert!(matches!(on_run(action, state), RunChange::Reject(_)));
            }
        }
        for state in [Running, Waiting, Failed] {
            assert_eq!(on_run(Action::Cancel, state), RunChange::Cancel);
        }
        for state in [Running, Failed] {
            assert_eq!(on_run(Action::Retry, state), RunChange::Restart);
        }
        assert!(matches!(
            on_run(Action::Retry, Waiting),
            RunChange::Reject(_)
        ));
    }

    const NOW: Timestamp = Timestamp(10);

    fn delivery(state: DeliveryState) -> ActedDelivery {
        ActedDelivery {
            state,
            expires: Timestamp(11),
            may_have_left: false,
            alternatives: Alternatives {
                current: 1,
                count: 2,
                any_ambiguous: false,
            },
        }
    }

    #[test]
    fn p4_only_a_delivery_that_cannot_have_left_is_cancelled() {
        use DeliveryState::{Cancelled, Delivered, Failed, Pending};
        for state in [Pending, Failed] {
            let mut delivery = delivery(state);
            let cancel = |delivery: &_| on_delivery(Action::Cancel, delivery, NOW);
            assert_eq!(cancel(&delivery), ActedChange::Cancel);
            delivery.may_have_left = true;
            assert!(matches!(cancel(&delivery), ActedChange::Reject(_)));
        }
        for state in [Delivered, Cancelled] {
            for action in [Action::Cancel, Action::Retry] {
                let change = on_delivery(action, &delivery(state), NOW);
                assert!(matches!(change, ActedChange::Reject(_)), "{change:?}");
            }
        }
    }

    #[test]
    fn p8_a_delivery_is_retried_until_its_code_expires() {
        let retry = |delivery: &_| on_delivery(Action::Retry, delivery, NOW);
        let mut failed = delivery(DeliveryState::Failed);
        assert_eq!(retry(&failed), ActedChange::Restart(0));
        failed.alternatives.any_ambiguous = true;
        assert_eq!(retry(&failed), ActedChange::Restart(1));
        failed.expires = NOW;
        assert!(matches!(retry(&failed), ActedChange::Reject(_)));
        let mut pending = delivery(DeliveryState::Pending);
        assert_eq!(retry(&pending), ActedChange::Hasten);
        pending.expires = NOW;
        assert!(matches!(retry(&pending), ActedChange::Reject(_)));
    }
}
