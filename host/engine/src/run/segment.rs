//! Executes a segment: one step after another, until the run waits or ends.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value as Json};

use super::claim::HeldCode;
use super::contact_overlay::ContactOverlay;
use super::leases::Leases;
use super::plan::Plan;
use super::segment_context::SegmentContext;
use super::steps::{SegmentError, run_steps};
use crate::metrics::Metrics;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_model::pool::{Calendar, CodeGroup};
use promoflow_model::retry::Retry;
use promoflow_store::{
    DueRun, FailureKind, Position, RetryState, RunId, Segment, SegmentEnd, Store, WaitOutcome,
};

/// The input of a segment.
pub(super) struct SegmentInput {
    pub(super) plan: Arc<Plan>,
    /// The run and the number of its segment; `None` for a run that starts with its event.
    pub(super) run: Option<(RunId, u32)>,
    pub(super) step: usize,
    /// The number of earlier attempts of this segment, and the retry states they left.
    pub(super) attempt: u32,
    pub(super) retry_states: Vec<RetryState>,
    pub(super) data: Map<String, Json>,
    /// The names of the values that steps have set.
    pub(super) set: BTreeSet<String>,
    pub(super) key: String,
    /// True if the contact directory is enabled.
    pub(super) contacts: bool,
    /// Codes of the run that are not stored; only in test runs.
    pub(super) codes: Vec<HeldCode>,
    /// Codes staged by other segments of the same commit request.
    pub(super) claimed_in_batch: Vec<Position>,
    /// Number of times that the run has left each of its steps.
    pub(super) visits: HashMap<String, u32>,
    /// The end of the wait before this segment; its first step continues with it.
    pub(super) resumed: Option<WaitOutcome>,
}

impl SegmentInput {
    /// Creates the input of the first segment of a run that starts with this event.
    pub(super) fn of_event(plan: Arc<Plan>, event: &Event, contacts: bool) -> SegmentInput {
        SegmentInput {
            plan,
            run: None,
            step: 0,
            attempt: 0,
            retry_states: Vec::new(),
            data: event.params.clone(),
            set: BTreeSet::new(),
            key: event.key.clone(),
            contacts,
            codes: Vec::new(),
            claimed_in_batch: Vec::new(),
            visits: HashMap::new(),
            resumed: None,
        }
    }

    /// Creates the input of the next segment of a stored run.
    pub(super) fn of_run(plan: Arc<Plan>, run: &DueRun, contacts: bool) -> SegmentInput {
        SegmentInput {
            plan,
            run: Some((run.id, run.segment)),
            step: usize::try_from(run.step).unwrap_or(usize::MAX),
            attempt: run.attempt,
            retry_states: run.retry_states.clone(),
            data: run.data.clone(),
            set: run.set.clone(),
            key: run.key.clone(),
            contacts,
            codes: Vec::new(),
            claimed_in_batch: Vec::new(),
            visits: run.visits.clone(),
            resumed: run.resumed.clone(),
        }
    }
}

/// The context that all segments of an engine share.
pub(super) struct EngineContext {
    pub(super) store: Arc<dyn Store>,
    pub(super) leases: Arc<Leases>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calendar: Arc<RwLock<Calendar>>,
    /// The metrics; `None` in test runs.
    pub(super) metrics: Option<Arc<Metrics>>,
    /// The contact overlay of a test run, which must not change the store; `None` in other runs.
    pub(super) contact_overlay: Option<Arc<ContactOverlay>>,
    /// Set when the process ends: running segments stop and run again in the next process. `None`
    /// in test runs.
    pub(super) interrupt: Option<Arc<AtomicBool>>,
}

impl EngineContext {
    /// Returns the installation's current calendar.
    pub(super) fn calendar(&self) -> Calendar {
        *self.calendar.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Interrupts the running segments; nothing of them is kept.
    pub(super) fn interrupt(&self) {
        if let Some(interrupt) = &self.interrupt {
            interrupt.store(true, Ordering::SeqCst);
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        let interrupt = self.interrupt.as_ref();
        interrupt.is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }
}

/// The segment must run again, and this does not count as an attempt: other segments hold codes
/// that it needs, it was interrupted, or it takes longer than its event may wait.
#[derive(Debug)]
pub(super) struct Conflict;

/// Executes a segment, which takes the run's values out of its input. Returns the staged effects;
/// the codes of a discarded segment become available again. A panic of the host is retried like a
/// trap of a block.
pub(super) fn execute(
    input: &mut SegmentInput,
    context: &EngineContext,
) -> Result<Segment, Conflict> {
    let executed = catch_unwind(AssertUnwindSafe(|| execute_once(input, context)));
    executed.unwrap_or_else(|_| {
        // The staged codes were lost in the panic.
        context.leases.forget_all();
        let (error, kind) = ("the host panicked".to_owned(), FailureKind::Trapped);
        let now = context.clock.now();
        let end = retry_or_fail(error, String::new(), kind, &input.retry_states, now);
        let (run, attempt) = (input.run, input.attempt + 1);
        Ok(Segment::without_effects(
            run,
            attempt,
            input.resumed.clone(),
            end,
        ))
    })
}

fn execute_once(input: &mut SegmentInput, context: &EngineContext) -> Result<Segment, Conflict> {
    let segment = SegmentContext::new(input, context);
    let mut records = Vec::new();
    let (segment, end) = run_steps(input, context, segment, &mut records);
    let resumed = segment.resumed(input);
    let mut staged = segment.staged;
    let mut trapped = false;
    let end = match end {
        Ok(end) => end,
        Err(SegmentError::Conflict) => {
            context.leases.give_back(&staged.claims);
            return Err(Conflict);
        }
        Err(SegmentError::Failed { error, retry: None }) => SegmentEnd::Failed { error },
        Err(SegmentError::Failed {
            error,
            retry: Some((step, kind)),
        }) => {
            trapped = kind == FailureKind::Trapped;
            retry_or_fail(error, step, kind, &input.retry_states, context.clock.now())
        }
    };
    let keeps = matches!(end, SegmentEnd::Completed | SegmentEnd::Wait { .. });
    if !keeps {
        // The codes that this segment held are available again.
        let own = |code_group: &CodeGroup| {
            staged
                .claims
                .iter()
                .any(|claim| claim.code_group == *code_group)
        };
        staged
            .exhausted
            .retain(|exhausted| !own(&exhausted.code_group));
        context.leases.give_back(&staged.claims);
    }
    if matches!(end, SegmentEnd::Completed) && staged.has_unsent_message {
        let unused = staged.take_unused();
        context.leases.give_back(&unused);
    }
    Ok(Segment {
        run: input.run,
        attempt: input.attempt + 1,
        steps: records,
        claims: if keeps { staged.claims } else { Vec::new() },
        exhausted: staged.exhausted,
        reuses: if keeps { staged.reuses } else { Vec::new() },
        deliveries: if keeps { staged.deliveries } else { Vec::new() },
        resumed,
        contact_aliases: staged.contact_aliases,
        has_unsent_message: staged.has_unsent_message,
        trapped,
        end,
    })
}

/// Returns the end of a segment that failed with a temporary error: a retry, or a failure after the
/// last attempt. Attempts are counted separately by step and by kind of error.
pub(super) fn retry_or_fail(
    error: String,
    step: String,
    kind: FailureKind,
    before: &[RetryState],
    now: Timestamp,
) -> SegmentEnd {
    let known = before
        .iter()
        .find(|retry_state| retry_state.step == step && retry_state.kind == kind);
    let attempts = known.map_or(0, |retry_state| retry_state.attempts) + 1;
    match kind.backoff().after_failure(attempts, error, None, now) {
        Retry::GiveUp { error } => SegmentEnd::Failed { error },
        Retry::At { due, error } => SegmentEnd::Retry {
            error,
            due,
            retry_state: RetryState {
                step,
                kind,
                attempts,
            },
        },
    }
}

/// Returns the positions of the codes that a segment has staged.
pub(super) fn positions(segment: &Segment) -> impl Iterator<Item = Position> {
    segment.claims.iter().map(|claim| claim.code.position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_model::retry::Backoff;

    /// Returns true if the segment is retried after this error, and updates its retry states.
    fn met(kind: FailureKind, step: &str, retry_states: &mut Vec<RetryState>) -> bool {
        let end = retry_or_fail("no".into(), step.into(), kind, retry_states, Timestamp(0));
        let SegmentEnd::Retry { retry_state, .. } = end else {
            return false;
        };
        retry_states
            .retain(|known| (&known.step, known.kind) != (&retry_state.step, retry_state.kind));
        retry_states.push(retry_state);
        true
    }

    #[test]
    fn attempts_are_counted_by_step_and_kind() {
        let mut retry_states = Vec::new();
        for _ in 1..Backoff::UNAVAILABLE.max_attempts {
            assert!(met(FailureKind::Unavailable, "a", &mut retry_states));
        }
        for step in ["a", "b"] {
            for _ in 1..Backoff::TRAPPED.max_attempts {
                assert!(met(FailureKind::Trapped, step, &mut retry_states), "{step}");
            }
            assert!(
                !met(FailureKind::Trapped, step, &mut retry_states),
                "{step}"
            );
        }
        assert!(met(FailureKind::Unavailable, "b", &mut retry_states));
        assert!(!met(FailureKind::Unavailable, "a", &mut retry_states));
    }
}
