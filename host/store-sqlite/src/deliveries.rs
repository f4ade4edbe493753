//! Listings of deliveries, and reading of their columns.

use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Row, params};

use super::{Result, SqliteStore, damaged, skip_damaged, unreadable};
use promoflow_model::message::{AllowedHours, ChannelKind, RenderedMessage};
use promoflow_store::{DeliveryId, DeliveryRow, DeliveryState, RunId};

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
            if let Some(delivery) = skip_damaged(delivery_row(row))?
                && visit(delivery).is_break()
            {
                break;
            }
        }
        Ok(())
    })
}

pub(super) fn find_delivery(store: &SqliteStore, id: DeliveryId) -> Result<Option<DeliveryRow>> {
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
    // A damaged delivery is listed without its content and does not hide the others.
    let content = read_content(id, row.get_ref(5)?.as_str().unwrap_or_default());
    let error: Option<String> = row.get(8)?;
    let error = error.or_else(|| content.as_ref().err().map(ToString::to_string));
    Ok(DeliveryRow {
        id,
        run: RunId(row.get(1)?),
        channel: read_channel(id, row.get_ref(2)?.as_str().unwrap_or_default())?,
        address: row.get(3)?,
        message: row.get(4)?,
        content: content
            .map(RenderedMessage::with_unsubscribe_tag)
            .unwrap_or_default(),
        state: read_state(&state)
            .ok_or_else(|| damaged(format!("the state of delivery {id}"), format!("`{state}`")))?,
        attempts: row.get(7)?,
        error,
    })
}

pub(super) fn read_channel(id: DeliveryId, text: &str) -> Result<ChannelKind> {
    text.parse()
        .map_err(|_| damaged(format!("the channel of delivery {id}"), format!("`{text}`")))
}

pub(super) fn read_content(id: DeliveryId, text: &str) -> Result<RenderedMessage> {
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
