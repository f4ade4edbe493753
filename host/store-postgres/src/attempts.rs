//! Attempts to deliver: committed when they begin and when they end. In exclusive transactions; the
//! shared commit has statements of its own for attempts that need no judgement.

use std::collections::HashSet;

use promoflow_model::clock::Timestamp;
use promoflow_store::rules::alternatives::NextAlternative;
use promoflow_store::rules::attempts::{DeliveryChange, delivery_after};
use promoflow_store::{
    AttemptBatch, AttemptEnd, AttemptOutcome, CommitReply, DeliveryId, DeliveryState, RunId,
    ThrottledParty,
};

use crate::connection::{integer, params};
use crate::deliveries::read_channel;
use crate::errors::Result;
use crate::hosts::Shares;
use crate::transaction::Transaction;
use crate::{alternatives, contacts, deliveries, release, throttles};

/// The error of a delivery whose promo code has expired.
pub(crate) const EXPIRED: &str = "the promo code that it carries has expired";

/// Commits a dispatcher's finished attempts, reschedulings and new attempts.
pub(crate) fn commit(
    transaction: &Transaction<'_>,
    shares: &Shares,
    step: &AttemptBatch,
    now: Timestamp,
) -> Result<CommitReply> {
    for end in &step.ends {
        self::end(transaction, end, now)?;
    }
    for &(delivery, until) in &step.rescheduled {
        reschedule(transaction, delivery, until)?;
    }
    for (delivery, error) in &step.unreadable {
        fail_delivery(transaction, *delivery, error)?;
    }
    for &(kind, until) in &step.throttles {
        throttles::put(transaction, ThrottledParty::Channel(kind), until)?;
    }
    start(transaction, shares, &step.starts, now)
}

/// Fails a delivery whose row cannot be read.
fn fail_delivery(transaction: &Transaction<'_>, delivery: DeliveryId, error: &str) -> Result<()> {
    transaction.execute(
        "UPDATE delivery SET state = 'failed', due_at = NULL, error = $2
         WHERE id = $1 AND state = 'pending'",
        params![delivery.0, error],
    )?;
    Ok(())
}

/// Reschedules a delivery, at the latest to its expiry, so that it fails then and not later.
fn reschedule(transaction: &Transaction<'_>, delivery: DeliveryId, until: Timestamp) -> Result<()> {
    transaction.execute(
        "UPDATE delivery SET due_at = least($2, expires_at) WHERE id = $1 AND state = 'pending'",
        params![delivery.0, until.0],
    )?;
    Ok(())
}

/// Commits the start of attempts, for those deliveries that may still be attempted, and by this host.
fn start(
    transaction: &Transaction<'_>,
    shares: &Shares,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Result<CommitReply> {
    let mut started = Vec::with_capacity(deliveries.len());
    let any_suppression = !deliveries.is_empty() && contacts::any_suppression(transaction)?;
    let own = own_deliveries(transaction, shares, deliveries)?;
    for &delivery in deliveries {
        if !own.contains(&delivery) {
            continue;
        }
        if any_suppression && skip_unsubscribed(transaction, delivery, now)? {
            continue;
        }
        let expired = transaction.execute(
            "UPDATE delivery SET state = 'failed', due_at = NULL, error = $3
             WHERE id = $1 AND state = 'pending' AND expires_at <= $2",
            params![delivery.0, now.0, EXPIRED],
        )?;
        let attempt = transaction.row(
            "UPDATE delivery SET attempts = attempts + 1
             WHERE id = $1 AND state = 'pending' RETURNING attempts, alternative",
            params![delivery.0],
        )?;
        let Some(row) = attempt.filter(|_| expired == 0) else {
            continue;
        };
        let number = row.count(0)?;
        transaction.execute(
            "INSERT INTO attempt (delivery, number, started_at, alternative)
             VALUES ($1, $2, $3, $4)",
            params![delivery.0, i64::from(number), now.0, integer(row.count(1)?)],
        )?;
        started.push((delivery, number));
    }
    Ok(CommitReply::Started(started))
}

/// Returns those of the deliveries that this host delivers. No other host takes them before the
/// transaction ends.
fn own_deliveries(
    transaction: &Transaction<'_>,
    shares: &Shares,
    deliveries: &[DeliveryId],
) -> Result<HashSet<DeliveryId>> {
    if deliveries.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<i64> = deliveries.iter().map(|delivery| delivery.0).collect();
    let rows = transaction.rows(
        "SELECT id, channel FROM delivery WHERE id = ANY($1)",
        params![ids],
    )?;
    let mut own = HashSet::with_capacity(rows.len());
    for row in rows {
        let id = DeliveryId(row.get(0)?);
        if shares.owns_channel(read_channel(id, &row.get::<String>(1)?)?) {
            own.insert(id);
        }
    }
    Ok(own)
}

/// Returns true if a delivery must not be attempted because its contact has unsubscribed since it
/// was staged. It then switches to its next alternative, or is cancelled, and the codes that no
/// other delivery of its run may carry are released.
fn skip_unsubscribed(
    transaction: &Transaction<'_>,
    id: DeliveryId,
    now: Timestamp,
) -> Result<bool> {
    let row = transaction.row(
        "SELECT run, channel, address FROM delivery WHERE id = $1 AND state = 'pending'",
        params![id.0],
    )?;
    let Some(row) = row else { return Ok(false) };
    let run = RunId(row.get(0)?);
    let channel = read_channel(id, &row.get::<String>(1)?)?;
    if !contacts::is_delivery_suppressed(transaction, id, channel, &row.get::<String>(2)?)? {
        return Ok(false);
    }
    let why = format!("the contact has unsubscribed from {channel}");
    if let NextAlternative::Try(next) = alternatives::next(transaction, id)? {
        alternatives::switch_to(transaction, id, next, Some(&why))?;
        return Ok(true);
    }
    deliveries::cancel(transaction, id, Some(&why))?;
    release::on_unsent_message(transaction, run, now)?;
    Ok(true)
}

/// Commits the outcome of the present attempt of a delivery.
fn end(transaction: &Transaction<'_>, end: &AttemptEnd, now: Timestamp) -> Result<()> {
    if !record_end(transaction, end, now)? {
        // Another executor has taken the delivery over, or the end is already stored.
        return Ok(());
    }
    let id = end.delivery;
    let next = match end.outcome {
        AttemptOutcome::PermanentFailure { .. } => alternatives::next(transaction, id)?,
        _ => NextAlternative::None,
    };
    let change = delivery_after(&end.outcome, next);
    let (state, due, error) = match &change {
        DeliveryChange::Deliver => (DeliveryState::Delivered, None, None),
        DeliveryChange::Retry { due, error } => (DeliveryState::Pending, Some(due.0), Some(*error)),
        DeliveryChange::Fail { error } => (DeliveryState::Failed, None, Some(&**error)),
        DeliveryChange::Switch { to, error } => {
            alternatives::switch_to(transaction, id, *to, Some(error))?;
            return Ok(());
        }
        DeliveryChange::Keep => return Ok(()),
    };
    // `least` would ignore a missing time.
    transaction.execute(
        "UPDATE delivery SET state = $2,
             due_at = CASE WHEN $3::bigint IS NULL THEN NULL ELSE least($3, expires_at) END,
             error = $4
         WHERE id = $1 AND state = 'pending'",
        params![id.0, <&str>::from(state), due, error],
    )?;
    Ok(())
}

/// Records the end of an attempt, or undoes its start if it was not made. Returns false if it is not
/// the present attempt of its delivery, or has ended.
fn record_end(transaction: &Transaction<'_>, end: &AttemptEnd, now: Timestamp) -> Result<bool> {
    let Some((outcome, ambiguous)) = stored_outcome(&end.outcome) else {
        return undo_start(transaction, end);
    };
    let ended = transaction.execute(
        "UPDATE attempt SET ended_at = $3, outcome = $4, error = $5, ambiguous = $6
         WHERE delivery = $1 AND number = $2 AND ended_at IS NULL
             AND number = (SELECT attempts FROM delivery WHERE id = $1)",
        params![
            end.delivery.0,
            i64::from(end.attempt),
            now.0,
            outcome,
            end.outcome.error(),
            i32::from(ambiguous)
        ],
    )?;
    Ok(ended == 1)
}

/// Returns the stored name of an outcome, and whether it is ambiguous; `None` if no attempt was
/// made.
pub(crate) fn stored_outcome(outcome: &AttemptOutcome) -> Option<(&'static str, bool)> {
    match outcome {
        AttemptOutcome::Delivered => Some(("delivered", false)),
        AttemptOutcome::RetryableFailure { ambiguous, .. }
        | AttemptOutcome::RetriesExhausted { ambiguous, .. } => Some(("retryable", *ambiguous)),
        AttemptOutcome::PermanentFailure { .. } => Some(("permanent", false)),
        AttemptOutcome::Misconfigured { .. } | AttemptOutcome::NotStarted => None,
    }
}

/// Undoes the start of an attempt in which nothing was sent. Returns false if it is not the present
/// attempt of its delivery.
fn undo_start(transaction: &Transaction<'_>, end: &AttemptEnd) -> Result<bool> {
    let id = end.delivery;
    let undone = transaction.execute(
        "DELETE FROM attempt WHERE delivery = $1 AND number = $2 AND ended_at IS NULL
             AND number = (SELECT attempts FROM delivery WHERE id = $1)",
        params![id.0, i64::from(end.attempt)],
    )?;
    if undone == 1 {
        transaction.execute(
            "UPDATE delivery SET attempts = attempts - 1 WHERE id = $1",
            params![id.0],
        )?;
    }
    Ok(undone == 1)
}
