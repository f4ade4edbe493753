//! Events and their runs: what is due, listings, and an operator's actions.

use std::collections::{BTreeSet, HashSet};

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_model::trace_context::TraceParent;

use crate::{
    Action, ActionResult, DueRuns, EventRowId, Result, RunId, RunRow, RunState, StartRule,
    StepRecord, WorkflowVersionId,
};

/// Events and their runs: what is due, listings, and an operator's actions.
pub trait RunStore: Send + Sync {
    /// Returns runs that may continue at `now`, the longest due first, except those in `excluded`
    /// and those of the workflows in `excluded_workflows`. A run that cannot be read does not block
    /// the others.
    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        excluded_workflows: &[WorkflowVersionId],
        excluded: &HashSet<RunId>,
    ) -> Result<DueRuns>;

    /// Fails runs that cannot be read, each with its reason. Nothing else of them changes, so they
    /// can be retried after a repair.
    fn fail_unreadable(&self, runs: &[(RunId, String)], now: Timestamp) -> Result<()>;

    /// Returns the time after `now` at which the next run or delivery is due.
    fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>>;

    /// Returns true if these runs, or all runs if `None`, are idle at `now`: no run may continue, and
    /// none of their deliveries is due. A delivery that is to be retried is due later.
    fn are_idle(&self, runs: Option<&[RunId]>, now: Timestamp) -> Result<bool>;

    /// Lists runs before run `before`, the newest first.
    fn runs(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunRow>>;

    /// Returns one run with its steps.
    fn run(&self, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>>;

    /// Returns when a segment of a run was committed; `None` if it was not.
    fn segment_at(&self, run: RunId, segment: u32) -> Result<Option<Timestamp>>;

    /// Returns why an event would not start a workflow with that rule at `now`, as text for the
    /// author; `None` if it would.
    fn start_blocked_by(
        &self,
        event: &Event,
        rule: &StartRule,
        now: Timestamp,
    ) -> Result<Option<&'static str>>;

    /// Stores the reply that a run waits for, as JSON. Returns false if the run does not wait for a
    /// reply to that request.
    fn reply(&self, run: RunId, request: &str, reply: &str) -> Result<bool>;

    /// Applies an operator's action to a run. Cancelling a run releases its codes if none of them
    /// may have left the host, and cancels its deliveries.
    fn apply_run_action(
        &self,
        id: RunId,
        action: Action,
        clock: &dyn Clock,
    ) -> Result<ActionResult>;

    /// Returns the event of a run, with the trace context that it arrived with.
    fn trace_of_run(&self, run: RunId) -> Result<Option<(EventRowId, Option<TraceParent>)>>;

    /// Returns the names of the parameters of recent events of that type; `None`: of any type.
    fn event_params(&self, event_type: Option<&str>) -> Result<BTreeSet<String>>;
}
