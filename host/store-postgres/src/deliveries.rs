//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::connection::params;
use crate::errors::{Result, StoreResult, damaged, read_name, unreadable};
use crate::transaction::Transaction;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::message::{AllowedHours, ChannelKind, RenderedMessage};
use promoflow_store::{
    Action, ActionResult, DeliveryHistory, DeliveryId, DeliveryRow, DeliveryState, DuePage,
    ThrottledParty,
};
use std::collections::HashSet;

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

impl promoflow_store::DeliveryStore for PostgresStore {
    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        scheduled_first: bool,
        excluded: &HashSet<DeliveryId>,
    ) -> StoreResult<DuePage> {
        unimplemented!()
    }
    fn throttled_until(&self, party: ThrottledParty<'_>) -> StoreResult<Option<Timestamp>> {
        unimplemented!()
    }
    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> StoreResult<Vec<DeliveryRow>> {
        unimplemented!()
    }
    fn delivery(&self, id: DeliveryId) -> StoreResult<Option<DeliveryRow>> {
        unimplemented!()
    }
    fn delivery_history(&self, id: DeliveryId) -> StoreResult<Option<DeliveryHistory>> {
        unimplemented!()
    }
    fn apply_delivery_action(
        &self,
        id: DeliveryId,
        action: Action,
        clock: &dyn Clock,
    ) -> StoreResult<ActionResult> {
        unimplemented!()
    }
}
