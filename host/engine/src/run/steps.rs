//! The steps of a segment: runs each block in its sandbox and finds out where the run goes next.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::plan::{PlannedStep, PlannedValue};
use super::run_values::{RunValues, to_value};
use super::segment::{EngineContext, SegmentInput};
use super::segment_context::SegmentContext;
use crate::metrics::{CallEnd, Metrics};
use promoflow_block_host::{Call, Outcome, Resumption, StepError};
use promoflow_model::block::Value;
use promoflow_model::clock::Timestamp;
use promoflow_model::workflow::{Target, coerce};
use promoflow_store::{FailureKind, SegmentEnd, StepRecord, WaitFor, WaitOutcome, WakeReason};

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

/// The reason why nothing of a segment is kept.
pub(super) enum SegmentError {
    Conflict,
    /// `retry`: the step and the kind of error if the segment can be retried.
    Failed {
        error: String,
        retry: Option<(String, FailureKind)>,
    },
}

/// Runs steps until the run waits or ends. Returns the context with what they have staged.
pub(super) fn run_steps(
    input: &SegmentInput,
    engine: &EngineContext,
    mut segment: SegmentContext,
    records: &mut Vec<StepRecord>,
) -> (SegmentContext, Result<SegmentEnd, SegmentError>) {
    let mut next = input.step;
    let mut resumed = input.resumed.as_ref();
    let began = Instant::now();
    for _ in 0..MAX_STEPS {
        let step = match next_step(input, engine, next, began) {
            Ok(Some(step)) => step,
            // The wait was the last step of the run.
            Ok(None) => return (segment, Ok(SegmentEnd::Completed)),
            Err(error) => return (segment, Err(error)),
        };
        let started_at = engine.clock.now();
        let (back, outcome) = run_step(step, segment, resumed.take(), engine.metrics.as_deref());
        segment = back;
        let step = FinishedStep {
            step,
            number: next,
            started_at,
        };
        match step.leave(input, engine, &mut segment, outcome, records) {
            Ok(ControlFlow::Continue(step)) => next = step,
            Ok(ControlFlow::Break(end)) => return (segment, Ok(end)),
            Err(error) => return (segment, Err(error)),
        }
    }
    let error = failed(format!("more than {MAX_STEPS} steps without a wait"));
    (segment, Err(error))
}

/// Returns the step with this number; `None` if the run ends there.
fn next_step<'i>(
    input: &'i SegmentInput,
    engine: &EngineContext,
    number: usize,
    began: Instant,
) -> Result<Option<&'i PlannedStep>, SegmentError> {
    if let Some(error) = &input.plan.broken {
        return Err(SegmentError::Failed {
            error: error.clone(),
            retry: Some((String::new(), FailureKind::Unavailable)),
        });
    }
    // Test runs have no sender that waits.
    let holds_event = input.run.is_none() && engine.interrupt.is_some();
    if engine.is_interrupted() || (holds_event && began.elapsed() > MAX_EVENT_TIME) {
        return Err(SegmentError::Conflict);
    }
    let steps = &input.plan.steps;
    match steps.get(number) {
        None if number != steps.len() => Err(failed(format!("the workflow has no step {number}"))),
        step => Ok(step),
    }
}

/// A step whose block has returned.
struct FinishedStep<'p> {
    step: &'p PlannedStep,
    number: usize,
    started_at: Timestamp,
}

impl FinishedStep<'_> {
    /// Records the step. Returns the next step, or the end of the segment.
    fn leave(
        &self,
        input: &SegmentInput,
        engine: &EngineContext,
        segment: &mut SegmentContext,
        outcome: Result<Outcome, SegmentError>,
        records: &mut Vec<StepRecord>,
    ) -> Result<ControlFlow<SegmentEnd, usize>, SegmentError> {
        let step = self.step;
        let journal = std::mem::take(&mut segment.journal);
        let mut record = StepRecord {
            step: step.id.clone(),
            block: step.name.clone(),
            port: None,
            started_at: self.started_at,
            finished_at: engine.clock.now(),
            data: journal.data,
            log: journal.log,
            error: None,
        };
        if segment.codes.is_contended || (outcome.is_err() && engine.is_interrupted()) {
            return Err(SegmentError::Conflict);
        }
        let wait = match &outcome {
            Ok(outcome) => segment.wait(outcome),
            Err(_) => None,
        };
        if let Some((wait, due)) = wait {
            // A matching code may already be available.
            let may_end_now = matches!(wait.awaited, WaitFor::Code { .. });
            let due = wait_end(input, engine, step, due, may_end_now);
            if let Err(discarded) = &due {
                note_error(&mut record, discarded);
            }
            records.push(record);
            let due = due?;
            return Ok(ControlFlow::Break(SegmentEnd::Wait {
                step: u32::try_from(self.number).unwrap_or(u32::MAX),
                due,
                data: segment.values.data().clone(),
                wait: Some(wait),
            }));
        }
        let exit = outcome.and_then(|outcome| find_exit(step, outcome, journal.cause.as_deref()));
        let exit = exit.and_then(|exit| match exit.until {
            Some(until) => Ok(StepExit {
                until: wait_end(input, engine, step, Some(until), false)?,
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
                    _ => input.plan.steps.len(),
                };
                Ok(ControlFlow::Break(SegmentEnd::Wait {
                    step: u32::try_from(step).unwrap_or(u32::MAX),
                    due: Some(until),
                    data: segment.values.data().clone(),
                    wait: None,
                }))
            }
            (None, Target::End) => Ok(ControlFlow::Break(SegmentEnd::Completed)),
            (None, Target::Step(step)) => Ok(ControlFlow::Continue(step)),
            (None, Target::Unconnected) => {
                Err(failed(format!("port `{}` is not connected", exit.port)))
            }
        }
    }
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

/// Runs a step. The segment's context moves into the step's sandbox and comes back.
fn run_step(
    step: &PlannedStep,
    mut segment: SegmentContext,
    resumed: Option<&WaitOutcome>,
    metrics: Option<&Metrics>,
) -> (SegmentContext, Result<Outcome, SegmentError>) {
    segment.values.start_work_limit();
    let params = match evaluate_params(step, &segment.values) {
        Ok(params) => params,
        Err(error) => return (segment, Err(error)),
    };
    segment.enter(&step.id, resumed);
    let began = Instant::now();
    let resumed = resumed.map(resumption);
    let (outcome, segment) = step.block.run(Call { params, resumed }, segment);
    if let Some(metrics) = metrics {
        let meter = step
            .meter
            .get_or_init(|| metrics.blocks.for_block(&step.name));
        meter.record_call(call_end(&outcome), began.elapsed());
    }
    let outcome = outcome.map_err(|error| step_error(step, error));
    (segment, outcome)
}

fn step_error(step: &PlannedStep, error: StepError) -> SegmentError {
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
    values: &RunValues,
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
                let values = values.for_templates();
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
            let waits = format!("step `{}` ({}): waits without a port", step.id, step.name);
            return Err(failed(waits));
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
