//! Retry states: the failed attempts of the steps of runs that are retried.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Result, read_name};
use promoflow_model::clock::Timestamp;
use promoflow_store::{RetryState, RunId};

pub(super) fn put(
    connection: &Connection,
    run: RunId,
    retry_state: &RetryState,
    at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO retry_state (run, step, kind, attempts, failed_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE
             SET attempts = excluded.attempts, failed_at = excluded.failed_at",
        )?
        .execute(params![
            run.0,
            retry_state.step,
            <&str>::from(retry_state.kind),
            retry_state.attempts,
            at.0
        ])?;
    Ok(())
}

/// Returns the retry states of a run's current segment.
pub(super) fn of(connection: &Connection, run: RunId) -> Result<Vec<RetryState>> {
    let mut statement =
        connection.prepare_cached("SELECT step, kind, attempts FROM retry_state WHERE run = ?1")?;
    let mut rows = statement.query([run.0])?;
    let mut retry_states = Vec::new();
    while let Some(row) = rows.next()? {
        retry_states.push(read(run, row)?);
    }
    Ok(retry_states)
}

/// Returns the latest retry state of a run.
pub(super) fn last(connection: &Connection, run: RunId) -> Result<Option<RetryState>> {
    let found = connection
        .prepare_cached(
            "SELECT step, kind, attempts FROM retry_state WHERE run = ?1
             ORDER BY failed_at DESC LIMIT 1",
        )?
        .query_row([run.0], |row| Ok(read(run, row)))
        .optional()?;
    found.transpose()
}

fn read(run: RunId, row: &Row<'_>) -> Result<RetryState> {
    let kind: String = row.get(1)?;
    Ok(RetryState {
        step: row.get(0)?,
        kind: read_name(|| format!("the kind of a failure of run {run}"), &kind)?,
        attempts: row.get(2)?,
    })
}

/// Deletes the retry states of a run whose segment is over.
pub(super) fn remove(connection: &Connection, run: RunId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM retry_state WHERE run = ?1")?
        .execute([run.0])?;
    Ok(())
}
