//! Listings of deliveries, and reading of their columns.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Result, SqliteStore, StoreResult, actions, alternatives, damaged, due_deliveries, read_name,
    skip_damaged, throttles, unreadable,
};
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::message::{AllowedHours, ChannelKind, RenderedMessage};
use promoflow_store::{
    Action, ActionResult, DeliveryHistory, DeliveryId, DeliveryRow, DeliveryState, DeliveryStore,
    DuePage, MAX_PAGE_BYTES, RunId, ThrottledParty,
};

const DELIVERY_ROWS: &str = "
    SELECT id, run, channel, address, message, content, state, attempts, error FROM delivery";

pub(super) fn list(
    store: &SqliteStore,
    state: Option<DeliveryState>,
    after: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<DeliveryRow>> {
    store.read(|connection| {
        let sql =
            format!("{DELIVERY_ROWS} WHERE (?1 IS NULL OR state = ?1) AND id > ?2 ORDER BY id");
        let after = after.map_or(i64::MIN, |delivery| delivery.0);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![state.map(<&str>::from), after])?;
        let (mut deliveries, mut bytes) = (Vec::new(), 0);
        while deliveries.len() < limit && bytes < MAX_PAGE_BYTES {
            let Some(row) = rows.next()? else { break };
            if let Some(delivery) = skip_damaged(delivery_row(row))? {
                bytes += delivery.size();
                deliveries.push(delivery);
            }
        }
        Ok(deliveries)
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
        state: read_name(|| format!("the state of delivery {id}"), &state)?,
        attempts: row.get(7)?,
        error,
    })
}

/// Cancels a delivery. `error`: the reason, if it is to be recorded.
pub(super) fn cancel(connection: &Connection, id: DeliveryId, error: Option<&str>) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE delivery SET state = 'cancelled', due_at = NULL, error = coalesce(?2, error)
             WHERE id = ?1",
        )?
        .execute(params![id.0, error])?;
    Ok(())
}

pub(super) fn read_channel(id: DeliveryId, text: &str) -> Result<ChannelKind> {
    read_name(|| format!("the channel of delivery {id}"), text)
}

pub(super) fn read_content(id: DeliveryId, text: &str) -> Result<RenderedMessage> {
    serde_json::from_str(text)
        .map_err(|error| unreadable(format!("the content of delivery {id}"), &error))
}

pub(super) fn read_hours(id: DeliveryId, text: Option<&str>) -> Result<Option<AllowedHours>> {
    let hours = text.map(str::parse).transpose();
    hours.map_err(|error| damaged(format!("the hours of delivery {id}"), error))
}

impl DeliveryStore for SqliteStore {
    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        scheduled_first: bool,
        excluded: &HashSet<DeliveryId>,
    ) -> StoreResult<DuePage> {
        Ok(self.read(|connection| {
            due_deliveries::page(connection, kinds, now, limit, scheduled_first, excluded)
        })?)
    }

    fn throttled_until(&self, party: ThrottledParty<'_>) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|connection| throttles::of(connection, party))?)
    }

    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> StoreResult<Vec<DeliveryRow>> {
        Ok(list(self, state, after, limit)?)
    }

    fn delivery(&self, id: DeliveryId) -> StoreResult<Option<DeliveryRow>> {
        Ok(find_delivery(self, id)?)
    }

    fn delivery_history(&self, id: DeliveryId) -> StoreResult<Option<DeliveryHistory>> {
        Ok(self.read(|connection| alternatives::load_history(connection, id))?)
    }

    fn apply_delivery_action(
        &self,
        id: DeliveryId,
        action: Action,
        clock: &dyn Clock,
    ) -> StoreResult<ActionResult> {
        Ok(self.write_pool(|connection, _| {
            actions::apply_to_delivery(connection, id, action, clock.now())
        })?)
    }
}
