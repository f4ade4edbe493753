//! Retry states: the failed attempts of the steps of runs that are retried.

use promoflow_model::clock::Timestamp;
use promoflow_store::{RetryState, RunId};

use crate::connection::{Row, integer, params};
use crate::errors::{Result, read_name};
use crate::transaction::Transaction;

pub(crate) fn put(
    transaction: &Transaction<'_>,
    run: RunId,
    retry_state: &RetryState,
    at: Timestamp,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO retry_state (run, step, kind, attempts, failed_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (run, step, kind) DO UPDATE
         SET attempts = excluded.attempts, failed_at = excluded.failed_at",
        params![
            run.0,
            retry_state.step,
            <&str>::from(retry_state.kind),
            integer(retry_state.attempts),
            at.0
        ],
    )?;
    Ok(())
}

/// Returns the retry states of a run's current segment.
pub(crate) fn of(transaction: &Transaction<'_>, run: RunId) -> Result<Vec<RetryState>> {
    let rows = transaction.rows(
        "SELECT step, kind, attempts FROM retry_state WHERE run = $1 ORDER BY step, kind",
        params![run.0],
    )?;
    rows.iter().map(|row| read(run, row)).collect()
}

/// Returns the latest retry state of a run.
pub(crate) fn last(transaction: &Transaction<'_>, run: RunId) -> Result<Option<RetryState>> {
    let row = transaction.row(
        "SELECT step, kind, attempts FROM retry_state WHERE run = $1
         ORDER BY failed_at DESC LIMIT 1",
        params![run.0],
    )?;
    row.map(|row| read(run, &row)).transpose()
}

fn read(run: RunId, row: &Row) -> Result<RetryState> {
    let kind: String = row.get(1)?;
    Ok(RetryState {
        step: row.get(0)?,
        kind: read_name(|| format!("the kind of a failure of run {run}"), &kind)?,
        attempts: row.count(2)?,
    })
}

/// Deletes the retry states of a run whose segment is over.
pub(crate) fn remove(transaction: &Transaction<'_>, run: RunId) -> Result<()> {
    transaction.execute("DELETE FROM retry_state WHERE run = $1", params![run.0])?;
    Ok(())
}
