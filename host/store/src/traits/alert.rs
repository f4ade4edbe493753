//! Alerts, and the notifications that they send to webhooks.

use promoflow_model::alert::Alert;
use promoflow_model::clock::Timestamp;

use crate::{
    DeliveryState, NewNotification, Notification, NotificationId, NotificationOutcome, Result,
    ThrottledParty,
};

/// Alerts, and the notifications that they send to webhooks.
pub trait AlertStore: Send + Sync {
    /// Returns every alert that was ever raised.
    fn alerts(&self) -> Result<Vec<Alert>>;

    /// Stores an alert together with the notifications of its event, in place of `previous`: the
    /// alert about the same subject as it was read, or `None` if there was none. Returns false, and
    /// stores nothing, if another process has changed that alert since.
    fn save_alert(
        &self,
        alert: &Alert,
        previous: Option<&Alert>,
        notifications: &[NewNotification],
    ) -> Result<bool>;

    /// Returns notifications for a webhook that may be attempted at `now`, the longest due first.
    fn due_notifications(
        &self,
        webhook: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Notification>>;

    /// Begins an attempt to deliver a notification, and returns its number; `None` if it must not be
    /// attempted any more.
    fn begin_notification_attempt(&self, id: NotificationId) -> Result<Option<u32>>;

    /// Ends an attempt to deliver a notification; ignored if it is not the present one. `paused`: the
    /// party that asked for a pause, and until when.
    fn end_notification_attempt(
        &self,
        id: NotificationId,
        attempt: u32,
        end: &NotificationOutcome,
        paused: Option<(ThrottledParty<'_>, Timestamp)>,
    ) -> Result<()>;

    /// Lists notifications before notification `before`, the newest first.
    fn notifications(
        &self,
        state: Option<DeliveryState>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Notification>>;
}
