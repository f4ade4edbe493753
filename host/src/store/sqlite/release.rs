//! The end of a run before its last step, and what of its codes goes back to the pool.

use rusqlite::{Connection, params};

use super::{Result, raise_setting, waiters};
use crate::clock::Timestamp;
use crate::store::{Ordered, RunId};

/// Ends a run that has not ended, or has failed; `error` says why where that was no person.
///
/// Its codes go back if no delivery that may carry one of them may have left the host, nor may
/// one of another run that they served again; its deliveries are then called off for good.
/// Otherwise codes and deliveries stay as they are.
pub(super) fn cancel(
    connection: &Connection,
    run: RunId,
    error: Option<&str>,
    now: Timestamp,
) -> Result<Ordered> {
    connection
        .prepare_cached(
            "UPDATE run SET state = 'cancelled', due = NULL, finished = ?2,
                 error = coalesce(?3, error)
             WHERE id = ?1",
        )?
        .execute(params![run.0, now.0, error])?;
    waiters::remove(connection, run)?;
    let (mut released, mut called_off) = (0, 0);
    if !may_have_left(connection, run)? {
        called_off = call_off(connection, run)? + call_off_sharers(connection, run)?;
        released = release(connection, run, now)?;
    }
    Ok(Ordered::Done {
        released,
        called_off,
    })
}

/// Gives back the codes of a run that has completed without a message which could carry them: its
/// contact was not to be written to.
pub(super) fn unsent(connection: &Connection, run: RunId, now: Timestamp) -> Result<u64> {
    let over: bool = connection
        .prepare_cached(
            "SELECT state = 'completed' AND NOT EXISTS (
                 SELECT 1 FROM delivery WHERE run = ?1 AND state IN ('pending', 'delivered'))
             FROM run WHERE id = ?1",
        )?
        .query_row([run.0], |row| row.get(0))?;
    if !over || may_have_left(connection, run)? {
        return Ok(0);
    }
    call_off(connection, run)?;
    call_off_sharers(connection, run)?;
    release(connection, run, now)
}

/// Whether a message of the run may have left the host: an attempt began and did not end in
/// definite refusal.
fn may_have_left(connection: &Connection, run: RunId) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM delivery JOIN attempt ON attempt.delivery = delivery.id
                 WHERE delivery.run = ?1 AND attempt.outcome IS NOT 'refused')",
        )?
        .query_row([run.0], |row| row.get(0))?)
}

/// Those that were refused as well: nobody may try them again.
fn call_off(connection: &Connection, run: RunId) -> Result<u64> {
    let called_off = connection
        .prepare_cached(
            "UPDATE delivery SET state = 'cancelled', due = NULL
             WHERE run = ?1 AND state IN ('pending', 'failed')",
        )?
        .execute([run.0])?;
    Ok(called_off as u64)
}

/// The claims that may go back with a run: its own and those that served it again, if every other
/// run that may carry the code is cancelled and no message of any may have left.
macro_rules! loose {
    () => {
        "(SELECT id FROM claim
          WHERE (run = ?1 OR id IN (SELECT claim FROM reused WHERE run = ?1))
              AND id NOT IN (SELECT claim FROM release)
              AND NOT EXISTS (
                  SELECT 1 FROM run AS other
                  WHERE (other.id = claim.run
                         OR other.id IN (SELECT run FROM reused WHERE reused.claim = claim.id))
                      AND ((other.id <> ?1 AND other.state <> 'cancelled') OR EXISTS (
                          SELECT 1 FROM delivery JOIN attempt ON attempt.delivery = delivery.id
                          WHERE delivery.run = other.id AND attempt.outcome IS NOT 'refused'))))"
    };
}

/// Those of cancelled runs that carry a code which goes back with this run: they stayed while an
/// attempt was underway, which was refused since.
fn call_off_sharers(connection: &Connection, run: RunId) -> Result<u64> {
    let called_off = connection
        .prepare_cached(concat!(
            "UPDATE delivery SET state = 'cancelled', due = NULL
             WHERE state IN ('pending', 'failed') AND run IN (
                 SELECT run FROM claim WHERE id IN ",
            loose!(),
            " UNION SELECT run FROM reused WHERE claim IN ",
            loose!(),
            ")"
        ))?
        .execute([run.0])?;
    Ok(called_off as u64)
}

fn release(connection: &Connection, run: RunId, now: Timestamp) -> Result<u64> {
    let released = connection
        .prepare_cached(concat!(
            "INSERT INTO free (lane, expires, id, code)
             SELECT lane, expires, code_id, code FROM claim WHERE id IN ",
            loose!()
        ))?
        .execute([run.0])?;
    if released == 0 {
        return Ok(0);
    }
    connection
        .prepare_cached(concat!("DELETE FROM kept WHERE claim IN ", loose!()))?
        .execute([run.0])?;
    connection
        .prepare_cached(concat!(
            "INSERT INTO release (claim, at) SELECT id, ?2 FROM claim WHERE id IN ",
            loose!()
        ))?
        .execute(params![run.0, now.0])?;
    raise_setting(connection, "pool-generation")?;
    waiters::serve(connection, now)?;
    Ok(released as u64)
}
