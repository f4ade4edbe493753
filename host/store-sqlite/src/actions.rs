//! Operators' actions on runs and deliveries.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Result, alternatives, deliveries, release};
use promoflow_model::clock::Timestamp;
use promoflow_store::{Action, ActionResult, DUE_NOW, DeliveryId, RunId};

/// An action that released and cancelled nothing.
const DONE: ActionResult = ActionResult::Done {
    released: 0,
    cancelled_deliveries: 0,
};

pub(super) fn apply_to_run(
    connection: &Connection,
    id: RunId,
    action: Action,
    now: Timestamp,
) -> Result<ActionResult> {
    let state: Option<String> = connection
        .prepare_cached("SELECT state FROM run WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    let Some(state) = state else {
        return Ok(ActionResult::Unknown);
    };
    match (action, state.as_str()) {
        (_, "completed") => Ok(ActionResult::Rejected("it is completed")),
        (_, "cancelled") => Ok(ActionResult::Rejected("it was cancelled")),
        (Action::Cancel, _) => release::cancel(connection, id, None, now),
        (Action::Retry, "waiting") => Ok(ActionResult::Rejected(
            "it has not failed; it is waiting and continues by itself",
        )),
        (Action::Retry, _) => restart_run(connection, id),
    }
}

/// Restarts a failed run. The failed segment is over, with its row in the journal; the next one
/// begins with the same step.
fn restart_run(connection: &Connection, id: RunId) -> Result<ActionResult> {
    connection
        .prepare_cached(
            "UPDATE run SET due_at = ?2, finished_at = NULL,
                 attempt = CASE state WHEN 'failed' THEN 0 ELSE attempt END,
                 error = CASE state WHEN 'failed' THEN NULL ELSE error END,
                 state = 'running'
             WHERE id = ?1 AND state IN ('running', 'failed')",
        )?
        .execute(params![id.0, DUE_NOW.0])?;
    Ok(DONE)
}

pub(super) fn apply_to_delivery(
    connection: &Connection,
    id: DeliveryId,
    action: Action,
    now: Timestamp,
) -> Result<ActionResult> {
    let found = connection
        .prepare_cached(
            "SELECT state, expires_at,
                    EXISTS (SELECT 1 FROM attempt
                            WHERE delivery = id AND outcome IS NOT 'permanent'),
                    EXISTS (SELECT 1 FROM attempt WHERE delivery = id AND ambiguous)
             FROM delivery WHERE id = ?1",
        )?
        .query_row([id.0], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, bool>(2)?,
                row.get::<_, bool>(3)?,
            ))
        })
        .optional()?;
    let Some((state, expires, may_have_left, ambiguous)) = found else {
        return Ok(ActionResult::Unknown);
    };
    match (action, state.as_str()) {
        (_, "delivered") => Ok(ActionResult::Rejected("it is delivered")),
        (_, "cancelled") => Ok(ActionResult::Rejected("it was cancelled")),
        (Action::Cancel, _) if may_have_left => Ok(ActionResult::Rejected(
            "an attempt may already have delivered it",
        )),
        (Action::Cancel, _) => {
            deliveries::cancel(connection, id, None)?;
            Ok(ActionResult::Done {
                released: 0,
                cancelled_deliveries: 1,
            })
        }
        (Action::Retry, _) if expires <= now.0 => Ok(ActionResult::Rejected(
            "the promo code that it carries has expired",
        )),
        (Action::Retry, "failed") => restart_delivery(connection, id, ambiguous),
        (Action::Retry, _) => {
            connection
                .prepare_cached("UPDATE delivery SET due_at = ?2, error = NULL WHERE id = ?1")?
                .execute(params![id.0, DUE_NOW.0])?;
            Ok(DONE)
        }
    }
}

/// Restarts a failed delivery: with its first alternative if no attempt can have arrived, otherwise
/// with the current one, so that the contact does not get it twice.
fn restart_delivery(
    connection: &Connection,
    id: DeliveryId,
    ambiguous: bool,
) -> Result<ActionResult> {
    if ambiguous || !alternatives::switch_to(connection, id, 0, None)? {
        connection
            .prepare_cached(
                "UPDATE delivery SET state = 'pending', due_at = ?2, error = NULL,
                     attempts_before = attempts
                 WHERE id = ?1",
            )?
            .execute(params![id.0, DUE_NOW.0])?;
    }
    Ok(DONE)
}
