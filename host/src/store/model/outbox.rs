//! The outbox: what is staged, tried, and listed.

use serde::{Deserialize, Serialize};

use super::*;
use crate::clock::Timestamp;
use crate::message::{ChannelKind, Content};

/// A delivery that a step stages.
#[derive(Clone, Debug)]
pub struct StagedDelivery {
    /// The step that sends.
    pub step: StepKey,
    /// How.
    pub channel: ChannelKind,
    /// To whom.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// What the contact gets.
    pub content: Content,
    /// Not before.
    pub due: Timestamp,
    /// Given up at this moment: with the first code that it may carry.
    pub expires: Timestamp,
}

/// The end of an attempt to deliver.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// The delivery.
    pub delivery: DeliveryId,
    /// What came of it.
    pub outcome: AttemptOutcome,
}

/// What came of an attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The channel took it.
    Delivered,
    /// Not now.
    Later {
        /// Why.
        error: String,
        /// When to try again.
        due: Timestamp,
    },
    /// Never.
    Refused {
        /// Why.
        error: String,
    },
}

impl AttemptOutcome {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            AttemptOutcome::Delivered => "delivered",
            AttemptOutcome::Later { .. } => "later",
            AttemptOutcome::Refused { .. } => "refused",
        }
    }
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// To be tried, now or later.
    Pending,
    /// The channel took it.
    Delivered,
    /// Given up.
    Failed,
    /// Called off.
    Cancelled,
}

/// A delivery that may be tried.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// How.
    pub channel: ChannelKind,
    /// To whom.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// What the contact gets.
    pub content: Content,
    /// Given up at this moment.
    pub expires: Timestamp,
    /// Attempts until now.
    pub attempts: u32,
}

/// A delivery as listings show it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRow {
    /// The delivery.
    pub id: DeliveryId,
    /// The run that staged it.
    pub run: RunId,
    /// How.
    pub channel: ChannelKind,
    /// To whom.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// What the contact gets.
    pub content: Content,
    /// How it stands.
    pub state: DeliveryState,
    /// Attempts until now.
    pub attempts: u32,
    /// Why the last attempt did not do.
    pub error: Option<String>,
}

/// Bytes of contents in a page of deliveries: it ends with the delivery that reaches them.
pub const MOST_PAGE_BYTES: usize = 8 << 20;

impl DeliveryRow {
    /// About how many bytes its content has.
    pub fn size(&self) -> usize {
        let content = &self.content;
        let parts = [&content.subject, &content.text, &content.html];
        parts.into_iter().flatten().map(String::len).sum()
    }
}
