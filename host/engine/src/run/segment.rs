//! Executes a segment: one step after another, until the run waits or ends.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::aside::Aside;
use super::leases::Leases;
use super::plan::{Plan, Planned, PlannedStep};
use super::step::{Held, Stage, to_value};
use crate::metrics::{CallEnd, Metrics};
use promoflow_block_host::{Call, Outcome, Resumption, StepError, StepHost};
use promoflow_model::block::Value;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::{Calendar, Lane};
use promoflow_model::workflow::{Target, conform};
use promoflow_store::{
    Awaited, Awakened, Position, Resumed, RunId, Segment, SegmentEnd, StepRecord, Store, Trouble,
    TroubleKind,
};

/// Maximum number of steps of a segment. A workflow without a wait has no cycle, so it cannot have
/// more steps than this; the bound guards against workflows that were stored by hand.
const MOST_STEPS: usize = 1_000;

/// Maximum duration of a run's first segment before its event is stored. A longer segment is
/// executed after the event is stored.
const MAX_EVENT_TIME: Duration = Duration::from_secs(1);

/// Maximum number of times that a run may wait again within [`QUICK_WAIT`] of the wait before. A
/// run that only waits would otherwise be executed forever.
const MOST_QUICK_WAITS: u32 = 100;
/// Duration of a wait that counts as quick, in milliseconds.
const QUICK_WAIT: i64 = 1_000;

/// The input of a segment.
pub(super) struct Beginning {
    pub(super) plan: Arc<Plan>,
    /// The run and the number of its segment; `None` for a run that starts with its event.
    pub(super) run: Option<(RunId, u32)>,
    pub(super) step: usize,
    /// The number of earlier attempts of this segment, and the retry states they left.
    pub(super) attempt: u32,
    pub(super) troubles: Vec<Trouble>,
    pub(super) data: Map<String, Json>,
    /// The names of the values that steps have set.
    pub(super) set: BTreeSet<String>,
    pub(super) key: String,
    /// True if the contact directory is enabled.
    pub(super) contacts: bool,
    /// Codes of the run that are not stored; only in test runs.
    pub(super) codes: Vec<Held>,
    /// Codes staged by other segments of the same commit request.
    pub(super) beside: Vec<Position>,
    /// Number of times that the run has left each of its steps.
    pub(super) visits: HashMap<String, u32>,
    /// The end of the wait before this segment; its first step continues with it.
    pub(super) resumed: Option<Resumed>,
}

/// The context that all segments of an engine share.
pub(super) struct Surroundings {
    pub(super) store: Arc<dyn Store>,
    pub(super) leases: Arc<Leases>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calendar: Arc<RwLock<Calendar>>,
    /// The metrics; `None` in test runs.
    pub(super) metrics: Option<Arc<Metrics>>,
    /// The contact overlay of a test run, which must not change the store; `None` in other runs.
    pub(super) aside: Option<Arc<Aside>>,
    /// Set when the process ends: running segments stop and run again in the next process. `None`
    /// in test runs.
    pub(super) interrupt: Option<Arc<AtomicBool>>,
}

impl Surroundings {
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
pub(super) struct Contended;

/// Executes a segment, which takes the run's values out of its input. Returns the staged effects;
/// the codes of a discarded segment become available again. A panic of the host is retried like a
/// trap of a block.
pub(super) fn execute(
    beginning: &mut Beginning,
    around: &Surroundings,
) -> Result<Segment, Contended> {
    let executed = catch_unwind(AssertUnwindSafe(|| attempt(beginning, around)));
    executed.unwrap_or_else(|_| {
        // The staged codes were lost in the panic.
        around.leases.forget_all();
        let (error, kind) = ("the host panicked".to_owned(), TroubleKind::Trapped);
        let now = around.clock.now();
        let end = again(error, String::new(), kind, &beginning.troubles, now);
        let (run, attempt) = (beginning.run, beginning.attempt + 1);
        Ok(Segment::without_effects(
            run,
            attempt,
            beginning.resumed.clone(),
            end,
        ))
    })
}

fn attempt(beginning: &mut Beginning, around: &Surroundings) -> Result<Segment, Contended> {
    let mut stage = Box::new(Stage::new(beginning, around));
    let mut records = Vec::new();
    let end = steps(beginning, around, &mut stage, &mut records);
    let resumed = stage.resumed(beginning);
    let mut staged = stage.finish();
    let mut trapped = false;
    let end = match end {
        Ok(end) => end,
        Err(Discarded::Contended) => {
            around.leases.give_back(&staged.claims);
            return Err(Contended);
        }
        Err(Discarded::Error { error, again: None }) => SegmentEnd::Failed { error },
        Err(Discarded::Error {
            error,
            again: Some((step, kind)),
        }) => {
            trapped = kind == TroubleKind::Trapped;
            again(error, step, kind, &beginning.troubles, around.clock.now())
        }
    };
    let end = match unreadable(&records, &end) {
        Some(error) => SegmentEnd::Failed { error },
        None => end,
    };
    let keeps = matches!(end, SegmentEnd::Completed | SegmentEnd::Wait { .. });
    if !keeps {
        // The codes that this segment held are available again.
        let own = |lane: &Lane| staged.claims.iter().any(|claim| claim.lane == *lane);
        staged.exhausted.retain(|exhausted| !own(&exhausted.lane));
        around.leases.give_back(&staged.claims);
    }
    if matches!(end, SegmentEnd::Completed) && staged.unsent {
        let unused = staged.take_unused();
        around.leases.give_back(&unused);
    }
    Ok(Segment {
        run: beginning.run,
        attempt: beginning.attempt + 1,
        steps: records,
        claims: if keeps { staged.claims } else { Vec::new() },
        exhausted: staged.exhausted,
        reuses: if keeps { staged.reuses } else { Vec::new() },
        deliveries: if keeps { staged.deliveries } else { Vec::new() },
        resumed,
        known_as: staged.known_as,
        unsent: staged.unsent,
        trapped,
        end,
    })
}

/// Reads the values back as they will be stored: a value that could not be read again must not be
/// committed.
fn unreadable(records: &[StepRecord], end: &SegmentEnd) -> Option<String> {
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
pub(super) fn again(
    error: String,
    step: String,
    kind: TroubleKind,
    before: &[Trouble],
    now: Timestamp,
) -> SegmentEnd {
    let known = before
        .iter()
        .find(|trouble| trouble.step == step && trouble.kind == kind);
    let attempts = known.map_or(0, |trouble| trouble.attempts) + 1;
    match kind.backoff().next(attempts, now) {
        None => SegmentEnd::Failed {
            error: format!("{error}; given up after {attempts} attempts"),
        },
        Some(due) => SegmentEnd::Retry {
            error,
            due,
            trouble: Trouble {
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
enum Discarded {
    Contended,
    /// `again`: the step and the kind of error if the segment can be retried.
    Error {
        error: String,
        again: Option<(String, TroubleKind)>,
    },
}

fn steps(
    beginning: &Beginning,
    around: &Surroundings,
    stage: &mut Box<Stage>,
    records: &mut Vec<StepRecord>,
) -> Result<SegmentEnd, Discarded> {
    let plan = &beginning.plan;
    if let Some(error) = &plan.broken {
        return Err(Discarded::Error {
            error: error.clone(),
            again: Some((String::new(), TroubleKind::Unavailable)),
        });
    }
    let mut next = beginning.step;
    let mut resumed = beginning.resumed.as_ref();
    let began = Instant::now();
    // Test runs have no sender that waits.
    let holds_event = beginning.run.is_none() && around.interrupt.is_some();
    for _ in 0..MOST_STEPS {
        if around.is_interrupted() || (holds_event && began.elapsed() > MAX_EVENT_TIME) {
            return Err(Discarded::Contended);
        }
        if next == plan.steps.len() {
            // The wait was the last step of the run.
            return Ok(SegmentEnd::Completed);
        }
        let Some(step) = plan.steps.get(next) else {
            return Err(failed(format!("the workflow has no step {next}")));
        };
        let started_at = around.clock.now();
        let outcome = one_step(step, stage, resumed.take(), around.metrics.as_deref());
        let contended = stage.contended();
        let notes = stage.take_notes();
        let mut record = StepRecord {
            step: step.id.clone(),
            block: step.name.clone(),
            port: None,
            started_at,
            finished_at: around.clock.now(),
            data: notes.data,
            log: notes.log,
            error: None,
        };
        if contended || (outcome.is_err() && around.is_interrupted()) {
            return Err(Discarded::Contended);
        }
        let wait = match &outcome {
            Ok(outcome) => stage.wait(outcome),
            Err(_) => None,
        };
        if let Some((wait, due)) = wait {
            // A matching code may already be available.
            let may_end_now = matches!(wait.awaited, Awaited::Code { .. });
            let due = wait_end(beginning, around, step, due, may_end_now);
            if let Err(discarded) = &due {
                note_error(&mut record, discarded);
            }
            records.push(record);
            let due = due?;
            return Ok(SegmentEnd::Wait {
                step: u32::try_from(next).unwrap_or(u32::MAX),
                due,
                data: stage.data().clone(),
                wait: Some(wait),
            });
        }
        let way = outcome.and_then(|outcome| way_out(step, outcome, notes.cause.as_deref()));
        let way = way.and_then(|way| match way.until {
            Some(until) => Ok(Way {
                until: wait_end(beginning, around, step, Some(until), false)?,
                ..way
            }),
            None => Ok(way),
        });
        match &way {
            Ok(Way { port, .. }) => record.port = Some(port.clone()),
            Err(discarded) => note_error(&mut record, discarded),
        }
        records.push(record);
        let way = way?;
        match (way.until, way.target) {
            (Some(until), target) => {
                let step = match target {
                    Target::Step(step) => step,
                    _ => plan.steps.len(),
                };
                return Ok(SegmentEnd::Wait {
                    step: u32::try_from(step).unwrap_or(u32::MAX),
                    due: Some(until),
                    data: stage.data().clone(),
                    wait: None,
                });
            }
            (None, Target::End) => return Ok(SegmentEnd::Completed),
            (None, Target::Step(step)) => next = step,
            (None, Target::Nowhere) => {
                return Err(failed(format!("port `{}` is not connected", way.port)));
            }
        }
    }
    Err(failed(format!(
        "more than {MOST_STEPS} steps without a wait"
    )))
}

fn note_error(record: &mut StepRecord, discarded: &Discarded) {
    if let Discarded::Error { error, .. } = discarded {
        record.error = Some(error.clone());
    }
}

/// Returns the end of a block's wait, which is never in the past. Fails if the run waits too often
/// in a short time. `may_end_now`: something other than time may end the wait at once.
fn wait_end(
    beginning: &Beginning,
    around: &Surroundings,
    step: &PlannedStep,
    due: Option<Timestamp>,
    may_end_now: bool,
) -> Result<Option<Timestamp>, Discarded> {
    let now = around.clock.now();
    if !may_end_now && due.is_none_or(|due| due > now.plus_millis(QUICK_WAIT)) {
        return Ok(due);
    }
    let at = |why: String| format!("step `{}` ({}): {why}", step.id, step.name);
    if let Some((run, segment)) = beginning.run
        && let Some(earlier) = segment.checked_sub(MOST_QUICK_WAITS)
    {
        let earlier = around.store.segment_at(run, earlier);
        let earlier = earlier.map_err(|error| Discarded::Error {
            error: at(format!("the run's history cannot be read: {error}")),
            again: Some((step.id.clone(), TroubleKind::Unavailable)),
        })?;
        let least = QUICK_WAIT * i64::from(MOST_QUICK_WAITS);
        if earlier.is_some_and(|earlier| now < earlier.plus_millis(least)) {
            return Err(failed(at(format!(
                "the run waited {MOST_QUICK_WAITS} times within {} s, and waits again; a block that \
                 waits in a loop must wait longer",
                least / 1_000
            ))));
        }
    }
    Ok(due.map(|due| due.max(now)))
}

/// The port by which a run leaves a step.
struct Way {
    port: String,
    target: Target,
    until: Option<Timestamp>,
}

fn failed(error: String) -> Discarded {
    Discarded::Error { error, again: None }
}

fn one_step(
    step: &PlannedStep,
    stage: &mut Box<Stage>,
    resumed: Option<&Resumed>,
    metrics: Option<&Metrics>,
) -> Result<Outcome, Discarded> {
    stage.allow_work();
    let params = parameters(step, stage)?;
    stage.enter(&step.id, resumed);
    // The effect buffer moves into the sandbox and comes back after the call.
    let lent = std::mem::replace(stage, Box::new(Stage::placeholder()));
    let began = Instant::now();
    let (outcome, lent) = step.block.run(
        Call {
            params,
            resumed: resumed.map(resumption),
        },
        lent,
    );
    if let Some(metrics) = metrics {
        let meter = step.meter.get_or_init(|| metrics.blocks.meter(&step.name));
        meter.called(how(&outcome), began.elapsed());
    }
    let back: Box<dyn std::any::Any> = lent;
    match back.downcast::<Stage>() {
        Ok(back) => *stage = back,
        Err(_) => unreachable!("a sandbox returns the host that it was given"),
    }
    outcome.map_err(|error| {
        let at = format!("step `{}` ({})", step.id, step.name);
        match error {
            StepError::Invalid(why) => failed(format!("{at}: {why}")),
            StepError::Rejected(why) => failed(format!("{at}: {why}")),
            StepError::Unavailable(why) => Discarded::Error {
                error: format!("{at}: {why}"),
                again: Some((step.id.clone(), TroubleKind::Unavailable)),
            },
            StepError::Trapped(why) => Discarded::Error {
                error: format!("{at}: the block trapped: {why}"),
                again: Some((step.id.clone(), TroubleKind::Trapped)),
            },
        }
    })
}

/// Converts the end of a wait to the form that blocks receive.
fn resumption(resumed: &Resumed) -> Resumption {
    match &resumed.why {
        Awakened::Code(_) => Resumption::Code,
        Awakened::Reply(reply) => Resumption::Reply(to_value(reply)),
        Awakened::GaveUp => Resumption::GaveUp,
    }
}

fn parameters(step: &PlannedStep, stage: &Stage) -> Result<Vec<(String, Value)>, Discarded> {
    let mut params = Vec::with_capacity(step.params.len());
    for param in &step.params {
        let value = match &param.value {
            Planned::Constant(value) => value.clone(),
            Planned::Evaluated {
                value,
                templates,
                kind,
            } => {
                let values = stage.values();
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
                conform(kind, &evaluated).map_err(|unfit| at(unfit.to_string()))?
            }
        };
        params.push((param.name.clone(), value));
    }
    Ok(params)
}

/// Classifies the result of a call for the metrics.
fn how(outcome: &Result<Outcome, StepError>) -> CallEnd {
    match outcome {
        Ok(Outcome::Port(_)) => CallEnd::Port,
        Ok(_) => CallEnd::Wait,
        Err(StepError::Invalid(_)) => CallEnd::Invalid,
        Err(StepError::Rejected(_)) => CallEnd::Rejected,
        Err(StepError::Unavailable(_)) => CallEnd::Unavailable,
        Err(StepError::Trapped(_)) => CallEnd::Trapped,
    }
}

fn way_out(step: &PlannedStep, outcome: Outcome, cause: Option<&str>) -> Result<Way, Discarded> {
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
        Some(Target::Nowhere) => {
            let cause = cause
                .map(|text| format!("{text}, and "))
                .unwrap_or_default();
            Err(failed(format!(
                "step `{}` ({}): {cause}port `{port}` is not connected",
                step.id, step.name
            )))
        }
        Some(target) => Ok(Way {
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

// `Box<Stage>` is passed to sandboxes as `Box<dyn StepHost>`.
const _: fn(Box<Stage>) -> Box<dyn StepHost> = |stage| stage;

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_model::backoff::Backoff;

    /// Returns true if the segment is retried after this error, and updates its retry states.
    fn met(kind: TroubleKind, step: &str, troubles: &mut Vec<Trouble>) -> bool {
        let end = again("no".into(), step.into(), kind, troubles, Timestamp(0));
        let SegmentEnd::Retry { trouble, .. } = end else {
            return false;
        };
        troubles.retain(|known| (&known.step, known.kind) != (&trouble.step, trouble.kind));
        troubles.push(trouble);
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
        assert_eq!(unreadable(&[record(64)], &SegmentEnd::Completed), None);
        let error = unreadable(&[record(64), record(200)], &SegmentEnd::Completed);
        let error = error.unwrap_or_default();
        assert!(error.starts_with("step `a` (b): its values"), "{error}");
    }

    #[test]
    fn attempts_are_counted_by_step_and_kind() {
        let mut troubles = Vec::new();
        for _ in 1..Backoff::UNAVAILABLE.attempts {
            assert!(met(TroubleKind::Unavailable, "a", &mut troubles));
        }
        for step in ["a", "b"] {
            for _ in 1..Backoff::TRAPPED.attempts {
                assert!(met(TroubleKind::Trapped, step, &mut troubles), "{step}");
            }
            assert!(!met(TroubleKind::Trapped, step, &mut troubles), "{step}");
        }
        assert!(met(TroubleKind::Unavailable, "b", &mut troubles));
        assert!(!met(TroubleKind::Unavailable, "a", &mut troubles));
    }
}
