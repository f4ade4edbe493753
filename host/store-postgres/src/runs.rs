//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_model::trace_context::TraceParent;
use promoflow_store::{
    Action, ActionResult, DueRuns, EventRowId, RunId, RunRow, RunState, StartRule, StepRecord,
    WorkflowVersionId,
};
use std::collections::{BTreeSet, HashSet};

impl promoflow_store::RunStore for PostgresStore {
    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        excluded_workflows: &[WorkflowVersionId],
        excluded: &HashSet<RunId>,
    ) -> Result<DueRuns> {
        unimplemented!()
    }
    fn fail_unreadable(&self, runs: &[(RunId, String)], now: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        unimplemented!()
    }
    fn are_idle(&self, runs: Option<&[RunId]>, now: Timestamp) -> Result<bool> {
        unimplemented!()
    }
    fn runs(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunRow>> {
        unimplemented!()
    }
    fn run(&self, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>> {
        unimplemented!()
    }
    fn segment_at(&self, run: RunId, segment: u32) -> Result<Option<Timestamp>> {
        unimplemented!()
    }
    fn start_blocked_by(
        &self,
        event: &Event,
        rule: &StartRule,
        now: Timestamp,
    ) -> Result<Option<&'static str>> {
        unimplemented!()
    }
    fn reply(&self, run: RunId, request: &str, reply: &str) -> Result<bool> {
        unimplemented!()
    }
    fn apply_run_action(
        &self,
        id: RunId,
        action: Action,
        clock: &dyn Clock,
    ) -> Result<ActionResult> {
        unimplemented!()
    }
    fn trace_of_run(&self, run: RunId) -> Result<Option<(EventRowId, Option<TraceParent>)>> {
        unimplemented!()
    }
    fn event_params(&self, event_type: Option<&str>) -> Result<BTreeSet<String>> {
        unimplemented!()
    }
}
