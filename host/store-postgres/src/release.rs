//! The cancellation of runs, and the release of their codes. In exclusive transactions.

use promoflow_model::clock::Timestamp;
use promoflow_store::rules::runs::{UnsentCodes, after_unsent_message};
use promoflow_store::{ActionResult, RunId};

use crate::code_usage::{self, Claim};
use crate::connection::params;
use crate::errors::{Result, damaged, read_name};
use crate::settings::raise_setting;
use crate::transaction::Transaction;
use crate::{deliveries, waiting_runs};

/// Cancels a run that has not ended, or has failed. `error` is the reason, unless an operator
/// cancelled it.
///
/// A code is released if no delivery that may carry it may have left the host, including those of
/// other runs that reuse it; these deliveries are cancelled. If nothing of the run may have left,
/// all its deliveries are cancelled. Other codes and deliveries stay unchanged.
pub(crate) fn cancel(
    transaction: &Transaction<'_>,
    run: RunId,
    error: Option<&str>,
    now: Timestamp,
) -> Result<ActionResult> {
    transaction.execute(
        "UPDATE run SET state = 'cancelled', due_at = NULL, finished_at = $2,
             error = coalesce($3, error)
         WHERE id = $1",
        params![run.0, now.0, error],
    )?;
    waiting_runs::delete_wait(transaction, run)?;
    let all = match may_have_left(transaction, run)? {
        true => 0,
        false => cancel_unsent_deliveries(transaction, run)?,
    };
    let (released, with_code) = release_codes(transaction, run, now)?;
    Ok(ActionResult::Done {
        released,
        cancelled_deliveries: all + with_code,
    })
}

/// Handles a message of a run that was not sent because its contact cannot or must not be written
/// to: codes that no delivery of the run may carry are released, now or when the run completes.
pub(crate) fn on_unsent_message(
    transaction: &Transaction<'_>,
    run: RunId,
    now: Timestamp,
) -> Result<()> {
    let row = transaction.row("SELECT state FROM run WHERE id = $1", params![run.0])?;
    let row = row.ok_or_else(|| damaged(format!("run {run}"), "the row is missing"))?;
    let state: String = row.get(0)?;
    match after_unsent_message(read_name(|| format!("the state of run {run}"), &state)?) {
        UnsentCodes::Release => {
            release_codes(transaction, run, now)?;
        }
        UnsentCodes::Keep => {}
        UnsentCodes::ReleaseOnCompletion => {
            transaction.execute(
                "INSERT INTO release_on_completion (run) VALUES ($1) ON CONFLICT DO NOTHING",
                params![run.0],
            )?;
        }
    }
    Ok(())
}

/// Releases the codes that an earlier segment marked for release, when the run completes.
pub(crate) fn release_on_completion(
    transaction: &Transaction<'_>,
    run: RunId,
    now: Timestamp,
) -> Result<()> {
    let deleted = transaction.execute(
        "DELETE FROM release_on_completion WHERE run = $1",
        params![run.0],
    )?;
    if deleted > 0 {
        release_codes(transaction, run, now)?;
    }
    Ok(())
}

/// Returns true if a message of the run may have left the host: an attempt began and did not end in
/// a permanent failure.
fn may_have_left(transaction: &Transaction<'_>, run: RunId) -> Result<bool> {
    transaction.exists(
        "SELECT 1 FROM delivery JOIN attempt ON attempt.delivery = delivery.id
         WHERE delivery.run = $1 AND attempt.outcome IS DISTINCT FROM 'permanent' LIMIT 1",
        params![run.0],
    )
}

/// Cancels failed deliveries too, so that they cannot be retried.
fn cancel_unsent_deliveries(transaction: &Transaction<'_>, run: RunId) -> Result<u64> {
    transaction.execute(
        "UPDATE delivery SET state = 'cancelled', due_at = NULL
         WHERE run = $1 AND state IN ('pending', 'failed')",
        params![run.0],
    )
}

/// Releases the codes of a run that has ended, each if it may be. Returns the number of released
/// codes and of cancelled deliveries.
fn release_codes(transaction: &Transaction<'_>, run: RunId, now: Timestamp) -> Result<(u64, u64)> {
    let (mut released, mut cancelled_deliveries) = (0, 0);
    for claim in code_usage::unreleased_claims(transaction, run)? {
        let Some(deliveries) = code_usage::check_releasable(transaction, &claim, run)? else {
            continue;
        };
        for delivery in deliveries {
            deliveries::cancel(transaction, delivery, None)?;
            cancelled_deliveries += 1;
        }
        release_claim(transaction, &claim, now)?;
        released += 1;
    }
    if released > 0 {
        raise_setting(transaction, "pool-generation")?;
        waiting_runs::serve_waiting_runs(transaction, now)?;
    }
    Ok((released, cancelled_deliveries))
}

fn release_claim(transaction: &Transaction<'_>, claim: &Claim, now: Timestamp) -> Result<()> {
    transaction.pipeline(&[
        (
            "INSERT INTO available_code (code_group, expires_at, code_id, code)
             SELECT code_group, expires_at, code_id, code FROM claim WHERE id = $1",
            params![claim.id],
        ),
        (
            "DELETE FROM contact_code WHERE claim = $1",
            params![claim.id],
        ),
        (
            "INSERT INTO claim_release (claim, created_at) VALUES ($1, $2)",
            params![claim.id, now.0],
        ),
    ])?;
    Ok(())
}
