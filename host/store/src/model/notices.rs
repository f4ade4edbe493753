//! Notices: events of alerts on their way to webhooks.

use super::{DeliveryState, NoticeId};
use promoflow_model::clock::Timestamp;

/// A notice to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// The webhook's name.
    pub webhook: String,
    /// The event, as JSON.
    pub event: String,
}

/// A stored notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its number.
    pub id: NoticeId,
    /// The webhook's name.
    pub webhook: String,
    /// The event, as JSON.
    pub event: String,
    /// How it stands; never cancelled.
    pub state: DeliveryState,
    /// Attempts that have begun.
    pub attempts: u32,
    /// When it is tried next.
    pub due: Option<Timestamp>,
    /// Why the last attempt did not deliver it.
    pub error: Option<String>,
    /// When it was stored.
    pub at: Timestamp,
}

/// How an attempt to deliver a notice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeEnd {
    /// The webhook took it.
    Delivered,
    /// It is tried again.
    Later {
        /// When.
        due: Timestamp,
        /// Why.
        error: String,
    },
    /// It is given up.
    Failed {
        /// Why.
        error: String,
    },
}
