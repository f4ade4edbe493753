//! Test runs: execute a workflow without committing anything.
//!
//! A test run leases codes from its own lease table, which is dropped at the end and which no other
//! run uses. Waits end at once. If the contact directory is not enabled, the test run fills an
//! in-memory overlay instead of enabling it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::aside::Aside;
use super::configuration::Configurations;
use super::engine::SendError;
use super::leases::Leases;
use super::plan::Plan;
use super::segment::{Beginning, Surroundings, execute, positions};
use super::step::Held;
use crate::committer::CommitError;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_store::{
    Position, Segment, SegmentEnd, StagedDelivery, StepRecord, Store, StoreError, WorkflowRow,
};

/// Maximum number of segments of a test run, because a cycle with a wait never ends.
const MOST_SEGMENTS: usize = 100;

/// The result of a test run.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// The version of the workflow.
    pub workflow: WorkflowRow,
    /// The steps, in order.
    pub steps: Vec<StepRecord>,
    /// The codes that the run would have claimed.
    pub codes: Vec<String>,
    /// The deliveries that the run would have staged.
    pub deliveries: Vec<StagedDelivery>,
    /// The reason why the workflow would not start; all other fields are empty then.
    pub held_off: Option<&'static str>,
    /// The waits for a point in time; the test run continues at once.
    pub waits: Vec<WouldWait>,
    /// The code or reply that the run would wait for; the test run ends there.
    pub waits_for: Option<String>,
    /// The end of that wait; `None` if it has no end.
    pub waits_until: Option<Timestamp>,
    /// The error of a run that would have failed.
    pub error: Option<String>,
}

/// A wait until a point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldWait {
    /// The step that waits.
    pub step: String,
    /// The end of the wait.
    pub until: Timestamp,
}

/// Runs every workflow that an event starts.
pub fn rehearse(
    event: Event,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    configurations: &Configurations,
) -> Result<Vec<Rehearsed>, SendError> {
    let event = event.checked()?;
    let configuration = configurations.refresh().map_err(SendError::Configuration)?;
    let aside = Arc::new(Aside::default());
    let mut contacts = configuration.contacts;
    loop {
        let around = Surroundings {
            leases: Arc::new(Leases::new(Arc::clone(&store))),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            calendar: configurations.calendar(),
            metrics: None,
            interrupt: None,
            aside: Some(Arc::clone(&aside)),
        };
        match all(configuration.starts(&event), &event, contacts, &around)? {
            Some(done) => return Ok(done),
            // A real event does the same: a segment that started without the directory starts
            // again.
            None => contacts = true,
        }
    }
}

/// Runs workflows in order; `None` if the first segment of one enabled the contact overlay.
fn all(
    plans: Vec<Arc<Plan>>,
    event: &Event,
    contacts: bool,
    around: &Surroundings,
) -> Result<Option<Vec<Rehearsed>>, SendError> {
    let failed = |error: StoreError| SendError::Store(CommitError(Arc::new(error)));
    // Each run sees the codes that earlier runs claimed.
    let mut taken = Vec::new();
    let mut done = Vec::with_capacity(plans.len());
    for plan in plans {
        let held_off = match &plan.rule {
            Some(rule) => around
                .store
                .held_off(event, rule, around.clock.now())
                .map_err(failed)?,
            None => None,
        };
        if held_off.is_some() {
            done.push(Rehearsed {
                held_off,
                ..Rehearsed::of(&plan)
            });
            continue;
        }
        match one(plan, event, contacts, &mut taken, around) {
            Some(rehearsed) => done.push(rehearsed),
            None => return Ok(None),
        }
    }
    Ok(Some(done))
}

impl Rehearsed {
    fn of(plan: &Plan) -> Rehearsed {
        Rehearsed {
            workflow: plan.workflow,
            steps: Vec::new(),
            codes: Vec::new(),
            deliveries: Vec::new(),
            held_off: None,
            waits: Vec::new(),
            waits_for: None,
            waits_until: None,
            error: None,
        }
    }
}

/// Runs a workflow. `taken` are the codes of earlier segments; this run adds its own. Returns
/// `None` if its first segment enabled the contact overlay.
fn one(
    plan: Arc<Plan>,
    event: &Event,
    contacts: bool,
    taken: &mut Vec<Position>,
    around: &Surroundings,
) -> Option<Rehearsed> {
    let mut done = Rehearsed::of(&plan);
    let mut beginning = Beginning {
        plan,
        run: None,
        step: 0,
        attempt: 0,
        troubles: Vec::new(),
        data: event.params.clone(),
        set: BTreeSet::new(),
        key: event.key.clone(),
        contacts,
        codes: Vec::new(),
        beside: Vec::new(),
        visits: HashMap::new(),
        resumed: None,
    };
    for number in 0..MOST_SEGMENTS {
        beginning.beside.clone_from(taken);
        let Ok(segment) = execute(&mut beginning, around) else {
            unreachable!("only this test run uses its lease table");
        };
        if around.aside.as_ref().is_some_and(|aside| aside.was_woken()) {
            if number == 0 {
                return None;
            }
            beginning.contacts = true;
        }
        taken.extend(positions(&segment));
        beginning.codes.extend(held(&segment));
        let codes = segment.claims.iter().map(|claim| claim.code.code.clone());
        done.codes.extend(codes);
        for step in &segment.steps {
            beginning.set.extend(step.data.keys().cloned());
        }
        for step in segment.steps.iter().filter(|step| step.port.is_some()) {
            *beginning.visits.entry(step.step.clone()).or_default() += 1;
        }
        done.steps.extend(segment.steps);
        let now = around.clock.now();
        let deliveries = segment.deliveries.into_iter();
        done.deliveries
            .extend(deliveries.map(|delivery| shown(delivery, now)));
        match segment.end {
            SegmentEnd::Completed => return Some(done),
            SegmentEnd::Failed { error } | SegmentEnd::Retry { error, .. } => {
                done.error = Some(error);
                return Some(done);
            }
            SegmentEnd::Wait {
                wait: Some(wait),
                due,
                ..
            } => {
                done.waits_for = Some(wait.awaited.to_string());
                done.waits_until = due;
                return Some(done);
            }
            SegmentEnd::Wait {
                step, data, due, ..
            } => {
                if let (Some(last), Some(until)) = (done.steps.last(), due) {
                    let step = last.step.clone();
                    done.waits.push(WouldWait { step, until });
                }
                beginning.step = usize::try_from(step).unwrap_or(usize::MAX);
                beginning.data = data;
            }
        }
    }
    done.error = Some(format!("still running after {MOST_SEGMENTS} waits"));
    Some(done)
}

/// Prepares a delivery for display.
fn shown(mut delivery: StagedDelivery, now: Timestamp) -> StagedDelivery {
    delivery.due = delivery.due.max(now);
    delivery.content = delivery.content.shown();
    for other in &mut delivery.others {
        other.content = std::mem::take(&mut other.content).shown();
    }
    delivery
}

/// Returns the codes that a segment leaves to its run.
fn held(segment: &Segment) -> Vec<Held> {
    let claims = segment.claims.iter().enumerate();
    let held = claims.map(|(number, claim)| Held {
        lane: claim.lane.clone(),
        code: claim.code.clone(),
        kept: segment
            .reuses
            .iter()
            .any(|reuse| reuse.replaced_by == Some(number)),
    });
    held.collect()
}
