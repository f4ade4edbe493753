//! The outbox: deliveries and their attempts.

use std::collections::HashSet;
use std::sync::Arc;

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::message::ChannelKind;

use crate::{
    Action, ActionResult, DeliveryHistory, DeliveryId, DeliveryRow, DeliveryState, DuePage, Result,
    ThrottledParty,
};

/// Tells whether the attempts that a process has started are still its own. It outlives the store.
pub trait Tenure: Send + Sync {
    /// Returns false if the message must not be handed over any more: while this process was paused,
    /// or cut off from the database, another one may have taken the attempt over. Free of cost.
    fn may_attempt(&self, channel: ChannelKind, delivery: DeliveryId, attempt: u32) -> bool;
}

/// The tenure of a process whose attempts no other one takes over while it exists.
#[derive(Clone, Copy, Debug, Default)]
pub struct PermanentTenure;

impl Tenure for PermanentTenure {
    fn may_attempt(&self, _: ChannelKind, _: DeliveryId, _: u32) -> bool {
        true
    }
}

/// The outbox: deliveries and their attempts.
pub trait DeliveryStore: Send + Sync {
    /// Returns deliveries over these channels that may be attempted at `now`, except those in
    /// `excluded`; fewer than `limit` if their contents reach
    /// [`MAX_PAGE_BYTES`](crate::MAX_PAGE_BYTES). Deliveries that were scheduled for a later time and new ones alternate, each kind ordered by
    /// due time, so that neither starves the other. `scheduled_first` says which kind comes first.
    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        scheduled_first: bool,
        excluded: &HashSet<DeliveryId>,
    ) -> Result<DuePage>;

    /// Returns what tells whether the attempts that this process has started are still its own.
    fn tenure(&self) -> Arc<dyn Tenure> {
        Arc::new(PermanentTenure)
    }

    /// Returns the latest `Retry-After` deadline that this provider or webhook sent.
    fn throttled_until(&self, party: ThrottledParty<'_>) -> Result<Option<Timestamp>>;

    /// Lists deliveries after delivery `after`, the oldest first; fewer than `limit` if their
    /// contents reach [`MAX_PAGE_BYTES`](crate::MAX_PAGE_BYTES), and none only at the end. A page is
    /// of one moment, pages that follow each other are not.
    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>>;

    /// Returns one delivery.
    fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>>;

    /// Returns the attempts, alternatives and deadlines of a delivery.
    fn delivery_history(&self, id: DeliveryId) -> Result<Option<DeliveryHistory>>;

    /// Applies an operator's action to a delivery.
    fn apply_delivery_action(
        &self,
        id: DeliveryId,
        action: Action,
        clock: &dyn Clock,
    ) -> Result<ActionResult>;
}
