//! Operators' actions on runs and deliveries.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Result, alternatives, release};
use promoflow_model::clock::Timestamp;
use promoflow_store::{AT_ONCE, DeliveryId, Order, Ordered, RunId};

/// An action that released and cancelled nothing.
const DONE: Ordered = Ordered::Done {
    released: 0,
    called_off: 0,
};

pub(super) fn run(
    connection: &Connection,
    id: RunId,
    order: Order,
    now: Timestamp,
) -> Result<Ordered> {
    let state: Option<String> = connection
        .prepare_cached("SELECT state FROM run WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    let Some(state) = state else {
        return Ok(Ordered::Unknown);
    };
    match (order, state.as_str()) {
        (_, "completed") => Ok(Ordered::Refused("it is completed")),
        (_, "cancelled") => Ok(Ordered::Refused("it was cancelled")),
        (Order::Cancel, _) => release::cancel(connection, id, None, now),
        (Order::Retry, "waiting") => Ok(Ordered::Refused(
            "it has not failed; it is waiting and continues by itself",
        )),
        (Order::Retry, _) => retry(connection, id),
    }
}

/// Restarts a failed run. The failed segment is over, with its row in the journal; the next one
/// begins with the same step.
fn retry(connection: &Connection, id: RunId) -> Result<Ordered> {
    connection
        .prepare_cached(
            "UPDATE run SET due = ?2, finished = NULL,
                 attempt = CASE state WHEN 'failed' THEN 0 ELSE attempt END,
                 error = CASE state WHEN 'failed' THEN NULL ELSE error END,
                 state = 'running'
             WHERE id = ?1 AND state IN ('running', 'failed')",
        )?
        .execute(params![id.0, AT_ONCE.0])?;
    Ok(DONE)
}

pub(super) fn delivery(
    connection: &Connection,
    id: DeliveryId,
    order: Order,
    now: Timestamp,
) -> Result<Ordered> {
    let found = connection
        .prepare_cached(
            "SELECT state, expires,
                    EXISTS (SELECT 1 FROM attempt WHERE delivery = id AND outcome IS NOT 'refused'),
                    EXISTS (SELECT 1 FROM attempt WHERE delivery = id AND unclear)
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
    let Some((state, expires, unrefused, unclear)) = found else {
        return Ok(Ordered::Unknown);
    };
    match (order, state.as_str()) {
        (_, "delivered") => Ok(Ordered::Refused("it is delivered")),
        (_, "cancelled") => Ok(Ordered::Refused("it was cancelled")),
        (Order::Cancel, _) if unrefused => {
            Ok(Ordered::Refused("an attempt may already have delivered it"))
        }
        (Order::Cancel, _) => {
            connection
                .prepare_cached(
                    "UPDATE delivery SET state = 'cancelled', due = NULL WHERE id = ?1",
                )?
                .execute([id.0])?;
            Ok(Ordered::Done {
                released: 0,
                called_off: 1,
            })
        }
        (Order::Retry, _) if expires <= now.0 => Ok(Ordered::Refused(
            "the promo code that it carries has expired",
        )),
        (Order::Retry, "failed") => revive(connection, id, unclear),
        (Order::Retry, _) => {
            connection
                .prepare_cached("UPDATE delivery SET due = ?2, error = NULL WHERE id = ?1")?
                .execute(params![id.0, AT_ONCE.0])?;
            Ok(DONE)
        }
    }
}

/// Restarts a failed delivery: with its first alternative if no attempt can have arrived, otherwise
/// with the current one, so that the contact does not get it twice.
fn revive(connection: &Connection, id: DeliveryId, unclear: bool) -> Result<Ordered> {
    if unclear || !alternatives::lead(connection, id, 0, None)? {
        connection
            .prepare_cached(
                "UPDATE delivery SET state = 'pending', due = ?2, error = NULL,
                     attempts_before = attempts
                 WHERE id = ?1",
            )?
            .execute(params![id.0, AT_ONCE.0])?;
    }
    Ok(DONE)
}
