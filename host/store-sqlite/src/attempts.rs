//! Attempts to deliver: committed when they begin and when they end.

use rusqlite::{Connection, OptionalExtension, params};

use super::deliveries::read_channel;
use super::{Result, alternatives, contacts, deliveries, release, throttles};
use promoflow_model::clock::Timestamp;
use promoflow_store::rules::alternatives::NextAlternative;
use promoflow_store::rules::attempts::{DeliveryChange, delivery_after};
use promoflow_store::{
    AttemptBatch, AttemptEnd, AttemptOutcome, CommitReply, DeliveryId, DeliveryState, RunId,
    ThrottledParty,
};

/// The error of a delivery whose promo code has expired.
const EXPIRED: &str = "the promo code that it carries has expired";

/// Commits a dispatcher's finished attempts, reschedulings and new attempts.
pub(super) fn commit(
    connection: &Connection,
    step: &AttemptBatch,
    now: Timestamp,
) -> Result<CommitReply> {
    for end in &step.ends {
        self::end(connection, end, now)?;
    }
    for &(delivery, until) in &step.rescheduled {
        reschedule(connection, delivery, until)?;
    }
    for (delivery, error) in &step.unreadable {
        fail_delivery(connection, *delivery, error)?;
    }
    for &(kind, until) in &step.throttles {
        throttles::put(connection, ThrottledParty::Channel(kind), until)?;
    }
    start(connection, &step.starts, now)
}

/// Fails a delivery whose row cannot be read.
fn fail_delivery(connection: &Connection, delivery: DeliveryId, error: &str) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE delivery SET state = 'failed', due_at = NULL, error = ?2
             WHERE id = ?1 AND state = 'pending'",
        )?
        .execute(params![delivery.0, error])?;
    Ok(())
}

/// Reschedules a delivery, at the latest to its expiry, so that it fails then and not later.
fn reschedule(connection: &Connection, delivery: DeliveryId, until: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE delivery SET due_at = min(?2, expires_at) WHERE id = ?1 AND state = 'pending'",
        )?
        .execute(params![delivery.0, until.0])?;
    Ok(())
}

/// Commits the start of attempts, for those deliveries that may still be attempted.
fn start(
    connection: &Connection,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Result<CommitReply> {
    let mut started = Vec::with_capacity(deliveries.len());
    let any_suppression = contacts::any_suppression(connection)?;
    for &delivery in deliveries {
        if any_suppression && skip_unsubscribed(connection, delivery, now)? {
            continue;
        }
        let expired = connection
            .prepare_cached(
                "UPDATE delivery SET state = 'failed', due_at = NULL, error = ?3
                 WHERE id = ?1 AND state = 'pending' AND expires_at <= ?2",
            )?
            .execute(params![delivery.0, now.0, EXPIRED])?;
        let attempt: Option<(u32, i64)> = connection
            .prepare_cached(
                "UPDATE delivery SET attempts = attempts + 1
                 WHERE id = ?1 AND state = 'pending' RETURNING attempts, alternative",
            )?
            .query_row([delivery.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((number, alternative)) = attempt.filter(|_| expired == 0) else {
            continue;
        };
        connection
            .prepare_cached(
                "INSERT INTO attempt (delivery, number, started_at, alternative)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![delivery.0, number, now.0, alternative])?;
        started.push((delivery, number));
    }
    Ok(CommitReply::Started(started))
}

/// Returns true if a delivery must not be attempted because its contact has unsubscribed since it
/// was staged. It then switches to its next alternative, or is cancelled, and the codes that no
/// other delivery of its run may carry are released.
fn skip_unsubscribed(connection: &Connection, id: DeliveryId, now: Timestamp) -> Result<bool> {
    let found = connection
        .prepare_cached(
            "SELECT run, channel, address FROM delivery WHERE id = ?1 AND state = 'pending'",
        )?
        .query_row([id.0], |row| {
            Ok((
                RunId(row.get(0)?),
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
            ))
        })
        .optional()?;
    let Some((run, channel, address)) = found else {
        return Ok(false);
    };
    let channel = read_channel(id, &channel)?;
    if !contacts::is_delivery_suppressed(connection, id, channel, &address)? {
        return Ok(false);
    }
    let why = format!("the contact has unsubscribed from {channel}");
    if let NextAlternative::Try(next) = alternatives::next(connection, id)? {
        alternatives::switch_to(connection, id, next, Some(&why))?;
        return Ok(true);
    }
    deliveries::cancel(connection, id, Some(&why))?;
    release::on_unsent_message(connection, run, now)?;
    Ok(true)
}

/// Commits the outcome of the present attempt of a delivery.
fn end(connection: &Connection, end: &AttemptEnd, now: Timestamp) -> Result<()> {
    if !record_end(connection, end, now)? {
        // Another executor has taken the delivery over, or the end is already stored.
        return Ok(());
    }
    let id = end.delivery;
    let next = match end.outcome {
        AttemptOutcome::PermanentFailure { .. } => alternatives::next(connection, id)?,
        _ => NextAlternative::None,
    };
    let change = delivery_after(&end.outcome, next);
    let (state, due, error) = match &change {
        DeliveryChange::Deliver => (DeliveryState::Delivered, None, None),
        DeliveryChange::Retry { due, error } => (DeliveryState::Pending, Some(due.0), Some(*error)),
        DeliveryChange::Fail { error } => (DeliveryState::Failed, None, Some(&**error)),
        DeliveryChange::Switch { to, error } => {
            alternatives::switch_to(connection, id, *to, Some(error))?;
            return Ok(());
        }
        DeliveryChange::Keep => return Ok(()),
    };
    connection
        .prepare_cached(
            "UPDATE delivery SET state = ?2, due_at = min(?3, expires_at), error = ?4
             WHERE id = ?1 AND state = 'pending'",
        )?
        .execute(params![id.0, <&str>::from(state), due, error])?;
    Ok(())
}

/// Records the end of an attempt, or undoes its start if it was not made. Returns false if it is not
/// the present attempt of its delivery, or has ended.
fn record_end(connection: &Connection, end: &AttemptEnd, now: Timestamp) -> Result<bool> {
    let (outcome, ambiguous) = match &end.outcome {
        AttemptOutcome::Delivered => ("delivered", false),
        AttemptOutcome::RetryableFailure { ambiguous, .. }
        | AttemptOutcome::RetriesExhausted { ambiguous, .. } => ("retryable", *ambiguous),
        AttemptOutcome::PermanentFailure { .. } => ("permanent", false),
        AttemptOutcome::Misconfigured { .. } | AttemptOutcome::NotStarted => {
            return undo_start(connection, end);
        }
    };
    let ended = connection
        .prepare_cached(
            "UPDATE attempt SET ended_at = ?3, outcome = ?4, error = ?5, ambiguous = ?6
             WHERE delivery = ?1 AND number = ?2 AND ended_at IS NULL
                 AND number = (SELECT attempts FROM delivery WHERE id = ?1)",
        )?
        .execute(params![
            end.delivery.0,
            end.attempt,
            now.0,
            outcome,
            end.outcome.error(),
            ambiguous
        ])?;
    Ok(ended == 1)
}

/// Undoes the start of an attempt in which nothing was sent. Returns false if it is not the present
/// attempt of its delivery.
fn undo_start(connection: &Connection, end: &AttemptEnd) -> Result<bool> {
    let id = end.delivery;
    let undone = connection
        .prepare_cached(
            "DELETE FROM attempt WHERE delivery = ?1 AND number = ?2 AND ended_at IS NULL
                 AND number = (SELECT attempts FROM delivery WHERE id = ?1)",
        )?
        .execute(params![id.0, end.attempt])?;
    if undone == 1 {
        connection
            .prepare_cached("UPDATE delivery SET attempts = attempts - 1 WHERE id = ?1")?
            .execute([id.0])?;
    }
    Ok(undone == 1)
}
