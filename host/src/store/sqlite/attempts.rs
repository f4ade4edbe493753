//! Attempts to deliver: each is committed as it begins, and as it ends.

use rusqlite::{Connection, OptionalExtension, params};

use super::Result;
use crate::clock::Timestamp;
use crate::store::{AttemptEnd, AttemptOutcome, DeliveryId, Reply};

/// Commits that attempts begin, of those deliveries that may still be tried.
pub(super) fn start(
    connection: &Connection,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Result<Reply> {
    let mut started = Vec::with_capacity(deliveries.len());
    for &delivery in deliveries {
        let expired = connection
            .prepare_cached(
                "UPDATE delivery SET state = 'failed', due = NULL,
                     error = 'the promo code that it carries has expired'
                 WHERE id = ?1 AND state = 'pending' AND expires <= ?2",
            )?
            .execute(params![delivery.0, now.0])?;
        let number: Option<i64> = connection
            .prepare_cached(
                "UPDATE delivery SET attempts = attempts + 1
                 WHERE id = ?1 AND state = 'pending' RETURNING attempts",
            )?
            .query_row([delivery.0], |row| row.get(0))
            .optional()?;
        let Some(number) = number.filter(|_| expired == 0) else {
            continue;
        };
        connection
            .prepare_cached("INSERT INTO attempt (delivery, number, started) VALUES (?1, ?2, ?3)")?
            .execute(params![delivery.0, number, now.0])?;
        started.push(delivery);
    }
    Ok(Reply::Started(started))
}

/// Commits what came of attempts.
pub(super) fn end(connection: &Connection, ends: &[AttemptEnd], now: Timestamp) -> Result<Reply> {
    for end in ends {
        let (outcome, state, due, error) = match &end.outcome {
            AttemptOutcome::Delivered => ("delivered", "delivered", None, None),
            AttemptOutcome::Later { error, due } => ("later", "pending", Some(due.0), Some(error)),
            AttemptOutcome::Refused { error } => ("refused", "failed", None, Some(error)),
        };
        connection
            .prepare_cached(
                "UPDATE attempt SET ended = ?2, outcome = ?3, error = ?4
                 WHERE delivery = ?1
                     AND number = (SELECT attempts FROM delivery WHERE id = ?1)",
            )?
            .execute(params![end.delivery.0, now.0, outcome, error])?;
        connection
            .prepare_cached(
                "UPDATE delivery SET state = ?2, due = ?3, error = ?4
                 WHERE id = ?1 AND state = 'pending'",
            )?
            .execute(params![end.delivery.0, state, due, error])?;
    }
    Ok(Reply::Done)
}
