//! When the code of a claim may return to the pool.

use promoflow_model::message::RenderedMessage;

use crate::{DeliveryId, DeliveryState, RunState};

/// A run that made a claim or reuses it, with its deliveries that may carry the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOfClaim {
    /// True if it is the run whose end raises the question.
    pub is_ended_now: bool,
    /// Its state.
    pub state: RunState,
    /// The deliveries for which [`may_contain`] is true, of the message or of an alternative.
    pub deliveries: Vec<CarryingDelivery>,
}

/// A delivery that may carry the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarryingDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// Its state.
    pub state: DeliveryState,
    /// True if an attempt began and did not end in a permanent failure.
    pub may_have_left: bool,
}

/// Returns true if a run in this state may let a claim go at all.
pub fn has_ended(state: RunState) -> bool {
    matches!(state, RunState::Cancelled | RunState::Completed)
}

/// Decides for one run of a claim whether it lets the code go. If so, returns its deliveries that
/// must be cancelled first; otherwise `None`. A claim is released if all its runs let it go.
///
/// A run keeps the code if a message that may carry it may have left or may still leave. Another
/// run than the one that ended now also keeps it by completing without such a message; not if it is
/// cancelled, or if all its deliveries that carried the code were.
pub fn lets_go(run: &RunOfClaim) -> Option<Vec<DeliveryId>> {
    if !has_ended(run.state) {
        return None;
    }
    let is_cancelled = run.state == RunState::Cancelled;
    let mut to_cancel = Vec::new();
    let mut any_cancelled = false;
    for delivery in &run.deliveries {
        match delivery.state {
            _ if delivery.may_have_left => return None,
            DeliveryState::Cancelled => any_cancelled = true,
            DeliveryState::Pending | DeliveryState::Failed if is_cancelled => {
                to_cancel.push(delivery.id);
            }
            DeliveryState::Failed if run.is_ended_now => to_cancel.push(delivery.id),
            _ => return None,
        }
    }
    (is_cancelled || run.is_ended_now || any_cancelled).then_some(to_cancel)
}

/// Returns true if a stored content may contain a code. A template can write a code in forms that
/// no search finds, such as in the URL of a picture. So a content may contain one unless it was
/// known to be free of codes when it was rendered. A content that cannot be read may contain one,
/// too.
pub fn may_contain(content: &str, code: &str) -> bool {
    serde_json::from_str(content).map_or(true, |content: RenderedMessage| {
        !content.codeless || content.contains_code(code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(is_ended_now: bool, state: RunState, deliveries: &[DeliveryState]) -> RunOfClaim {
        let deliveries = (1..).zip(deliveries).map(|(id, state)| CarryingDelivery {
            id: DeliveryId(id),
            state: *state,
            may_have_left: false,
        });
        RunOfClaim {
            is_ended_now,
            state,
            deliveries: deliveries.collect(),
        }
    }

    fn cancels(run: &RunOfClaim) -> Option<usize> {
        lets_go(run).map(|deliveries| deliveries.len())
    }

    #[test]
    fn p4_an_active_or_failed_run_keeps_its_code() {
        for state in [RunState::Running, RunState::Waiting, RunState::Failed] {
            assert_eq!(cancels(&run(true, state, &[])), None, "{state:?}");
        }
        assert_eq!(cancels(&run(true, RunState::Cancelled, &[])), Some(0));
    }

    #[test]
    fn p4_a_message_that_may_have_left_keeps_the_code() {
        use DeliveryState::{Cancelled, Delivered, Failed, Pending};
        for state in [Pending, Delivered, Failed, Cancelled] {
            let mut run = run(true, RunState::Cancelled, &[state]);
            assert_eq!(cancels(&run).is_some(), state != Delivered, "{state:?}");
            run.deliveries[0].may_have_left = true;
            assert_eq!(cancels(&run), None, "{state:?}");
        }
        // A completed run still sends what is pending.
        assert_eq!(cancels(&run(true, RunState::Completed, &[Pending])), None);
        assert_eq!(cancels(&run(true, RunState::Completed, &[Failed])), Some(1));
        assert_eq!(
            cancels(&run(true, RunState::Cancelled, &[Pending, Failed])),
            Some(2)
        );
    }

    #[test]
    fn p4_another_run_keeps_the_code_unless_its_messages_were_cancelled() {
        use DeliveryState::{Cancelled, Failed};
        assert_eq!(cancels(&run(false, RunState::Completed, &[])), None);
        assert_eq!(
            cancels(&run(false, RunState::Completed, &[Cancelled])),
            Some(0)
        );
        assert_eq!(cancels(&run(false, RunState::Completed, &[Failed])), None);
        assert_eq!(cancels(&run(false, RunState::Cancelled, &[])), Some(0));
    }

    #[test]
    fn p4_only_a_content_known_to_be_codeless_cannot_contain_a_code() {
        assert!(may_contain("{", "A"));
        assert!(may_contain(r#"{"text":"Hello"}"#, "A"));
        assert!(!may_contain(r#"{"text":"Hello","codeless":true}"#, "A-1"));
        assert!(may_contain(r#"{"text":"Take A-1","codeless":true}"#, "A-1"));
    }
}
