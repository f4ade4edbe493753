//! Runs: what may go on, and the launch history.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value};

use super::{Result, SqliteStore, damaged, troubles, unreadable, waiters};
use crate::clock::Timestamp;
use crate::message::ChannelKind;
use crate::store::{ConfigId, DueRun, RunId, RunRow, RunState, StepRecord, WorkflowRow};

pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
    but: &dyn Fn(RunId) -> bool,
) -> Result<Vec<DueRun>> {
    let mut statement = connection.prepare_cached(
        "SELECT run.id, run.workflow, run.config, run.segment, run.step, run.attempt,
                coalesce(run.data, event.params), event.key
         FROM run JOIN event ON event.id = run.event
         WHERE run.due <= ?1 ORDER BY run.due, run.id",
    )?;
    let mut rows = statement.query([now.0])?;
    let mut due = Vec::new();
    while due.len() < limit {
        let Some(row) = rows.next()? else { break };
        let id = RunId(row.get(0)?);
        if but(id) {
            continue;
        }
        let attempt = row.get(5)?;
        let data: String = row.get(6)?;
        let data: Map<String, Value> = serde_json::from_str(&data)
            .map_err(|error| unreadable(format!("the values of run {id}"), &error))?;
        let Behind { visits, set } = behind(connection, id)?;
        due.push(DueRun {
            id,
            workflow: WorkflowRow(row.get(1)?),
            config: ConfigId(row.get(2)?),
            segment: row.get(3)?,
            step: row.get(4)?,
            attempt,
            troubles: match attempt {
                0 => Vec::new(),
                _ => troubles::of(connection, id)?,
            },
            data,
            set,
            key: row.get(7)?,
            visits,
            resumed: waiters::resumed(connection, id)?,
        });
    }
    Ok(due)
}

/// What is behind a run.
#[derive(Default)]
struct Behind {
    /// How often it has left each of its steps; a step that waits is still being visited.
    visits: HashMap<String, u32>,
    /// The names of the values that they set.
    set: BTreeSet<String>,
}

fn behind(connection: &Connection, run: RunId) -> Result<Behind> {
    let mut behind = Behind::default();
    let mut statement = connection
        .prepare_cached("SELECT steps FROM journal WHERE run = ?1 AND outcome <> 'failed'")?;
    let mut rows = statement.query([run.0])?;
    while let Some(row) = rows.next()? {
        let steps: String = row.get(0)?;
        let steps: Vec<StepRecord> = serde_json::from_str(&steps)
            .map_err(|error| unreadable(format!("the steps of run {run}"), &error))?;
        for step in steps {
            behind
                .set
                .extend(step.data.into_iter().map(|(name, _)| name));
            if step.port.is_some() {
                *behind.visits.entry(step.step).or_default() += 1;
            }
        }
    }
    Ok(behind)
}

/// When the next run or delivery is due after `now`.
pub(super) fn next_due(connection: &Connection, now: Timestamp) -> Result<Option<Timestamp>> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT min(due) FROM (
                 SELECT min(due) AS due FROM run WHERE due > ?1
                 UNION ALL SELECT (SELECT min(due) FROM delivery
                     WHERE channel = kind.value AND due > ?1) FROM json_each(?2) AS kind)",
        )?
        .query_row(params![now.0, channels()], |row| row.get(0))?;
    Ok(next.map(Timestamp))
}

/// The names of all channels, as a JSON list: what is due is looked up for each.
fn channels() -> &'static str {
    static NAMES: OnceLock<String> = OnceLock::new();
    NAMES.get_or_init(|| serde_json::json!(ChannelKind::ALL).to_string())
}

pub(super) fn rested(
    connection: &Connection,
    first: RunId,
    last: RunId,
    now: Timestamp,
) -> Result<bool> {
    // `+` keeps the planner on the small indexes of what is due.
    let unrested: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM run WHERE due <= ?3 AND +id BETWEEN ?1 AND ?2)
                 OR EXISTS (SELECT 1 FROM json_each(?4) AS kind CROSS JOIN delivery
                     WHERE channel = kind.value AND due <= ?3 AND +run BETWEEN ?1 AND ?2)",
        )?
        .query_row(params![first.0, last.0, now.0, channels()], |row| {
            row.get(0)
        })?;
    Ok(!unrested)
}

fn run_rows() -> String {
    format!(
        "SELECT run.id, run.workflow, coalesce(event.event_id, event.id), event.key, run.state,
                run.error, run.started, run.finished, {}
         FROM run JOIN event ON event.id = run.event",
        waiters::WAITS_FOR
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
        let mut rows = statement.query(params![state.map(state_text), limit, before])?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            runs.push(run_row(row)?);
        }
        Ok(runs)
    })
}

pub(super) fn one(store: &SqliteStore, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>> {
    store.read(|connection| {
        let sql = format!("{} WHERE run.id = ?1", run_rows());
        let found = connection
            .prepare_cached(&sql)?
            .query_row([id.0], |row| Ok(run_row(row)))
            .optional()?;
        let Some(run) = found.transpose()? else {
            return Ok(None);
        };
        let mut statement = connection
            .prepare_cached("SELECT segment, steps FROM journal WHERE run = ?1 ORDER BY segment")?;
        let mut rows = statement.query([id.0])?;
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            let (segment, text): (i64, String) = (row.get(0)?, row.get(1)?);
            let segment: Vec<StepRecord> = serde_json::from_str(&text)
                .map_err(|error| unreadable(format!("segment {segment} of run {id}"), &error))?;
            steps.extend(segment);
        }
        Ok(Some((run, steps)))
    })
}

fn run_row(row: &Row<'_>) -> Result<RunRow> {
    let id = RunId(row.get(0)?);
    let state: String = row.get(4)?;
    let event = match row.get_ref(2)? {
        rusqlite::types::ValueRef::Integer(row) => row.to_string(),
        other => other
            .as_str()
            .map_err(|error| damaged("an event's id", error))?
            .to_owned(),
    };
    Ok(RunRow {
        id,
        workflow: WorkflowRow(row.get(1)?),
        event,
        key: row.get(3)?,
        state: read_state(&state)
            .ok_or_else(|| damaged(format!("the state of run {id}"), format!("`{state}`")))?,
        error: row.get(5)?,
        started: Timestamp(row.get(6)?),
        finished: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        waits_for: row.get(8)?,
    })
}

fn state_text(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Waiting => "waiting",
        RunState::Completed => "completed",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
    }
}

fn read_state(text: &str) -> Option<RunState> {
    [
        RunState::Running,
        RunState::Waiting,
        RunState::Completed,
        RunState::Failed,
        RunState::Cancelled,
    ]
    .into_iter()
    .find(|state| state_text(*state) == text)
}
