//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::message::ChannelKind;
use promoflow_store::{
    Action, ActionResult, DeliveryHistory, DeliveryId, DeliveryRow, DeliveryState, DuePage,
    ThrottledParty,
};
use std::collections::HashSet;

impl promoflow_store::DeliveryStore for PostgresStore {
    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        scheduled_first: bool,
        excluded: &HashSet<DeliveryId>,
    ) -> Result<DuePage> {
        unimplemented!()
    }
    fn throttled_until(&self, party: ThrottledParty<'_>) -> Result<Option<Timestamp>> {
        unimplemented!()
    }
    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        unimplemented!()
    }
    fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>> {
        unimplemented!()
    }
    fn delivery_history(&self, id: DeliveryId) -> Result<Option<DeliveryHistory>> {
        unimplemented!()
    }
    fn apply_delivery_action(
        &self,
        id: DeliveryId,
        action: Action,
        clock: &dyn Clock,
    ) -> Result<ActionResult> {
        unimplemented!()
    }
}
