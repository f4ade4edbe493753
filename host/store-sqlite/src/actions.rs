//! Operators' actions on runs and deliveries.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Result, alternatives, deliveries, read_name, release};
use promoflow_model::clock::Timestamp;
use promoflow_store::rules::actions::{ActedChange, ActedDelivery, RunChange, on_delivery, on_run};
use promoflow_store::rules::alternatives::Alternatives;
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
    let state = read_name(|| format!("the state of run {id}"), &state)?;
    match on_run(action, state) {
        RunChange::Reject(why) => Ok(ActionResult::Rejected(why)),
        RunChange::Cancel => release::cancel(connection, id, None, now),
        RunChange::Restart => restart_run(connection, id),
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
                    alternative,
                    (SELECT count(*) FROM delivery_alternative WHERE delivery = id),
                    EXISTS (SELECT 1 FROM attempt WHERE delivery = id AND ambiguous)
             FROM delivery WHERE id = ?1",
        )?
        .query_row([id.0], |row| {
            let state: String = row.get(0)?;
            Ok((
                state,
                Timestamp(row.get(1)?),
                row.get(2)?,
                Alternatives {
                    current: row.get(3)?,
                    count: row.get(4)?,
                    any_ambiguous: row.get(5)?,
                },
            ))
        })
        .optional()?;
    let Some((state, expires, may_have_left, alternatives)) = found else {
        return Ok(ActionResult::Unknown);
    };
    let delivery = ActedDelivery {
        state: read_name(|| format!("the state of delivery {id}"), &state)?,
        expires,
        may_have_left,
        alternatives,
    };
    match on_delivery(action, &delivery, now) {
        ActedChange::Reject(why) => Ok(ActionResult::Rejected(why)),
        ActedChange::Cancel => {
            deliveries::cancel(connection, id, None)?;
            Ok(ActionResult::Done {
                released: 0,
                cancelled_deliveries: 1,
            })
        }
        ActedChange::Restart(alternative) => {
            if alternative == alternatives.current
                || !alternatives::switch_to(connection, id, alternative, None)?
            {
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
        ActedChange::Hasten => {
            connection
                .prepare_cached("UPDATE delivery SET due_at = ?2, error = NULL WHERE id = ?1")?
                .execute(params![id.0, DUE_NOW.0])?;
            Ok(DONE)
        }
    }
}
