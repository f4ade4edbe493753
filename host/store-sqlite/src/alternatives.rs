//! The alternatives of a delivery ("one from many"), and the change from one to the next.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::deliveries::{read_channel, read_content, read_hours};
use super::{Result, damaged};
use promoflow_model::clock::Timestamp;
use promoflow_model::message::RenderedMessage;
use promoflow_store::rules::alternatives::{Alternatives, NextAlternative};
use promoflow_store::{
    Alternative, AttemptRow, DUE_NOW, DeliveryHistory, DeliveryId, RunId, StagedDelivery,
};

/// Serialises a message's content.
pub(super) fn content_json(run: RunId, content: &RenderedMessage) -> Result<String> {
    serde_json::to_string(content)
        .map_err(|error| damaged(format!("a message of run {run}"), error))
}

/// Stores the alternatives of a delivery that has more than one, including the first.
pub(super) fn add(
    connection: &Connection,
    run: RunId,
    id: DeliveryId,
    delivery: &StagedDelivery,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO delivery_alternative (delivery, number, channel, address, message, content)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
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
        statement.execute(params![
            id.0,
            number,
            channel.name(),
            address,
            message,
            content
        ])?;
    }
    Ok(())
}

/// Returns what comes after the current alternative of a pending delivery.
pub(super) fn next(connection: &Connection, id: DeliveryId) -> Result<NextAlternative> {
    let found = connection
        .prepare_cached(
            "SELECT alternative,
                    (SELECT count(*) FROM delivery_alternative WHERE delivery = ?1),
                    EXISTS (SELECT 1 FROM attempt WHERE delivery = ?1 AND ambiguous)
             FROM delivery WHERE id = ?1 AND state = 'pending'",
        )?
        .query_row([id.0], |row| {
            Ok(Alternatives {
                current: row.get(0)?,
                count: row.get(1)?,
                any_ambiguous: row.get(2)?,
            })
        })
        .optional()?;
    Ok(found.map_or(NextAlternative::None, Alternatives::next))
}

/// Switches a delivery to that alternative, due at once. Returns false if it does not exist.
pub(super) fn switch_to(
    connection: &Connection,
    id: DeliveryId,
    to: u32,
    error: Option<&str>,
) -> Result<bool> {
    let switched = connection
        .prepare_cached(
            "UPDATE delivery SET (alternative, channel, address, message, content) =
                 (SELECT number, channel, address, message, content FROM delivery_alternative
                  WHERE delivery = ?1 AND number = ?2),
                 state = 'pending', due_at = ?3, error = ?4, attempts_before = attempts
             WHERE id = ?1
                 AND EXISTS (SELECT 1 FROM delivery_alternative
                             WHERE delivery = ?1 AND number = ?2)",
        )?
        .execute(params![id.0, to, DUE_NOW.0, error])?;
    Ok(switched == 1)
}

/// Returns the details of a delivery.
pub(super) fn load_history(
    connection: &Connection,
    id: DeliveryId,
) -> Result<Option<DeliveryHistory>> {
    let found = connection
        .prepare_cached(
            "SELECT channel, address, message, content,
                    CASE due_at WHEN ?2 THEN created_at ELSE due_at END, expires_at,
                    allowed_hours, alternative
             FROM delivery WHERE id = ?1",
        )?
        .query_row([id.0, DUE_NOW.0], |row| {
            Ok((
                read_alternative(id, row),
                row.get::<_, Option<i64>>(4)?,
                row.get::<_, i64>(5)?,
                row.get::<_, Option<String>>(6)?,
                row.get(7)?,
            ))
        })
        .optional()?;
    let Some((only, due, expires, hours, current)) = found else {
        return Ok(None);
    };
    let mut alternatives = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT channel, address, message, content FROM delivery_alternative WHERE delivery = ?1
         ORDER BY number",
    )?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        alternatives.push(read_alternative(id, row)?);
    }
    if alternatives.is_empty() {
        alternatives.push(only?);
    }
    let attempts = connection
        .prepare_cached(
            "SELECT number, alternative, started_at, ended_at,
                    CASE WHEN outcome = 'retryable' AND ambiguous THEN 'ambiguous' ELSE outcome END,
                    error
             FROM attempt
             WHERE delivery = ?1 ORDER BY number",
        )?
        .query_map([id.0], |row| {
            Ok(AttemptRow {
                number: row.get(0)?,
                alternative: row.get(1)?,
                started: Timestamp(row.get(2)?),
                ended: row.get::<_, Option<i64>>(3)?.map(Timestamp),
                outcome: row.get(4)?,
                error: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(DeliveryHistory {
        due: due.map(Timestamp),
        expires: Some(Timestamp(expires)).filter(|expires| *expires != Timestamp::NEVER),
        hours: read_hours(id, hours.as_deref())?,
        alternatives,
        current,
        attempts,
    }))
}

fn read_alternative(id: DeliveryId, row: &Row<'_>) -> Result<Alternative> {
    Ok(Alternative {
        channel: read_channel(id, row.get_ref(0)?.as_str().unwrap_or_default())?,
        address: row.get(1)?,
        message: row.get(2)?,
        content: read_content(id, row.get_ref(3)?.as_str().unwrap_or_default())?
            .with_unsubscribe_tag(),
    })
}
