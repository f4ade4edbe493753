//! The outbox: what may be tried, and listings.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Result, SqliteStore, damaged};
use crate::clock::Timestamp;
use crate::message::{ChannelKind, Content};
use crate::store::{DeliveryId, DeliveryRow, DeliveryState, DueDelivery, RunId};

pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
    but: &dyn Fn(DeliveryId) -> bool,
) -> Result<Vec<DueDelivery>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, channel, address, message, content, expires, attempts FROM delivery
         WHERE due <= ?1 ORDER BY due, id",
    )?;
    let mut rows = statement.query([now.0])?;
    let mut due = Vec::new();
    while due.len() < limit {
        let Some(row) = rows.next()? else { break };
        let id = DeliveryId(row.get(0)?);
        if but(id) {
            continue;
        }
        due.push(DueDelivery {
            id,
            channel: read_channel(id, row.get_ref(1)?.as_str().unwrap_or_default())?,
            address: row.get(2)?,
            message: row.get(3)?,
            content: read_content(id, row.get_ref(4)?.as_str().unwrap_or_default())?,
            expires: Timestamp(row.get(5)?),
            attempts: row.get(6)?,
        });
    }
    Ok(due)
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
        content: read_content(id, row.get_ref(5)?.as_str().unwrap_or_default())?,
        state: read_state(&state)
            .ok_or_else(|| damaged(format!("the state of delivery {id}"), format!("`{state}`")))?,
        attempts: row.get(7)?,
        error: row.get(8)?,
    })
}

fn read_channel(id: DeliveryId, text: &str) -> Result<ChannelKind> {
    text.parse()
        .map_err(|_| damaged(format!("the channel of delivery {id}"), format!("`{text}`")))
}

fn read_content(id: DeliveryId, text: &str) -> Result<Content> {
    serde_json::from_str(text)
        .map_err(|error| damaged(format!("the content of delivery {id}"), error))
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
