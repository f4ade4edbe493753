//! Operators' actions on runs and deliveries. In exclusive transactions.

use promoflow_model::clock::Timestamp;
use promoflow_store::rules::actions::{ActedChange, ActedDelivery, RunChange, on_delivery, on_run};
use promoflow_store::{Action, ActionResult, DUE_NOW, DeliveryId, RunId};

use crate::connection::params;
use crate::errors::{Result, read_name};
use crate::transaction::Transaction;
use crate::{alternatives, deliveries, release};

/// An action that released and cancelled nothing.
const DONE: ActionResult = ActionResult::Done {
    released: 0,
    cancelled_deliveries: 0,
};

pub(crate) fn apply_to_run(
    transaction: &Transaction<'_>,
    id: RunId,
    action: Action,
    now: Timestamp,
) -> Result<ActionResult> {
    let row = transaction.row("SELECT state FROM run WHERE id = $1", params![id.0])?;
    let Some(row) = row else {
        return Ok(ActionResult::Unknown);
    };
    let state = read_name(|| format!("the state of run {id}"), &row.get::<String>(0)?)?;
    match on_run(action, state) {
        RunChange::Reject(why) => Ok(ActionResult::Rejected(why)),
        RunChange::Cancel => release::cancel(transaction, id, None, now),
        RunChange::Restart => restart_run(transaction, id),
    }
}

/// Restarts a failed run. The failed segment is over, with its row in the journal; the next one
/// begins with the same step.
fn restart_run(transaction: &Transaction<'_>, id: RunId) -> Result<ActionResult> {
    transaction.execute(
        "UPDATE run SET due_at = $2, finished_at = NULL,
             attempt = CASE state WHEN 'failed' THEN 0 ELSE attempt END,
             error = CASE state WHEN 'failed' THEN NULL ELSE error END,
             state = 'running'
         WHERE id = $1 AND state IN ('running', 'failed')",
        params![id.0, DUE_NOW.0],
    )?;
    Ok(DONE)
}

pub(crate) fn apply_to_delivery(
    transaction: &Transaction<'_>,
    id: DeliveryId,
    action: Action,
    now: Timestamp,
) -> Result<ActionResult> {
    let row = transaction.row(
        "SELECT state, expires_at,
                EXISTS (SELECT 1 FROM attempt
                        WHERE delivery = $1 AND outcome IS DISTINCT FROM 'permanent'),
                alternative,
                (SELECT count(*)::integer FROM delivery_alternative WHERE delivery = $1),
                (SELECT count(*)::integer FROM attempt WHERE delivery = $1 AND ambiguous = 1)
         FROM delivery WHERE id = $1",
        params![id.0],
    )?;
    let Some(row) = row else {
        return Ok(ActionResult::Unknown);
    };
    let delivery = ActedDelivery {
        state: read_name(
            || format!("the state of delivery {id}"),
            &row.get::<String>(0)?,
        )?,
        expires: Timestamp(row.get(1)?),
        may_have_left: row.get(2)?,
        alternatives: alternatives::read_alternatives(&row, 3)?,
    };
    match on_delivery(action, &delivery, now) {
        ActedChange::Reject(why) => Ok(ActionResult::Rejected(why)),
        ActedChange::Cancel => {
            deliveries::cancel(transaction, id, None)?;
            Ok(ActionResult::Done {
                released: 0,
                cancelled_deliveries: 1,
            })
        }
        ActedChange::Restart(alternative) => {
            if alternative == delivery.alternatives.current
                || !alternatives::switch_to(transaction, id, alternative, None)?
            {
                transaction.execute(
                    "UPDATE delivery SET state = 'pending', due_at = $2, error = NULL,
                         attempts_before = attempts
                     WHERE id = $1",
                    params![id.0, DUE_NOW.0],
                )?;
            }
            Ok(DONE)
        }
        ActedChange::Hasten => {
            transaction.execute(
                "UPDATE delivery SET due_at = $2, error = NULL WHERE id = $1",
                params![id.0, DUE_NOW.0],
            )?;
            Ok(DONE)
        }
    }
}
