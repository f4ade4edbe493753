//! The outbox: what may be tried, and listings.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Result, SqliteStore, damaged, unreadable};
use crate::clock::Timestamp;
use crate::message::{AllowedHours, ChannelKind, Content};
use crate::store::{
    Alternative, DeliveryId, DeliveryRow, DeliveryState, DueDelivery, MOST_PAGE_BYTES, RunId,
};

/// Those of each channel, merged by how long they are due.
pub(super) fn due(
    connection: &Connection,
    kinds: &[ChannelKind],
    now: Timestamp,
    limit: usize,
    but: &dyn Fn(DeliveryId) -> bool,
) -> Result<Vec<DueDelivery>> {
    let mut due = Vec::new();
    for kind in kinds {
        of_channel(connection, *kind, now, limit, but, &mut due)?;
    }
    if kinds.len() > 1 {
        due.sort_by_key(|(since, delivery)| (*since, delivery.id));
        due.truncate(limit);
    }
    Ok(due.into_iter().map(|(_, delivery)| delivery).collect())
}

fn of_channel(
    connection: &Connection,
    kind: ChannelKind,
    now: Timestamp,
    limit: usize,
    but: &dyn Fn(DeliveryId) -> bool,
    due: &mut Vec<(i64, DueDelivery)>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT id, address, message, content, expires, attempts - attempts_before, hours, due,
             alternative
         FROM delivery WHERE channel = ?1 AND due <= ?2 ORDER BY due, id",
    )?;
    let mut rows = statement.query(params![kind.name(), now.0])?;
    let (mut count, mut bytes) = (0, 0);
    while count < limit && bytes < MOST_PAGE_BYTES {
        let Some(row) = rows.next()? else { break };
        let id = DeliveryId(row.get(0)?);
        if but(id) {
            continue;
        }
        let delivery = DueDelivery {
            id,
            way: Alternative {
                channel: kind,
                address: row.get(1)?,
                message: row.get(2)?,
                content: read_content(id, row.get_ref(3)?.as_str().unwrap_or_default())?,
            },
            alternative: row.get(8)?,
            expires: Timestamp(row.get(4)?),
            tries: row.get(5)?,
            hours: read_hours(id, row.get_ref(6)?.as_str_or_null().unwrap_or_default())?,
        };
        count += 1;
        bytes += delivery.size();
        due.push((row.get(7)?, delivery));
    }
    Ok(())
}

const DELIVERY_ROWS: &str = "
    SELECT id, run, channel, address, message, content, state, attempts, error FROM delivery";

pub(super) fn list(
    store: &SqliteStore,
    state: Option<DeliveryState>,
    after: Option<DeliveryId>,
    visit: &mut dyn FnMut(DeliveryRow) -> ControlFlow<()>,
) -> Result<()> {
    store.read(|connection| {
        let sql =
            format!("{DELIVERY_ROWS} WHERE (?1 IS NULL OR state = ?1) AND id > ?2 ORDER BY id");
        let after = after.map_or(i64::MIN, |delivery| delivery.0);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![state.map(state_text), after])?;
        while let Some(row) = rows.next()? {
            if visit(delivery_row(row)?).is_break() {
                break;
            }
        }
        Ok(())
    })
}

pub(super) fn one(store: &SqliteStore, id: DeliveryId) -> Result<Option<DeliveryRow>> {
    store.read(|connection| {
        let sql = format!("{DELIVERY_ROWS} WHERE id = ?1");
        let found = connection
            .prepare_cached(&sql)?
            .query_row([id.0], |row| Ok(delivery_row(row)))
            .optional()?;
        found.transpose()
    })
}

fn delivery_row(row: &Row<'_>) -> Result<DeliveryRow> {
    let id = DeliveryId(row.get(0)?);
    let state: String = row.get(6)?;
    Ok(DeliveryRow {
        id,
        run: RunId(row.get(1)?),
        channel: read_channel(id, row.get_ref(2)?.as_str().unwrap_or_default())?,
        address: row.get(3)?,
        message: row.get(4)?,
        content: read_content(id, row.get_ref(5)?.as_str().unwrap_or_default())?.shown(),
        state: read_state(&state)
            .ok_or_else(|| damaged(format!("the state of delivery {id}"), format!("`{state}`")))?,
        attempts: row.get(7)?,
        error: row.get(8)?,
    })
}

pub(super) fn read_channel(id: DeliveryId, text: &str) -> Result<ChannelKind> {
    text.parse()
        .map_err(|_| damaged(format!("the channel of delivery {id}"), format!("`{text}`")))
}

pub(super) fn read_content(id: DeliveryId, text: &str) -> Result<Content> {
    serde_json::from_str(text)
        .map_err(|error| unreadable(format!("the content of delivery {id}"), &error))
}

pub(super) fn read_hours(id: DeliveryId, text: Option<&str>) -> Result<Option<AllowedHours>> {
    let hours = text.map(str::parse).transpose();
    hours.map_err(|error| damaged(format!("the hours of delivery {id}"), error))
}

fn state_text(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
        DeliveryState::Cancelled => "cancelled",
    }
}

fn read_state(text: &str) -> Option<DeliveryState> {
    [
        DeliveryState::Pending,
        DeliveryState::Delivered,
        DeliveryState::Failed,
        DeliveryState::Cancelled,
    ]
    .into_iter()
    .find(|state| state_text(*state) == text)
}
