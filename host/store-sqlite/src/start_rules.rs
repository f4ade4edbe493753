//! Start and stop conditions: the rules between the runs of a workflow for one event key.
//!
//! They are checked in the commit, where nothing else writes, so that racing senders see each
//! other's starts.

use rusqlite::{Connection, OptionalExtension, params};

use super::Result;
use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_store::rules::starts::{self, PastStarts};
use promoflow_store::{RunId, StartRule};

/// Returns why an event may not start a run now, or `None` if it may. Runs that the same event
/// stops do not count as active.
pub(super) fn start_blocked_by(
    connection: &Connection,
    event: &Event,
    rule: &StartRule,
    now: Timestamp,
) -> Result<Option<&'static str>> {
    let past = connection
        .prepare_cached(
            "SELECT count(*), max(run.started_at),
                    coalesce(max(run.state IN ('running', 'waiting')
                                 AND start_record.stop_event IS NOT ?3), 0)
             FROM start_record JOIN run ON run.id = start_record.run
             WHERE start_record.event_key = ?1 AND start_record.workflow = ?2",
        )?
        .query_row(params![event.key, rule.workflow, event.event_type], |row| {
            Ok(PastStarts {
                runs: row.get::<_, i64>(0)?.unsigned_abs(),
                last: row.get::<_, Option<i64>>(1)?.map(Timestamp),
                is_any_active: row.get(2)?,
            })
        })?;
    Ok(starts::blocked_by(rule, past, now))
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

/// Returns the active runs that an event stops, each by the workflow version that it started with.
///
/// Called for every event, so it reads one table by its key; SQLite would plan a join with `run`
/// again for each call.
pub(super) fn stopped_by(connection: &Connection, event: &Event) -> Result<Vec<RunId>> {
    let mut statement = connection
        .prepare_cached("SELECT run FROM start_record WHERE event_key = ?1 AND stop_event = ?2")?;
    let runs = statement
        .query_map(params![event.key, event.event_type], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut active = Vec::new();
    for run in runs {
        let mut statement = connection
            .prepare_cached("SELECT state IN ('running', 'waiting') FROM run WHERE id = ?1")?;
        let state: Option<bool> = statement.query_row([run], |row| row.get(0)).optional()?;
        if state == Some(true) {
            active.push(RunId(run));
        }
    }
    Ok(active)
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
