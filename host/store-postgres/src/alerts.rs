//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::alert::Alert;
use promoflow_model::clock::Timestamp;
use promoflow_store::{
    DeliveryState, NewNotification, Notification, NotificationId, NotificationOutcome,
    ThrottledParty,
};

impl promoflow_store::AlertStore for PostgresStore {
    fn alerts(&self) -> Result<Vec<Alert>> {
        unimplemented!()
    }
    fn save_alert(
        &self,
        alert: &Alert,
        previous: Option<&Alert>,
        notifications: &[NewNotification],
    ) -> Result<bool> {
        unimplemented!()
    }
    fn due_notifications(
        &self,
        webhook: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Notification>> {
        unimplemented!()
    }
    fn begin_notification_attempt(&self, id: NotificationId) -> Result<Option<u32>> {
        unimplemented!()
    }
    fn end_notification_attempt(
        &self,
        id: NotificationId,
        attempt: u32,
        end: &NotificationOutcome,
        paused: Option<(ThrottledParty<'_>, Timestamp)>,
    ) -> Result<()> {
        unimplemented!()
    }
    fn notifications(
        &self,
        state: Option<DeliveryState>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Notification>> {
        unimplemented!()
    }
}
