//! Listings of deliveries, and reading of their columns.

use std::collections::HashSet;
use std::sync::Arc;

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::message::{AllowedHours, ChannelKind, RenderedMessage};
use promoflow_store::{
    Action, ActionResult, DeliveryHistory, DeliveryId, DeliveryRow, DeliveryState, DeliveryStore,
    DuePage, MAX_PAGE_BYTES, RunId, Tenure, ThrottledParty,
};

use crate::PostgresStore;
use crate::connection::{Row, params};
use crate::errors::{Result, StoreResult, damaged, read_name, skip_damaged, unreadable};
use crate::transaction::Transaction;
use crate::{actions, alternatives, due_deliveries, throttles};

/// Maximum number of deliveries to read at once: the content of one may be large.
const MAX_READ: usize = 100;

const DELIVERY_ROWS: &str =
    "SELECT id, run, channel, address, message, content, state, attempts, error FROM delivery";

fn list(
    transaction: &Transaction<'_>,
    state: Option<DeliveryState>,
    after: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<DeliveryRow>> {
    // The state is part of the text, so that the index of undelivered ones can be used.
    let of_state = state.map_or(String::new(), |state| {
        format!("AND state = '{}'", <&str>::from(state))
    });
    let sql = format!("{DELIVERY_ROWS} WHERE id > $1 {of_state} ORDER BY id LIMIT $2");
    let mut after = after.map_or(i64::MIN, |delivery| delivery.0);
    let (mut deliveries, mut bytes) = (Vec::new(), 0);
    while deliveries.len() < limit && bytes < MAX_PAGE_BYTES {
        let count = MAX_READ.min(limit - deliveries.len());
        let rows = transaction.rows(
            &sql,
            params![after, i64::try_from(count).unwrap_or(i64::MAX)],
        )?;
        for row in &rows {
            after = row.get(0)?;
            if bytes < MAX_PAGE_BYTES
                && let Some(delivery) = skip_damaged(delivery_row(row))?
            {
                bytes += delivery.size();
                deliveries.push(delivery);
            }
        }
        if rows.len() < count {
            break;
        }
    }
    Ok(deliveries)
}

fn find_delivery(transaction: &Transaction<'_>, id: DeliveryId) -> Result<Option<DeliveryRow>> {
    let sql = format!("{DELIVERY_ROWS} WHERE id = $1");
    let row = transaction.row(&sql, params![id.0])?;
    row.map(|row| delivery_row(&row)).transpose()
}

fn delivery_row(row: &Row) -> Result<DeliveryRow> {
    let id = DeliveryId(row.get(0)?);
    let state: String = row.get(6)?;
    // A damaged delivery is listed without its content and does not hide the others.
    let content = read_content(id, &row.get::<String>(5)?);
    let error: Option<String> = row.get(8)?;
    let error = error.or_else(|| content.as_ref().err().map(ToString::to_string));
    Ok(DeliveryRow {
        id,
        run: RunId(row.get(1)?),
        channel: read_channel(id, &row.get::<String>(2)?)?,
        address: row.get(3)?,
        message: row.get(4)?,
        content: content
            .map(RenderedMessage::with_unsubscribe_tag)
            .unwrap_or_default(),
        state: read_name(|| format!("the state of delivery {id}"), &state)?,
        attempts: row.count(7)?,
        error,
    })
}

/// Cancels a delivery. `error`: the reason, if it is to be recorded.
pub(crate) fn cancel(
    transaction: &Transaction<'_>,
    id: DeliveryId,
    error: Option<&str>,
) -> Result<()> {
    transaction.execute(
        "UPDATE delivery SET state = 'cancelled', due_at = NULL, error = coalesce($2, error)
         WHERE id = $1",
        params![id.0, error],
    )?;
    Ok(())
}

pub(crate) fn read_channel(id: DeliveryId, text: &str) -> Result<ChannelKind> {
    read_name(|| format!("the channel of delivery {id}"), text)
}

pub(crate) fn read_content(id: DeliveryId, text: &str) -> Result<RenderedMessage> {
    serde_json::from_str(text)
        .map_err(|error| unreadable(format!("the content of delivery {id}"), &error))
}

pub(crate) fn read_hours(id: DeliveryId, text: Option<&str>) -> Result<Option<AllowedHours>> {
    let hours = text.map(str::parse).transpose();
    hours.map_err(|error| damaged(format!("the hours of delivery {id}"), error))
}

impl DeliveryStore for PostgresStore {
    fn tenure(&self) -> Arc<dyn Tenure> {
        Arc::clone(&self.shares) as Arc<dyn Tenure>
    }

    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        scheduled_first: bool,
        excluded: &HashSet<DeliveryId>,
    ) -> StoreResult<DuePage> {
        let kinds = self.channels_to_deliver(kinds)?;
        if kinds.is_empty() {
            return Ok(DuePage::default());
        }
        Ok(self.read(|transaction| {
            due_deliveries::page(transaction, &kinds, now, limit, scheduled_first, excluded)
        })?)
    }

    fn throttled_until(&self, party: ThrottledParty<'_>) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|transaction| throttles::of(transaction, party))?)
    }

    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> StoreResult<Vec<DeliveryRow>> {
        Ok(self.read(|transaction| list(transaction, state, after, limit))?)
    }

    fn delivery(&self, id: DeliveryId) -> StoreResult<Option<DeliveryRow>> {
        Ok(self.read(|transaction| find_delivery(transaction, id))?)
    }

    fn delivery_history(&self, id: DeliveryId) -> StoreResult<Option<DeliveryHistory>> {
        Ok(self.read(|transaction| alternatives::load_history(transaction, id))?)
    }

    fn apply_delivery_action(
        &self,
        id: DeliveryId,
        action: Action,
        clock: &dyn Clock,
    ) -> StoreResult<ActionResult> {
        Ok(self.write_pool(|transaction| {
            actions::apply_to_delivery(transaction, id, action, clock.now())
        })?)
    }
}
