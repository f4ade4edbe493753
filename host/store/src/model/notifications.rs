//! Notifications: alert events that are sent to webhooks.

use super::{DeliveryState, NotificationId};
use promoflow_model::clock::Timestamp;

/// A notification to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotification {
    /// The webhook's name.
    pub webhook: String,
    /// The event, as JSON.
    pub event: String,
}

/// A stored notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its number.
    pub id: NotificationId,
    /// The webhook's name.
    pub webhook: String,
    /// The event, as JSON.
    pub event: String,
    /// The state; never cancelled.
    pub state: DeliveryState,
    /// Attempts that have begun.
    pub attempts: u32,
    /// When the next attempt is due.
    pub due: Option<Timestamp>,
    /// The error of the last attempt.
    pub error: Option<String>,
    /// When it was stored.
    pub at: Timestamp,
}

/// The outcome of an attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationOutcome {
    /// The webhook accepted it.
    Delivered,
    /// The attempt failed and will be retried.
    RetryableFailure {
        /// When to retry.
        due: Timestamp,
        /// The error.
        error: String,
    },
    /// The attempt failed and will not be retried.
    Failed {
        /// The error.
        error: String,
    },
}
