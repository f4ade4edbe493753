//! The cancellation of runs, and the release of their codes.

use rusqlite::{Connection, params};

use super::code_usage::{self, Claim};
use super::{Result, deliveries, raise_setting, read_name, waiting_runs};
use promoflow_model::clock::Timestamp;
use promoflow_store::rules::runs::{UnsentCodes, after_unsent_message};
use promoflow_store::{ActionResult, RunId};

/// Cancels a run that has not ended, or has failed. `error` is the reason, unless an operator
/// cancelled it.
///
/// A code is released if no delivery that may carry it may have left the host, including those of
/// other runs that reuse it; these deliveries are cancelled. If nothing of the run may have left,
/// all its deliveries are cancelled. Other codes and deliveries stay unchanged.
pub(super) fn cancel(
    connection: &Connection,
    run: RunId,
    error: Option<&str>,
    now: Timestamp,
) -> Result<ActionResult> {
    connection
        .prepare_cached(
            "UPDATE run SET state = 'cancelled', due_at = NULL, finished_at = ?2,
                 error = coalesce(?3, error)
             WHERE id = ?1",
        )?
        .execute(params![run.0, now.0, error])?;
    waiting_runs::delete_wait(connection, run)?;
    let all = match may_have_left(connection, run)? {
        true => 0,
        false => cancel_unsent_deliveries(connection, run)?,
    };
    let (released, with_code) = release_codes(connection, run, now)?;
    Ok(ActionResult::Done {
        released,
        cancelled_deliveries: all + with_code,
    })
}

/// Handles a message of a run that was not sent because its contact cannot or must not be written
/// to: codes that no delivery of the run may carry are released, now or when the run completes.
pub(super) fn on_unsent_message(connection: &Connection, run: RunId, now: Timestamp) -> Result<()> {
    let state: String = connection
        .prepare_cached("SELECT state FROM run WHERE id = ?1")?
        .query_row([run.0], |row| row.get(0))?;
    match after_unsent_message(read_name(|| format!("the state of run {run}"), &state)?) {
        UnsentCodes::Release => {
            release_codes(connection, run, now)?;
        }
        UnsentCodes::Keep => {}
        UnsentCodes::ReleaseOnCompletion => {
            connection
                .prepare_cached("INSERT OR IGNORE INTO release_on_completion (run) VALUES (?1)")?
                .execute([run.0])?;
        }
    }
    Ok(())
}

/// Releases the codes that an earlier segment marked for release, when the run completes.
pub(super) fn release_on_completion(
    connection: &Connection,
    run: RunId,
    now: Timestamp,
) -> Result<()> {
    let deleted = connection
        .prepare_cached("DELETE FROM release_on_completion WHERE run = ?1")?
        .execute([run.0])?;
    if deleted > 0 {
        release_codes(connection, run, now)?;
    }
    Ok(())
}

/// Returns true if a message of the run may have left the host: an attempt began and did not end in
/// a permanent failure.
fn may_have_left(connection: &Connection, run: RunId) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM delivery JOIN attempt ON attempt.delivery = delivery.id
                 WHERE delivery.run = ?1 AND attempt.outcome IS NOT 'permanent')",
        )?
        .query_row([run.0], |row| row.get(0))?)
}

/// Cancels failed deliveries too, so that they cannot be retried.
fn cancel_unsent_deliveries(connection: &Connection, run: RunId) -> Result<u64> {
    let cancelled_deliveries = connection
        .prepare_cached(
            "UPDATE delivery SET state = 'cancelled', due_at = NULL
             WHERE run = ?1 AND state IN ('pending', 'failed')",
        )?
        .execute([run.0])?;
    Ok(cancelled_deliveries as u64)
}

/// Releases the codes of a run that has ended, each if it may be. Returns the number of released
/// codes and of cancelled deliveries.
fn release_codes(connection: &Connection, run: RunId, now: Timestamp) -> Result<(u64, u64)> {
    let (mut released, mut cancelled_deliveries) = (0, 0);
    for claim in code_usage::unreleased_claims(connection, run)? {
        let Some(deliveries) = code_usage::check_releasable(connection, &claim, run)? else {
            continue;
        };
        for delivery in deliveries {
            deliveries::cancel(connection, delivery, None)?;
            cancelled_deliveries += 1;
        }
        release_claim(connection, &claim, now)?;
        released += 1;
    }
    if released > 0 {
        raise_setting(connection, "pool-generation")?;
        waiting_runs::serve_waiting_runs(connection, now)?;
    }
    Ok((released, cancelled_deliveries))
}

fn release_claim(connection: &Connection, claim: &Claim, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO available_code (code_group, expires_at, code_id, code)
             SELECT code_group, expires_at, code_id, code FROM claim WHERE id = ?1",
        )?
        .execute([claim.id])?;
    connection
        .prepare_cached("DELETE FROM contact_code WHERE claim = ?1")?
        .execute([claim.id])?;
    connection
        .prepare_cached("INSERT INTO claim_release (claim, created_at) VALUES (?1, ?2)")?
        .execute(params![claim.id, now.0])?;
    Ok(())
}
