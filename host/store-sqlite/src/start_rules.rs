//! Start and stop conditions: the rules between the runs of a workflow for one event key.
//!
//! They are checked in the commit, where nothing else writes, so that racing senders see each
//! other's starts.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::Result;
use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_store::rules::starts::{self, PastStarts, StartedRun};
use promoflow_store::{RunId, RunState, StartRule};

/// Returns why an event may not start a run now, or `None` if it may.
pub(super) fn start_blocked_by(
    connection: &Connection,
    event: &Event,
    rule: &StartRule,
    now: Timestamp,
) -> Result<Option<&'static str>> {
    let mut statement = connection.prepare_cached(
        "SELECT run.started_at, run.state, start_record.stop_event
         FROM start_record JOIN run ON run.id = start_record.run
         WHERE start_record.event_key = ?1 AND start_record.workflow = ?2",
    )?;
    let mut rows = statement.query(params![event.key, rule.workflow])?;
    let mut past = PastStarts::default();
    while let Some(row) = rows.next()? {
        let run = StartedRun {
            started: Timestamp(row.get(0)?),
            state: read_state(row.get_ref(1)?),
            stop_event: row.get_ref(2)?.as_str_or_null().unwrap_or_default(),
        };
        past.add(&run, &event.event_type);
    }
    Ok(starts::blocked_by(rule, past, now))
}

/// Reads the state of a run. A run whose state cannot be read counts as ended: it neither blocks
/// another one nor is stopped.
fn read_state(state: ValueRef<'_>) -> RunState {
    let state = state.as_str().ok().and_then(|state| state.parse().ok());
    state.unwrap_or(RunState::Failed)
}

/// Returns true if any run was started under a rule.
pub(super) fn any_rule(connection: &Connection) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM start_record)")?
        .query_row([], |row| row.get(0))?)
}

/// Records a started run.
pub(super) fn record(
    connection: &Connection,
    key: &str,
    rule: &StartRule,
    run: RunId,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO start_record (event_key, workflow, run, stop_event)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![key, rule.workflow, run.0, rule.stop_event])?;
    Ok(())
}

/// Returns the runs that an event stops, each by the workflow version that it started with.
///
/// Called for every event, so it reads one table by its key; SQLite would plan a join with `run`
/// again for each call.
pub(super) fn stopped_by(connection: &Connection, event: &Event) -> Result<Vec<RunId>> {
    let mut statement = connection
        .prepare_cached("SELECT run FROM start_record WHERE event_key = ?1 AND stop_event = ?2")?;
    let runs = statement
        .query_map(params![event.key, event.event_type], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut stopped = Vec::new();
    for run in runs {
        let mut statement =
            connection.prepare_cached("SELECT started_at, state FROM run WHERE id = ?1")?;
        let mut rows = statement.query([run])?;
        let Some(row) = rows.next()? else { continue };
        let started = StartedRun {
            started: Timestamp(row.get(0)?),
            state: read_state(row.get_ref(1)?),
            stop_event: Some(&event.event_type),
        };
        if started.is_stopped_by(&event.event_type) {
            stopped.push(RunId(run));
        }
    }
    Ok(stopped)
}

/// Records the runs that a workflow started before it had a rule.
pub(super) fn backfill(connection: &Connection, workflow: &str) -> Result<()> {
    connection.execute(
        "INSERT OR IGNORE INTO start_record (event_key, workflow, run, stop_event)
         SELECT event.key, workflow.id, run.id, NULL
         FROM workflow JOIN run ON run.workflow = workflow.row JOIN event ON event.id = run.event
         WHERE workflow.id = ?1",
        [workflow],
    )?;
    Ok(())
}
