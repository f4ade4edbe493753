//! The launch history, and whether runs are idle.

use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Error, Result, SqliteStore, StoreError, StoreResult, actions, damaged, due_runs, event_params,
    read_name, retry_states, start_rules, traces, unreadable, waiting_runs,
};
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_model::message::ChannelKind;
use promoflow_model::trace_context::TraceParent;
use promoflow_store::{
    Action, ActionResult, DUE_NOW, DueRuns, EventRowId, RunId, RunRow, RunState, RunStore,
    StartRule, StepRecord, WorkflowVersionId,
};

/// Returns the time after `now` at which the next run or delivery is due.
pub(super) fn next_due(connection: &Connection, now: Timestamp) -> Result<Option<Timestamp>> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT min(due_at) FROM (
                 SELECT min(due_at) AS due_at FROM run WHERE due_at > ?1
                 UNION ALL SELECT (SELECT min(due_at) FROM delivery
                     WHERE channel = kind.value AND due_at > ?1) FROM json_each(?2) AS kind)",
        )?
        .query_row(params![now.0, channels()], |row| row.get(0))?;
    Ok(next.map(Timestamp))
}

/// Returns the names of all channels as a JSON list: due deliveries are looked up for each channel.
fn channels() -> &'static str {
    static NAMES: OnceLock<String> = OnceLock::new();
    NAMES.get_or_init(|| serde_json::json!(ChannelKind::ALL).to_string())
}

/// Returns true if nothing of these runs, or of any run, is due.
fn are_idle(connection: &Connection, runs: Option<&[RunId]>, now: Timestamp) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM run WHERE due_at <= ?1
         UNION ALL SELECT run FROM json_each(?2) AS kind CROSS JOIN delivery
             WHERE channel = kind.value AND due_at <= ?1",
    )?;
    let mut rows = statement.query(params![now.0, channels()])?;
    let mut wanted: Option<HashSet<i64>> = None;
    while let Some(row) = rows.next()? {
        let Some(runs) = runs else { return Ok(false) };
        let wanted = wanted.get_or_insert_with(|| runs.iter().map(|run| run.0).collect());
        let run: i64 = row.get(0)?;
        if wanted.contains(&run) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn run_rows() -> String {
    format!(
        "SELECT run.id, run.workflow, coalesce(event.event_id, event.id), event.key, run.state,
                run.error, run.started_at, run.finished_at, {}, run.due_at, run.attempt
         FROM run LEFT JOIN event ON event.id = run.event",
        waiting_runs::WAITS_FOR
    )
}

pub(super) fn list(
    store: &SqliteStore,
    state: Option<RunState>,
    before: Option<RunId>,
    limit: usize,
) -> Result<Vec<RunRow>> {
    store.read(|connection| {
        let sql = format!(
            "{} WHERE (?1 IS NULL OR run.state = ?1) AND run.id < ?3
             ORDER BY run.id DESC LIMIT ?2",
            run_rows()
        );
        let before = before.map_or(i64::MAX, |run| run.0);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![state.map(<&str>::from), limit, before])?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            runs.push(read_listed(connection, row)?);
        }
        Ok(runs)
    })
}

pub(super) fn find_run(
    store: &SqliteStore,
    id: RunId,
) -> Result<Option<(RunRow, Vec<StepRecord>)>> {
    store.read(|connection| {
        let sql = format!("{} WHERE run.id = ?1", run_rows());
        let found = connection
            .prepare_cached(&sql)?
            .query_row([id.0], |row| Ok(read_listed(connection, row)))
            .optional()?;
        let Some(mut run) = found.transpose()? else {
            return Ok(None);
        };
        let mut statement = connection
            .prepare_cached("SELECT segment, steps FROM journal WHERE run = ?1 ORDER BY segment")?;
        let mut rows = statement.query([id.0])?;
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            match segment(id, row) {
                Ok(segment) => steps.extend(segment),
                Err(error @ Error(StoreError::Damaged { .. })) => append_error(&mut run, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(Some((run, steps)))
    })
}

pub(super) fn segment_at(
    store: &SqliteStore,
    run: RunId,
    segment: u32,
) -> Result<Option<Timestamp>> {
    store.read(|connection| {
        let at = connection
            .prepare_cached("SELECT committed_at FROM journal WHERE run = ?1 AND segment = ?2")?
            .query_row([run.0, segment.into()], |row| row.get(0))
            .optional()?;
        Ok(at.map(Timestamp))
    })
}

fn segment(run: RunId, row: &Row<'_>) -> Result<Vec<StepRecord>> {
    let (segment, text): (i64, String) = (row.get(0)?, row.get(1)?);
    serde_json::from_str(&text)
        .map_err(|error| unreadable(format!("segment {segment} of run {run}"), &error))
}

/// Adds an error to a run for a part that cannot be read.
fn append_error(run: &mut RunRow, error: &Error) {
    run.error = Some(match run.error.take() {
        Some(before) => format!("{before}; {error}"),
        None => error.to_string(),
    });
}

/// Reads a run for a listing. A run that cannot be read is shown with the reason and does not hide
/// the others.
fn read_listed(connection: &Connection, row: &Row<'_>) -> Result<RunRow> {
    let id = RunId(row.get(0)?);
    match run_row(connection, id, row) {
        Err(error @ Error(StoreError::Damaged { .. })) => Ok(RunRow {
            id,
            workflow: WorkflowVersionId(row.get(1).unwrap_or(0)),
            event: "?".to_owned(),
            key: "?".to_owned(),
            state: RunState::Failed,
            error: match row.get(5) {
                Ok(Some(known)) => Some(known),
                _ => Some(error.to_string()),
            },
            started: Timestamp(row.get(6).unwrap_or(0)),
            finished: None,
            awaited: None,
            due: None,
            retry_state: None,
        }),
        other => other,
    }
}

fn run_row(connection: &Connection, id: RunId, row: &Row<'_>) -> Result<RunRow> {
    let state: String = row.get(4)?;
    let state = read_name(|| format!("the state of run {id}"), &state)?;
    let event = match row.get_ref(2)? {
        ValueRef::Integer(row) => row.to_string(),
        ValueRef::Null => return Err(damaged(format!("run {id}"), "its event is missing")),
        other => other
            .as_str()
            .map_err(|error| damaged("an event's id", error))?
            .to_owned(),
    };
    let due: Option<i64> = row.get(9)?;
    let attempts: u32 = row.get(10)?;
    Ok(RunRow {
        id,
        workflow: WorkflowVersionId(row.get(1)?),
        event,
        key: row.get(3)?,
        state,
        error: row.get(5)?,
        started: Timestamp(row.get(6)?),
        finished: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        awaited: row.get(8)?,
        due: due.map(Timestamp).filter(|due| *due != DUE_NOW),
        retry_state: match state {
            RunState::Running if attempts > 0 => retry_states::last(connection, id)?,
            _ => None,
        },
    })
}

impl RunStore for SqliteStore {
    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        excluded_workflows: &[WorkflowVersionId],
        excluded: &HashSet<RunId>,
    ) -> StoreResult<DueRuns> {
        Ok(self.read(|connection| {
            due_runs::page(connection, now, limit, excluded_workflows, excluded)
        })?)
    }

    fn fail_unreadable(&self, runs: &[(RunId, String)], now: Timestamp) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            let mut runs = runs.iter();
            runs.try_for_each(|(run, why)| due_runs::fail_unreadable(connection, *run, why, now))
        })?)
    }

    fn next_due(&self, now: Timestamp) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|connection| next_due(connection, now))?)
    }

    fn are_idle(&self, runs: Option<&[RunId]>, now: Timestamp) -> StoreResult<bool> {
        Ok(self.read(|connection| are_idle(connection, runs, now))?)
    }

    fn runs(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> StoreResult<Vec<RunRow>> {
        Ok(list(self, state, before, limit)?)
    }

    fn run(&self, id: RunId) -> StoreResult<Option<(RunRow, Vec<StepRecord>)>> {
        Ok(find_run(self, id)?)
    }

    fn segment_at(&self, run: RunId, segment: u32) -> StoreResult<Option<Timestamp>> {
        Ok(segment_at(self, run, segment)?)
    }

    fn start_blocked_by(
        &self,
        event: &Event,
        rule: &StartRule,
        now: Timestamp,
    ) -> StoreResult<Option<&'static str>> {
        Ok(self.read(|connection| start_rules::start_blocked_by(connection, event, rule, now))?)
    }

    fn reply(&self, run: RunId, request: &str, reply: &str) -> StoreResult<bool> {
        Ok(self.write(|connection, _| waiting_runs::reply(connection, run, request, reply))?)
    }

    fn apply_run_action(
        &self,
        id: RunId,
        action: Action,
        clock: &dyn Clock,
    ) -> StoreResult<ActionResult> {
        Ok(self.write_pool(|connection, _| {
            actions::apply_to_run(connection, id, action, clock.now())
        })?)
    }

    fn trace_of_run(&self, run: RunId) -> StoreResult<Option<(EventRowId, Option<TraceParent>)>> {
        Ok(self.read(|connection| traces::of_run(connection, run))?)
    }

    fn event_params(&self, event_type: Option<&str>) -> StoreResult<BTreeSet<String>> {
        Ok(self.read(|connection| event_params::names(connection, event_type))?)
    }
}
