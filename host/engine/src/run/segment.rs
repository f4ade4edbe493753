//! Executes a segment: one step after another, until the run waits or ends.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::contact_overlay::ContactOverlay;
use super::effect_buffer::{EffectBuffer, HeldCode, to_value};
use super::leases::Leases;
use super::plan::{Plan, PlannedStep, PlannedValue};
use crate::metrics::{CallEnd, Metrics};
use promoflow_block_host::{Call, HostFunctions, Outcome, Resumption, StepError};
use promoflow_model::block::Value;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::{Calendar, CodeGroup};
use promoflow_model::workflow::{Target, coerce};
use promoflow_store::{
    FailureKind, Position, RetryState, RunId, Segment, SegmentEnd, StepRecord, Store, WaitFor,
    WaitOutcome, WakeReason,
};

/// Maximum number of steps of a segment. A workflow without a wait has no cycle, so it cannot have
/// more steps than this; the bound guards against workflows that were stored by hand.
const MAX_STEPS: usize = 1_000;

/// Maximum duration of a run's first segment before its event is stored. A longer segment is
/// executed after the event is stored.
const MAX_EVENT_TIME: Duration = Duration::from_secs(1);

/// Maximum number of times that a run may wait again within [`QUICK_WAIT`] of the wait before. A
/// run that only waits would otherwise be executed forever.
const MAX_QUICK_WAITS: u32 = 100;
/// Duration of a wait that counts as quick, in milliseconds.
const QUICK_WAIT: i64 = 1_000;

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

    fn is_interrupted(&self) -> bool {
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
    let mut effects = Box::new(EffectBuffer::new(input, context));
    let mut records = Vec::new();
    let end = run_steps(input, context, &mut effects, &mut records);
    let resumed = effects.resumed(input);
    let mut staged = effects.finish();
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
    let end = match find_unstorable(&records, &end) {
        Some(error) => SegmentEnd::Failed { error },
        None => end,
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

/// Reads the values back as they will be stored: a value that could not be read again must not be
/// committed.
fn find_unstorable(records: &[StepRecord], end: &SegmentEnd) -> Option<String> {
    fn read_back<T: Serialize + DeserializeOwned>(value: &T) -> Result<T, serde_json::Error> {
        serde_json::from_str(&serde_json::to_string(value)?)
    }
    let mut records = records.iter().filter(|record| !record.data.is_empty());
    let step = records.find_map(|record| Some((record, read_back(record).err()?)));
    if let Some((record, error)) = step {
        let (step, block) = (&record.step, &record.block);
        return Some(format!(
            "step `{step}` ({block}): its values cannot be stored: {error}"
        ));
    }
    match end {
        SegmentEnd::Wait { data, .. } => {
            let error = read_back(data).err()?;
            Some(format!("the values of the run cannot be stored: {error}"))
        }
        _ => None,
    }
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
    match kind.backoff().next(attempts, now) {
        None => SegmentEnd::Failed {
            error: format!("{error}; given up after {attempts} attempts"),
        },
        Some(due) => SegmentEnd::Retry {
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

/// The reason why nothing of a segment is kept.
enum SegmentError {
    Conflict,
    /// `retry`: the step and the kind of error if the segment can be retried.
    Failed {
        error: String,
        retry: Option<(String, FailureKind)>,
    },
}

fn run_steps(
    input: &SegmentInput,
    context: &EngineContext,
    effects: &mut Box<EffectBuffer>,
    records: &mut Vec<StepRecord>,
) -> Result<SegmentEnd, SegmentError> {
    let plan = &input.plan;
    if let Some(error) = &plan.broken {
        return Err(SegmentError::Failed {
            error: error.clone(),
            retry: Some((String::new(), FailureKind::Unavailable)),
        });
    }
    let mut next = input.step;
    let mut resumed = input.resumed.as_ref();
    let began = Instant::now();
    // Test runs have no sender that waits.
    let holds_event = input.run.is_none() && context.interrupt.is_some();
    for _ in 0..MAX_STEPS {
        if context.is_interrupted() || (holds_event && began.elapsed() > MAX_EVENT_TIME) {
            return Err(SegmentError::Conflict);
        }
        if next == plan.steps.len() {
            // The wait was the last step of the run.
            return Ok(SegmentEnd::Completed);
        }
        let Some(step) = plan.steps.get(next) else {
            return Err(failed(format!("the workflow has no step {next}")));
        };
        let started_at = context.clock.now();
        let outcome = run_step(step, effects, resumed.take(), context.metrics.as_deref());
        let is_contended = effects.is_contended();
        let journal = effects.take_journal();
        let mut record = StepRecord {
            step: step.id.clone(),
            block: step.name.clone(),
            port: None,
            started_at,
            finished_at: context.clock.now(),
            data: journal.data,
            log: journal.log,
            error: None,
        };
        if is_contended || (outcome.is_err() && context.is_interrupted()) {
            return Err(SegmentError::Conflict);
        }
        let wait = match &outcome {
            Ok(outcome) => effects.wait(outcome),
            Err(_) => None,
        };
        if let Some((wait, due)) = wait {
            // A matching code may already be available.
            let may_end_now = matches!(wait.awaited, WaitFor::Code { .. });
            let due = wait_end(input, context, step, due, may_end_now);
            if let Err(discarded) = &due {
                note_error(&mut record, discarded);
            }
            records.push(record);
            let due = due?;
            return Ok(SegmentEnd::Wait {
                step: u32::try_from(next).unwrap_or(u32::MAX),
                due,
                data: effects.data().clone(),
                wait: Some(wait),
            });
        }
        let exit = outcome.and_then(|outcome| find_exit(step, outcome, journal.cause.as_deref()));
        let exit = exit.and_then(|exit| match exit.until {
            Some(until) => Ok(StepExit {
                until: wait_end(input, context, step, Some(until), false)?,
                ..exit
            }),
            None => Ok(exit),
        });
        match &exit {
            Ok(StepExit { port, .. }) => record.port = Some(port.clone()),
            Err(discarded) => note_error(&mut record, discarded),
        }
        records.push(record);
        let exit = exit?;
        match (exit.until, exit.target) {
            (Some(until), target) => {
                let step = match target {
                    Target::Step(step) => step,
                    _ => plan.steps.len(),
                };
                return Ok(SegmentEnd::Wait {
                    step: u32::try_from(step).unwrap_or(u32::MAX),
                    due: Some(until),
                    data: effects.data().clone(),
                    wait: None,
                });
            }
            (None, Target::End) => return Ok(SegmentEnd::Completed),
            (None, Target::Step(step)) => next = step,
            (None, Target::Unconnected) => {
                return Err(failed(format!("port `{}` is not connected", exit.port)));
            }
        }
    }
    Err(failed(format!(
        "more than {MAX_STEPS} steps without a wait"
    )))
}

fn note_error(record: &mut StepRecord, discarded: &SegmentError) {
    if let SegmentError::Failed { error, .. } = discarded {
        record.error = Some(error.clone());
    }
}

/// Returns the end of a block's wait, which is never in the past. Fails if the run waits too often
/// in a short time. `may_end_now`: something other than time may end the wait at once.
fn wait_end(
    input: &SegmentInput,
    context: &EngineContext,
    step: &PlannedStep,
    due: Option<Timestamp>,
    may_end_now: bool,
) -> Result<Option<Timestamp>, SegmentError> {
    let now = context.clock.now();
    if !may_end_now && due.is_none_or(|due| due > now.plus_millis(QUICK_WAIT)) {
        return Ok(due);
    }
    let at = |why: String| format!("step `{}` ({}): {why}", step.id, step.name);
    if let Some((run, segment)) = input.run
        && let Some(earlier) = segment.checked_sub(MAX_QUICK_WAITS)
    {
        let earlier = context.store.segment_at(run, earlier);
        let earlier = earlier.map_err(|error| SegmentError::Failed {
            error: at(format!("the run's history cannot be read: {error}")),
            retry: Some((step.id.clone(), FailureKind::Unavailable)),
        })?;
        let least = QUICK_WAIT * i64::from(MAX_QUICK_WAITS);
        if earlier.is_some_and(|earlier| now < earlier.plus_millis(least)) {
            return Err(failed(at(format!(
                "the run waited {MAX_QUICK_WAITS} times within {} s, and waits again; a block that \
                 waits in a loop must wait longer",
                least / 1_000
            ))));
        }
    }
    Ok(due.map(|due| due.max(now)))
}

/// The port by which a run leaves a step.
struct StepExit {
    port: String,
    target: Target,
    until: Option<Timestamp>,
}

fn failed(error: String) -> SegmentError {
    SegmentError::Failed { error, retry: None }
}

fn run_step(
    step: &PlannedStep,
    effects: &mut Box<EffectBuffer>,
    resumed: Option<&WaitOutcome>,
    metrics: Option<&Metrics>,
) -> Result<Outcome, SegmentError> {
    effects.start_work_limit();
    let params = evaluate_params(step, effects)?;
    effects.enter(&step.id, resumed);
    // The effect buffer moves into the sandbox and comes back after the call.
    let lent = std::mem::replace(effects, Box::new(EffectBuffer::placeholder()));
    let began = Instant::now();
    let (outcome, lent) = step.block.run(
        Call {
            params,
            resumed: resumed.map(resumption),
        },
        lent,
    );
    if let Some(metrics) = metrics {
        let meter = step
            .meter
            .get_or_init(|| metrics.blocks.for_block(&step.name));
        meter.record_call(call_end(&outcome), began.elapsed());
    }
    let back: Box<dyn std::any::Any> = lent;
    match back.downcast::<EffectBuffer>() {
        Ok(back) => *effects = back,
        Err(_) => unreachable!("a sandbox returns the host that it was given"),
    }
    outcome.map_err(|error| {
        let at = format!("step `{}` ({})", step.id, step.name);
        match error {
            StepError::Invalid(why) => failed(format!("{at}: {why}")),
            StepError::Rejected(why) => failed(format!("{at}: {why}")),
            StepError::Unavailable(why) => SegmentError::Failed {
                error: format!("{at}: {why}"),
                retry: Some((step.id.clone(), FailureKind::Unavailable)),
            },
            StepError::Trapped(why) => SegmentError::Failed {
                error: format!("{at}: the block trapped: {why}"),
                retry: Some((step.id.clone(), FailureKind::Trapped)),
            },
        }
    })
}

/// Converts the end of a wait to the form that blocks receive.
fn resumption(resumed: &WaitOutcome) -> Resumption {
    match &resumed.reason {
        WakeReason::Code(_) => Resumption::Code,
        WakeReason::Reply(reply) => Resumption::Reply(to_value(reply)),
        WakeReason::TimedOut => Resumption::GaveUp,
    }
}

fn evaluate_params(
    step: &PlannedStep,
    effects: &EffectBuffer,
) -> Result<Vec<(String, Value)>, SegmentError> {
    let mut params = Vec::with_capacity(step.params.len());
    for param in &step.params {
        let value = match &param.value {
            PlannedValue::Constant(value) => value.clone(),
            PlannedValue::Evaluated {
                value,
                templates,
                kind,
            } => {
                let values = effects.values();
                let at = |why: String| {
                    failed(format!(
                        "step `{}`, parameter `{}`: {why}",
                        step.id, param.name
                    ))
                };
                let evaluated = value
                    .render(&mut |text| match templates.get(text) {
                        Some(template) => values.render(template).map_err(|e| e.to_string()),
                        None => Ok(text.to_owned()),
                    })
                    .map_err(at)?;
                coerce(kind, &evaluated).map_err(|unfit| at(unfit.to_string()))?
            }
        };
        params.push((param.name.clone(), value));
    }
    Ok(params)
}

/// Classifies the result of a call for the metrics.
fn call_end(outcome: &Result<Outcome, StepError>) -> CallEnd {
    match outcome {
        Ok(Outcome::Port(_)) => CallEnd::Port,
        Ok(_) => CallEnd::Wait,
        Err(StepError::Invalid(_)) => CallEnd::Invalid,
        Err(StepError::Rejected(_)) => CallEnd::Rejected,
        Err(StepError::Unavailable(_)) => CallEnd::Unavailable,
        Err(StepError::Trapped(_)) => CallEnd::Trapped,
    }
}

fn find_exit(
    step: &PlannedStep,
    outcome: Outcome,
    cause: Option<&str>,
) -> Result<StepExit, SegmentError> {
    let (port, until) = match outcome {
        Outcome::Port(port) => (port, None),
        Outcome::WaitUntil { until, port } => (port, Some(until)),
        Outcome::WaitForCode { .. } | Outcome::WaitForReply { .. } => {
            unreachable!("a step that waits has not chosen a port yet")
        }
    };
    let target = step
        .ports
        .iter()
        .find(|(name, _)| *name == port)
        .map(|(_, target)| *target);
    match target {
        Some(Target::Unconnected) => {
            let cause = cause
                .map(|text| format!("{text}, and "))
                .unwrap_or_default();
            Err(failed(format!(
                "step `{}` ({}): {cause}port `{port}` is not connected",
                step.id, step.name
            )))
        }
        Some(target) => Ok(StepExit {
            port,
            target,
            until,
        }),
        None => Err(failed(format!(
            "step `{}` ({}): the block returned an unknown port `{port}`",
            step.id, step.name
        ))),
    }
}

// `Box<EffectBuffer>` is passed to sandboxes as `Box<dyn HostFunctions>`.
const _: fn(Box<EffectBuffer>) -> Box<dyn HostFunctions> = |effects| effects;

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_model::backoff::Backoff;

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
    fn values_that_cannot_be_read_back_fail_the_step() {
        let nested = |depth| (0..depth).fold(serde_json::json!(1), |value, _| vec![value].into());
        let record = |depth| StepRecord {
            step: "a".into(),
            block: "b".into(),
            port: None,
            started_at: Timestamp(0),
            finished_at: Timestamp(0),
            data: [("x".to_owned(), nested(depth))].into_iter().collect(),
            log: Vec::new(),
            error: None,
        };
        assert_eq!(find_unstorable(&[record(64)], &SegmentEnd::Completed), None);
        let error = find_unstorable(&[record(64), record(200)], &SegmentEnd::Completed);
        let error = error.unwrap_or_default();
        assert!(error.starts_with("step `a` (b): its values"), "{error}");
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
