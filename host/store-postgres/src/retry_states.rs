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

/// Returns the retry states of the current segments of these runs.
pub(crate) const OF_RUNS: &str = "SELECT run, step, kind, attempts FROM retry_state WHERE run = ANY($1) ORDER BY run, step, kind";

/// Reads a retry state, its step from this column and the others from the next ones.
pub(crate) fn read(run: RunId, row: &Row, column: usize) -> Result<RetryState> {
    let kind: String = row.get(column + 1)?;
    Ok(RetryState {
        step: row.get(column)?,
        kind: read_name(|| format!("the kind of a failure of run {run}"), &kind)?,
        attempts: row.count(column + 2)?,
    })
}

/// Deletes the retry states of a run whose segment is over.
pub(crate) fn remove(transaction: &Transaction<'_>, run: RunId) -> Result<()> {
    transaction.execute("DELETE FROM retry_state WHERE run = $1", params![run.0])?;
    Ok(())
}
