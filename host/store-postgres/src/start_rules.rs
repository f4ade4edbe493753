//! Start and stop conditions: the rules between the runs of a workflow for one event key.
//!
//! They are checked in an exclusive commit, where nothing else writes, so that racing senders see
//! each other's starts.

use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_store::rules::starts::{self, PastStarts, StartedRun};
use promoflow_store::{RunId, RunState, StartRule};

use crate::connection::params;
use crate::errors::Result;
use crate::transaction::Transaction;

/// Finds a row if any run was started under a rule.
pub(crate) const ANY_RULE: &str = "SELECT 1 FROM start_record LIMIT 1";

/// Returns why an event may not start a run now, or `None` if it may.
pub(crate) fn start_blocked_by(
    transaction: &Transaction<'_>,
    event: &Event,
    rule: &StartRule,
    now: Timestamp,
) -> Result<Option<&'static str>> {
    let rows = transaction.rows(
        "SELECT run.started_at, run.state, start_record.stop_event
         FROM start_record JOIN run ON run.id = start_record.run
         WHERE start_record.event_key = $1 AND start_record.workflow = $2",
        params![event.key, rule.workflow],
    )?;
    let mut past = PastStarts::default();
    for row in rows {
        let stop_event: Option<String> = row.get(2)?;
        let run = StartedRun {
            started: Timestamp(row.get(0)?),
            state: read_state(&row.get::<String>(1)?),
            stop_event: stop_event.as_deref(),
        };
        past.add(&run, &event.event_type);
    }
    Ok(starts::blocked_by(rule, past, now))
}

/// Reads the state of a run. A run whose state cannot be read counts as ended: it neither blocks
/// another one nor is stopped.
fn read_state(state: &str) -> RunState {
    state.parse().unwrap_or(RunState::Failed)
}

/// Records a started run.
pub(crate) fn record(
    transaction: &Transaction<'_>,
    key: &str,
    rule: &StartRule,
    run: RunId,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO start_record (event_key, workflow, run, stop_event) VALUES ($1, $2, $3, $4)",
        params![key, rule.workflow, run.0, rule.stop_event],
    )?;
    Ok(())
}

/// Returns the runs that an event stops, each by the workflow version that it started with.
pub(crate) fn stopped_by(transaction: &Transaction<'_>, event: &Event) -> Result<Vec<RunId>> {
    let rows = transaction.rows(
        "SELECT run.id, run.started_at, run.state
         FROM start_record JOIN run ON run.id = start_record.run
         WHERE start_record.event_key = $1 AND start_record.stop_event = $2
         ORDER BY start_record.workflow, run.id",
        params![event.key, event.event_type],
    )?;
    let mut stopped = Vec::new();
    for row in rows {
        let run = StartedRun {
            started: Timestamp(row.get(1)?),
            state: read_state(&row.get::<String>(2)?),
            stop_event: Some(&event.event_type),
        };
        if run.is_stopped_by(&event.event_type) {
            stopped.push(RunId(row.get(0)?));
        }
    }
    Ok(stopped)
}

/// Records the runs that a workflow started before it had a rule.
pub(crate) fn backfill(transaction: &Transaction<'_>, workflow: &str) -> Result<()> {
    transaction.execute(
        "INSERT INTO start_record (event_key, workflow, run, stop_event)
         SELECT event.key, workflow.id, run.id, NULL
         FROM workflow JOIN run ON run.workflow = workflow.row JOIN event ON event.id = run.event
         WHERE workflow.id = $1
         ON CONFLICT DO NOTHING",
        params![workflow],
    )?;
    Ok(())
}
