//! Runs that may continue.

use promoflow_model::clock::Timestamp;
use promoflow_store::RunId;

use crate::connection::params;
use crate::errors::Result;
use crate::retry_states;
use crate::transaction::Transaction;

/// Fails a run that cannot be read.
pub(crate) fn fail_unreadable(
    transaction: &Transaction<'_>,
    run: RunId,
    why: &str,
    now: Timestamp,
) -> Result<()> {
    transaction.execute(
        "UPDATE run SET state = 'failed', due_at = NULL, error = $2, finished_at = $3
         WHERE id = $1 AND due_at IS NOT NULL",
        params![run.0, why, now.0],
    )?;
    retry_states::remove(transaction, run)
}
