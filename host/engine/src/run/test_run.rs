//! Test runs: execute a workflow without committing anything.
//!
//! A test run leases codes from its own lease table, which is dropped at the end and which no other
//! run uses. Waits end at once. If the contact directory is not enabled, the test run fills an
//! in-memory overlay instead of enabling it.

use std::sync::Arc;

use super::claim::HeldCode;
use super::contact_overlay::ContactOverlay;
use super::engine::SubmitError;
use super::leases::{Leases, UnleasedCodes};
use super::plan::Plan;
use super::segment::{EngineContext, SegmentInput, execute, positions};
use super::workflow_cache::WorkflowCache;
use crate::committer::CommitError;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_store::{
    Position, Segment, SegmentEnd, StagedDelivery, StepRecord, Store, StoreError, WorkflowVersionId,
};

/// Maximum number of segments of a test run, because a cycle with a wait never ends.
const MAX_SEGMENTS: usize = 100;

/// The result of a test run.
#[derive(Clone, Debug)]
pub struct TestRunReport {
    /// The version of the workflow.
    pub workflow: WorkflowVersionId,
    /// The steps, in order.
    pub steps: Vec<StepRecord>,
    /// The codes that the run would have claimed.
    pub codes: Vec<String>,
    /// The deliveries that the run would have staged.
    pub deliveries: Vec<StagedDelivery>,
    /// The reason why the workflow would not start; all other fields are empty then.
    pub blocked_by: Option<&'static str>,
    /// The waits for a point in time; the test run continues at once.
    pub waits: Vec<TestRunWait>,
    /// The code or reply that the run would wait for; the test run ends there.
    pub waiting_for: Option<String>,
    /// The end of that wait; `None` if it has no end.
    pub waiting_until: Option<Timestamp>,
    /// The error of a run that would have failed.
    pub error: Option<String>,
}

/// A wait until a point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRunWait {
    /// The step that waits.
    pub step: String,
    /// The end of the wait.
    pub until: Timestamp,
}

/// Runs every workflow that an event starts.
pub fn test_run(
    event: &Event,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    workflow_cache: &WorkflowCache,
) -> Result<Vec<TestRunReport>, SubmitError> {
    let configuration = workflow_cache.refresh()?;
    let contact_overlay = Arc::new(ContactOverlay::default());
    let mut contacts = configuration.contacts;
    loop {
        let context = EngineContext {
            leases: Arc::new(Leases::new(Arc::new(UnleasedCodes(Arc::clone(&store))))),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            calendar: workflow_cache.calendar(),
            metrics: None,
            interrupt: None,
            contact_overlay: Some(Arc::clone(&contact_overlay)),
        };
        match run_plans(configuration.plans_for(event), event, contacts, &context)? {
            Some(done) => return Ok(done),
            // A real event does the same: a segment that started without the directory starts
            // again.
            None => contacts = true,
        }
    }
}

/// Runs workflows in order; `None` if the first segment of one enabled the contact overlay.
fn run_plans(
    plans: Vec<Arc<Plan>>,
    event: &Event,
    contacts: bool,
    context: &EngineContext,
) -> Result<Option<Vec<TestRunReport>>, SubmitError> {
    let failed = |error: StoreError| SubmitError::Store(CommitError(Arc::new(error)));
    // Each run sees the codes that earlier runs claimed.
    let mut claimed = Vec::new();
    let mut done = Vec::with_capacity(plans.len());
    for plan in plans {
        let blocked_by = match &plan.rule {
            Some(rule) => context
                .store
                .start_blocked_by(event, rule, context.clock.now())
                .map_err(failed)?,
            None => None,
        };
        if blocked_by.is_some() {
            done.push(TestRunReport {
                blocked_by,
                ..TestRunReport::of(&plan)
            });
            continue;
        }
        match run_plan(plan, event, contacts, &mut claimed, context) {
            Some(rehearsed) => done.push(rehearsed),
            None => return Ok(None),
        }
    }
    Ok(Some(done))
}

impl TestRunReport {
    fn of(plan: &Plan) -> TestRunReport {
        TestRunReport {
            workflow: plan.workflow,
            steps: Vec::new(),
            codes: Vec::new(),
            deliveries: Vec::new(),
            blocked_by: None,
            waits: Vec::new(),
            waiting_for: None,
            waiting_until: None,
            error: None,
        }
    }
}

/// Runs a workflow. `claimed` are the codes of earlier segments; this run adds its own. Returns
/// `None` if its first segment enabled the contact overlay.
fn run_plan(
    plan: Arc<Plan>,
    event: &Event,
    contacts: bool,
    claimed: &mut Vec<Position>,
    context: &EngineContext,
) -> Option<TestRunReport> {
    let mut done = TestRunReport::of(&plan);
    let mut input = SegmentInput::of_event(plan, event, contacts);
    for number in 0..MAX_SEGMENTS {
        input.claimed_in_batch.clone_from(claimed);
        let Ok(segment) = execute(&mut input, context) else {
            // Another process has changed the pool meanwhile.
            done.error = Some("the pool changed during the test run; repeat it".to_owned());
            return Some(done);
        };
        if context
            .contact_overlay
            .as_ref()
            .is_some_and(|contact_overlay| contact_overlay.take_enabled())
        {
            if number == 0 {
                return None;
            }
            input.contacts = true;
        }
        claimed.extend(positions(&segment));
        input.codes.extend(held_codes(&segment));
        let codes = segment.claims.iter().map(|claim| claim.code.code.clone());
        done.codes.extend(codes);
        for step in &segment.steps {
            input.set.extend(step.data.keys().cloned());
        }
        for step in segment.steps.iter().filter(|step| step.port.is_some()) {
            *input.visits.entry(step.step.clone()).or_default() += 1;
        }
        done.steps.extend(segment.steps);
        let now = context.clock.now();
        let deliveries = segment.deliveries.into_iter();
        done.deliveries
            .extend(deliveries.map(|delivery| for_display(delivery, now)));
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
                done.waiting_for = Some(wait.awaited.to_string());
                done.waiting_until = due;
                return Some(done);
            }
            SegmentEnd::Wait {
                step, data, due, ..
            } => {
                if let (Some(last), Some(until)) = (done.steps.last(), due) {
                    let step = last.step.clone();
                    done.waits.push(TestRunWait { step, until });
                }
                input.step = usize::try_from(step).unwrap_or(usize::MAX);
                input.data = data;
            }
        }
    }
    done.error = Some(format!("still running after {MAX_SEGMENTS} waits"));
    Some(done)
}

/// Prepares a delivery for display.
fn for_display(mut delivery: StagedDelivery, now: Timestamp) -> StagedDelivery {
    delivery.due = delivery.due.max(now);
    delivery.content = delivery.content.with_unsubscribe_tag();
    for other in &mut delivery.alternatives {
        other.content = std::mem::take(&mut other.content).with_unsubscribe_tag();
    }
    delivery
}

/// Returns the codes that a segment leaves to its run.
fn held_codes(segment: &Segment) -> Vec<HeldCode> {
    let claims = segment.claims.iter().enumerate();
    let held = claims.map(|(number, claim)| HeldCode {
        code_group: claim.code_group.clone(),
        code: claim.code.clone(),
        kept: segment
            .reuses
            .iter()
            .any(|reuse| reuse.replaced_by == Some(number)),
    });
    held.collect()
}
