//! The alternatives of a delivery ("one from many"), and the change from one to the next.

use promoflow_model::clock::Timestamp;
use promoflow_model::message::RenderedMessage;
use promoflow_store::rules::alternatives::{Alternatives, NextAlternative};
use promoflow_store::{
    Alternative, AttemptRow, DUE_NOW, DeliveryHistory, DeliveryId, RunId, StagedDelivery,
};

use crate::connection::{Row, params};
use crate::deliveries::{read_channel, read_content, read_hours};
use crate::errors::{Result, damaged};
use crate::transaction::Transaction;

/// Serialises a message's content.
pub(crate) fn content_json(run: RunId, content: &RenderedMessage) -> Result<String> {
    serde_json::to_string(content)
        .map_err(|error| damaged(format!("a message of run {run}"), error))
}

/// Stores the alternatives of a delivery that has more than one, including the first.
pub(crate) fn add(
    transaction: &Transaction<'_>,
    run: RunId,
    id: DeliveryId,
    delivery: &StagedDelivery,
) -> Result<()> {
    let first = (
        delivery.channel,
        &delivery.address,
        &delivery.message,
        &delivery.content,
    );
    let others = delivery
        .alternatives
        .iter()
        .map(|one| (one.channel, &one.address, &one.message, &one.content));
    for (number, (channel, address, message, content)) in
        (0_i64..).zip(std::iter::once(first).chain(others))
    {
        let content = content_json(run, content)?;
        transaction.execute(
            "INSERT INTO delivery_alternative (delivery, number, channel, address, message,
                                               content)
             VALUES ($1, $2, $3, $4, $5, $6)",
            params![id.0, number, channel.name(), address, message, content],
        )?;
    }
    Ok(())
}

/// Returns what comes after the current alternative of a pending delivery. In an exclusive
/// transaction.
pub(crate) fn next(transaction: &Transaction<'_>, id: DeliveryId) -> Result<NextAlternative> {
    let row = transaction.row(
        "SELECT alternative,
                (SELECT count(*)::integer FROM delivery_alternative WHERE delivery = $1),
                (SELECT count(*)::integer FROM attempt WHERE delivery = $1 AND ambiguous = 1)
         FROM delivery WHERE id = $1 AND state = 'pending'",
        params![id.0],
    )?;
    let Some(row) = row else {
        return Ok(NextAlternative::None);
    };
    Ok(read_alternatives(&row, 0)?.next())
}

/// Reads from three columns: the number of the current alternative, the number of alternatives, and
/// the number of ambiguous attempts.
pub(crate) fn read_alternatives(row: &Row, column: usize) -> Result<Alternatives> {
    Ok(Alternatives {
        current: row.count(column)?,
        count: row.count(column + 1)?,
        any_ambiguous: row.count(column + 2)? > 0,
    })
}

/// Switches a delivery to that alternative, due at once. Returns false if it does not exist. In an
/// exclusive transaction.
pub(crate) fn switch_to(
    transaction: &Transaction<'_>,
    id: DeliveryId,
    to: u32,
    error: Option<&str>,
) -> Result<bool> {
    let switched = transaction.execute(
        "UPDATE delivery SET alternative = other.number::integer, channel = other.channel,
             address = other.address, message = other.message, content = other.content,
             state = 'pending', due_at = $3, error = $4, attempts_before = attempts
         FROM delivery_alternative AS other
         WHERE delivery.id = $1 AND other.delivery = $1 AND other.number = $2",
        params![id.0, i64::from(to), DUE_NOW.0, error],
    )?;
    Ok(switched == 1)
}

/// Returns the details of a delivery.
pub(crate) fn load_history(
    transaction: &Transaction<'_>,
    id: DeliveryId,
) -> Result<Option<DeliveryHistory>> {
    let row = transaction.row(
        "SELECT channel, address, message, content,
                CASE due_at WHEN $2 THEN created_at ELSE due_at END, expires_at, allowed_hours,
                alternative
         FROM delivery WHERE id = $1",
        params![id.0, DUE_NOW.0],
    )?;
    let Some(row) = row else { return Ok(None) };
    let alternatives = transaction.rows(
        "SELECT channel, address, message, content FROM delivery_alternative WHERE delivery = $1
         ORDER BY number",
        params![id.0],
    )?;
    let mut alternatives = alternatives
        .iter()
        .map(|row| read_alternative(id, row))
        .collect::<Result<Vec<_>>>()?;
    if alternatives.is_empty() {
        alternatives.push(read_alternative(id, &row)?);
    }
    let attempts = transaction.rows(
        "SELECT number::integer, alternative, started_at, ended_at,
                CASE WHEN outcome = 'retryable' AND ambiguous = 1 THEN 'ambiguous'
                     ELSE outcome END,
                error
         FROM attempt WHERE delivery = $1 ORDER BY number",
        params![id.0],
    )?;
    let hours: Option<String> = row.get(6)?;
    Ok(Some(DeliveryHistory {
        due: row.get::<Option<i64>>(4)?.map(Timestamp),
        expires: Some(Timestamp(row.get(5)?)).filter(|expires| *expires != Timestamp::NEVER),
        hours: read_hours(id, hours.as_deref())?,
        alternatives,
        current: row.count(7)?,
        attempts: attempts.iter().map(read_attempt).collect::<Result<_>>()?,
    }))
}

fn read_attempt(row: &Row) -> Result<AttemptRow> {
    Ok(AttemptRow {
        number: row.count(0)?,
        alternative: row.count(1)?,
        started: Timestamp(row.get(2)?),
        ended: row.get::<Option<i64>>(3)?.map(Timestamp),
        outcome: row.get(4)?,
        error: row.get(5)?,
    })
}

fn read_alternative(id: DeliveryId, row: &Row) -> Result<Alternative> {
    Ok(Alternative {
        channel: read_channel(id, &row.get::<String>(0)?)?,
        address: row.get(1)?,
        message: row.get(2)?,
        content: read_content(id, &row.get::<String>(3)?)?.with_unsubscribe_tag(),
    })
}
