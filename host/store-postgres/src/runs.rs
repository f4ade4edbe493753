//! The launch history, and whether runs are idle.

use std::collections::{BTreeSet, HashSet};

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_model::message::ChannelKind;
use promoflow_model::trace_context::TraceParent;
use promoflow_store::{
    Action, ActionResult, DUE_NOW, DueRuns, EventRowId, RunId, RunRow, RunState, RunStore,
    StartRule, StepRecord, StoreError, WorkflowVersionId,
};

use crate::PostgresStore;
use crate::connection::{Row, params};
use crate::errors::{Error, Result, StoreResult, damaged, read_name, unreadable};
use crate::transaction::Transaction;
use crate::{actions, due_runs, event_params, retry_states, start_rules, traces, waiting_runs};

/// Returns the time after `now` at which the next run or delivery of any host is due.
fn next_due(transaction: &Transaction<'_>, now: Timestamp) -> Result<Option<Timestamp>> {
    let row = transaction.row(
        "SELECT min(due_at) FROM (
             SELECT min(due_at) AS due_at FROM run WHERE due_at > $1
             UNION ALL SELECT (SELECT min(due_at) FROM delivery
                 WHERE channel = kind AND due_at > $1) FROM unnest($2::text[]) AS kind) AS next",
        params![now.0, channels()],
    )?;
    let next: Option<i64> = row.map_or(Ok(None), |row| row.get(0))?;
    Ok(next.map(Timestamp))
}

/// Returns the names of all channels: due deliveries are looked up for each channel.
fn channels() -> Vec<&'static str> {
    ChannelKind::ALL.iter().map(|kind| kind.name()).collect()
}

/// Returns true if nothing of these runs, or of any run, is due.
fn are_idle(transaction: &Transaction<'_>, runs: Option<&[RunId]>, now: Timestamp) -> Result<bool> {
    let any_due = match runs {
        None => transaction.exists(
            // By the first of each index: the planner would read tables until it finds one that is
            // due, and often there is none.
            "SELECT 1 WHERE (SELECT min(due_at) FROM run) <= $1
                 OR EXISTS (SELECT 1 FROM unnest($2::text[]) AS kind WHERE (
                     SELECT min(due_at) FROM delivery WHERE channel = kind) <= $1)",
            params![now.0, channels()],
        ),
        Some(runs) => {
            let runs: Vec<i64> = runs.iter().map(|run| run.0).collect();
            transaction.exists(
                "SELECT 1 WHERE EXISTS (SELECT 1 FROM run WHERE id = ANY($2) AND due_at <= $1)
                     OR EXISTS (SELECT 1 FROM delivery WHERE run = ANY($2) AND due_at <= $1)",
                params![now.0, runs],
            )
        }
    }?;
    Ok(!any_due)
}

/// Returns the query for runs under a condition.
fn run_rows(condition: &str) -> String {
    format!(
        "SELECT run.id, run.workflow, coalesce(event.event_id, event.id::text), event.key,
                run.state, run.error, run.started_at, run.finished_at, {}, run.due_at,
                failure.step, failure.kind, failure.attempts
         FROM (SELECT * FROM run WHERE {condition}) AS run
         LEFT JOIN event ON event.id = run.event
         LEFT JOIN LATERAL (
             SELECT step, kind, attempts FROM retry_state
             WHERE retry_state.run = run.id AND run.state = 'running' AND run.attempt > 0
             ORDER BY failed_at DESC LIMIT 1) AS failure ON true
         ORDER BY run.id DESC",
        waiting_runs::WAITS_FOR
    )
}

fn list(
    transaction: &Transaction<'_>,
    state: Option<RunState>,
    before: Option<RunId>,
    limit: usize,
) -> Result<Vec<RunRow>> {
    // The state is part of the text, so that the index of unfinished runs can be used.
    let of_state = state.map_or(String::new(), |state| {
        format!("AND state = '{}'", <&str>::from(state))
    });
    let sql = run_rows(&format!("id < $1 {of_state} ORDER BY id DESC LIMIT $2"));
    let before = before.map_or(i64::MAX, |run| run.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = transaction.rows(&sql, params![before, limit])?;
    rows.iter().map(read_listed).collect()
}

fn find_run(transaction: &Transaction<'_>, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>> {
    let sql = run_rows("id = $1");
    let mut answers = transaction.pipeline(&[
        (&sql, params![id.0]),
        (
            "SELECT segment, steps FROM journal WHERE run = $1 ORDER BY segment",
            params![id.0],
        ),
    ])?;
    let journal = answers.pop().map_or(Vec::new(), |answer| answer.rows);
    let run = answers.pop().map_or(Vec::new(), |answer| answer.rows);
    let Some(row) = run.first() else {
        return Ok(None);
    };
    let mut run = read_listed(row)?;
    let mut steps = Vec::new();
    for row in &journal {
        match segment(id, row) {
            Ok(segment) => steps.extend(segment),
            Err(Error::Store(error @ StoreError::Damaged { .. })) => append_error(&mut run, &error),
            Err(error) => return Err(error),
        }
    }
    Ok(Some((run, steps)))
}

fn segment_at(
    transaction: &Transaction<'_>,
    run: RunId,
    segment: u32,
) -> Result<Option<Timestamp>> {
    let row = transaction.row(
        "SELECT committed_at FROM journal WHERE run = $1 AND segment = $2::bigint",
        params![run.0, i64::from(segment)],
    )?;
    row.map(|row| row.get(0).map(Timestamp)).transpose()
}

fn segment(run: RunId, row: &Row) -> Result<Vec<StepRecord>> {
    let (segment, text) = (row.count(0)?, row.get::<String>(1)?);
    serde_json::from_str(&text)
        .map_err(|error| unreadable(format!("segment {segment} of run {run}"), &error))
}

/// Adds an error to a run for a part that cannot be read.
fn append_error(run: &mut RunRow, error: &StoreError) {
    run.error = Some(match run.error.take() {
        Some(before) => format!("{before}; {error}"),
        None => error.to_string(),
    });
}

/// Reads a run for a listing. A run that cannot be read is shown with the reason and does not hide
/// the others.
fn read_listed(row: &Row) -> Result<RunRow> {
    let id = RunId(row.get(0)?);
    match run_row(id, row) {
        Err(Error::Store(error @ StoreError::Damaged { .. })) => Ok(RunRow {
            id,
            workflow: WorkflowVersionId(row.get(1)?),
            event: "?".to_owned(),
            key: "?".to_owned(),
            state: RunState::Failed,
            error: match row.get(5)? {
                Some(known) => Some(known),
                None => Some(error.to_string()),
            },
            started: Timestamp(row.get(6)?),
            finished: None,
            awaited: None,
            due: None,
            retry_state: None,
        }),
        other => other,
    }
}

fn run_row(id: RunId, row: &Row) -> Result<RunRow> {
    let state: String = row.get(4)?;
    let event: Option<String> = row.get(2)?;
    let due: Option<i64> = row.get(9)?;
    Ok(RunRow {
        id,
        workflow: WorkflowVersionId(row.get(1)?),
        event: event.ok_or_else(|| damaged(format!("run {id}"), "its event is missing"))?,
        key: row.get(3)?,
        state: read_name(|| format!("the state of run {id}"), &state)?,
        error: row.get(5)?,
        started: Timestamp(row.get(6)?),
        finished: row.get::<Option<i64>>(7)?.map(Timestamp),
        awaited: row.get(8)?,
        due: due.map(Timestamp).filter(|due| *due != DUE_NOW),
        retry_state: match row.get::<Option<String>>(10)? {
            Some(_) => Some(retry_states::read(id, row, 10)?),
            None => None,
        },
    })
}

impl RunStore for PostgresStore {
    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        excluded_workflows: &[WorkflowVersionId],
        excluded: &HashSet<RunId>,
    ) -> StoreResult<DueRuns> {
        let shares = self.runs_to_continue()?;
        let shares = shares.as_deref();
        Ok(self.read(|transaction| {
            due_runs::page(
                transaction,
                shares,
                now,
                limit,
                excluded_workflows,
                excluded,
            )
        })?)
    }

    fn fail_unreadable(&self, runs: &[(RunId, String)], now: Timestamp) -> StoreResult<()> {
        Ok(self.write(|transaction| {
            let mut runs = runs.iter();
            runs.try_for_each(|(run, why)| due_runs::fail_unreadable(transaction, *run, why, now))
        })?)
    }

    fn next_due(&self, now: Timestamp) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|transaction| next_due(transaction, now))?)
    }

    fn are_idle(&self, runs: Option<&[RunId]>, now: Timestamp) -> StoreResult<bool> {
        Ok(self.read(|transaction| are_idle(transaction, runs, now))?)
    }

    fn runs(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> StoreResult<Vec<RunRow>> {
        Ok(self.read(|transaction| list(transaction, state, before, limit))?)
    }

    fn run(&self, id: RunId) -> StoreResult<Option<(RunRow, Vec<StepRecord>)>> {
        Ok(self.read(|transaction| find_run(transaction, id))?)
    }

    fn segment_at(&self, run: RunId, segment: u32) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|transaction| segment_at(transaction, run, segment))?)
    }

    fn start_blocked_by(
        &self,
        event: &Event,
        rule: &StartRule,
        now: Timestamp,
    ) -> StoreResult<Option<&'static str>> {
        Ok(self.read(|transaction| start_rules::start_blocked_by(transaction, event, rule, now))?)
    }

    fn reply(&self, run: RunId, request: &str, reply: &str) -> StoreResult<bool> {
        Ok(self.write(|transaction| waiting_runs::reply(transaction, run, request, reply))?)
    }

    fn apply_run_action(
        &self,
        id: RunId,
        action: Action,
        clock: &dyn Clock,
    ) -> StoreResult<ActionResult> {
        Ok(self.write_pool(|transaction| {
            actions::apply_to_run(transaction, id, action, clock.now())
        })?)
    }

    fn trace_of_run(&self, run: RunId) -> StoreResult<Option<(EventRowId, Option<TraceParent>)>> {
        Ok(self.read(|transaction| traces::of_run(transaction, run))?)
    }

    fn event_params(&self, event_type: Option<&str>) -> StoreResult<BTreeSet<String>> {
        Ok(self.read(|transaction| event_params::names(transaction, event_type))?)
    }
}
