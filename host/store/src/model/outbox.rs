//! The outbox: staged deliveries, attempts and listings.

use serde::{Deserialize, Serialize};

use super::*;
use promoflow_model::clock::Timestamp;
use promoflow_model::message::{AllowedHours, ChannelKind, RenderedMessage};

/// One channel, address and message of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The channel.
    pub channel: ChannelKind,
    /// The address.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// The rendered message.
    pub content: RenderedMessage,
}

/// A delivery that a step stages.
#[derive(Clone, Debug)]
pub struct StagedDelivery {
    /// The step that sends.
    pub step: StepKey,
    /// The channel.
    pub channel: ChannelKind,
    /// The address.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// The rendered message.
    pub content: RenderedMessage,
    /// The alternatives, each tried if the one before failed permanently and cannot have arrived.
    pub alternatives: Vec<Alternative>,
    /// The earliest time of the first attempt; [`DUE_NOW`] regardless of the clock.
    pub due: Timestamp,
    /// The time after which it is not attempted any more: the earliest expiry of the codes of this
    /// segment that it carries. The commit adds the codes of earlier segments.
    pub expires: Timestamp,
    /// The hours in which attempts may begin; `None`: any.
    pub hours: Option<AllowedHours>,
}

impl StagedDelivery {
    /// Returns true if the code appears in the message or in one of its alternatives.
    pub fn contains_code(&self, code: &str) -> bool {
        self.contents().any(|content| content.contains_code(code))
    }

    /// Returns true if neither the message nor any alternative can contain a promo code.
    pub fn is_codeless(&self) -> bool {
        self.contents().all(|content| content.codeless)
    }

    fn contents(&self) -> impl Iterator<Item = &RenderedMessage> {
        let alternatives = self.alternatives.iter().map(|one| &one.content);
        std::iter::once(&self.content).chain(alternatives)
    }
}

/// The changes of deliveries that a dispatcher commits at once.
#[derive(Clone, Debug, Default)]
pub struct AttemptBatch {
    /// Attempts that have ended.
    pub ends: Vec<AttemptEnd>,
    /// Deliveries that are rescheduled, and until when.
    pub rescheduled: Vec<(DeliveryId, Timestamp)>,
    /// Deliveries whose rows cannot be read, with the reason. They fail.
    pub unreadable: Vec<(DeliveryId, String)>,
    /// Channels that are throttled, and until when.
    pub throttles: Vec<(ChannelKind, Timestamp)>,
    /// Deliveries whose next attempt begins.
    pub starts: Vec<DeliveryId>,
}

impl AttemptBatch {
    /// Returns true if there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
            && self.rescheduled.is_empty()
            && self.unreadable.is_empty()
            && self.throttles.is_empty()
            && self.starts.is_empty()
    }
}

/// A party that can ask for a pause (`Retry-After`).
#[derive(Clone, Copy, Debug)]
pub enum ThrottledParty<'s> {
    /// The provider of that channel.
    Channel(ChannelKind),
    /// The webhook with that name.
    Webhook(&'s str),
}

/// The end of an attempt to deliver. It is ignored if that attempt is not the present one of its
/// delivery: another executor has taken the delivery over.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The number of the attempt, from its start.
    pub attempt: u32,
    /// The outcome.
    pub outcome: AttemptOutcome,
}

/// The outcome of an attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The channel accepted the message.
    Delivered,
    /// A retryable failure.
    RetryableFailure {
        /// The error.
        error: String,
        /// When to retry.
        due: Timestamp,
        /// True if the result is ambiguous: the provider may have accepted the message.
        ambiguous: bool,
    },
    /// A retryable failure of the last attempt.
    RetriesExhausted {
        /// The error.
        error: String,
        /// True if the result is ambiguous: the provider may have accepted the message.
        ambiguous: bool,
    },
    /// A permanent failure. The next alternative is tried, unless an earlier attempt was ambiguous;
    /// if there is none, the delivery fails.
    PermanentFailure {
        /// The error.
        error: String,
    },
    /// Nothing was sent because of the installation's configuration. The start of the attempt is
    /// undone and the error is shown to the operator.
    Misconfigured {
        /// The error.
        error: String,
        /// When to try again.
        due: Timestamp,
    },
    /// Nothing was sent. The start of the attempt is undone.
    NotStarted,
}

impl AttemptOutcome {
    /// Returns the outcome's name.
    pub fn name(&self) -> &'static str {
        match self {
            AttemptOutcome::Delivered => "delivered",
            AttemptOutcome::RetryableFailure {
                ambiguous: true, ..
            }
            | AttemptOutcome::RetriesExhausted {
                ambiguous: true, ..
            } => "ambiguous",
            AttemptOutcome::RetryableFailure { .. } | AttemptOutcome::RetriesExhausted { .. } => {
                "retryable"
            }
            AttemptOutcome::PermanentFailure { .. } => "permanent",
            AttemptOutcome::Misconfigured { .. } => "held",
            AttemptOutcome::NotStarted => "withdrawn",
        }
    }

    /// Returns the error; `None` if there is none.
    pub fn error(&self) -> Option<&str> {
        match self {
            AttemptOutcome::Delivered | AttemptOutcome::NotStarted => None,
            AttemptOutcome::RetryableFailure { error, .. }
            | AttemptOutcome::RetriesExhausted { error, .. }
            | AttemptOutcome::PermanentFailure { error }
            | AttemptOutcome::Misconfigured { error, .. } => Some(error),
        }
    }

    /// Returns true if an attempt was made, so that its start remains recorded.
    pub fn was_attempted(&self) -> bool {
        !matches!(
            self,
            AttemptOutcome::Misconfigured { .. } | AttemptOutcome::NotStarted
        )
    }
}

/// State of a delivery.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum DeliveryState {
    /// Waiting for its first or next attempt.
    Pending,
    /// Accepted by the channel.
    Delivered,
    /// Failed permanently, or after the last attempt.
    Failed,
    /// Cancelled.
    Cancelled,
}

/// A delivery that may be attempted.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// The current alternative.
    pub target: Alternative,
    /// The number of that alternative, from 0.
    pub alternative: u32,
    /// The time after which it is not attempted any more.
    pub expires: Timestamp,
    /// The hours in which attempts may begin.
    pub hours: Option<AllowedHours>,
    /// The attempts with this alternative so far, or since an operator restarted the delivery.
    pub attempts: u32,
    /// The number of the attempt that was started last, from 1; 0 before the first.
    pub attempt: u32,
    /// True if it was scheduled for a later time: a retry, or the start of its hours.
    pub was_scheduled: bool,
}

/// A page of deliveries that may be attempted.
#[derive(Clone, Debug, Default)]
pub struct DuePage {
    /// The deliveries, in the order in which to begin them.
    pub deliveries: Vec<DueDelivery>,
    /// Deliveries whose rows cannot be read, with the reason.
    pub unreadable: Vec<(DeliveryId, String)>,
    /// True if there may be more.
    pub more: bool,
}

/// A delivery in listings.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRow {
    /// The delivery.
    pub id: DeliveryId,
    /// The run that staged it.
    pub run: RunId,
    /// The channel.
    pub channel: ChannelKind,
    /// The address.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// The rendered message, [without its unsubscribe address](RenderedMessage::with_unsubscribe_tag).
    pub content: RenderedMessage,
    /// The state.
    pub state: DeliveryState,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The error of the last attempt.
    pub error: Option<String>,
}

/// Maximum content bytes in a page of deliveries. The page ends with the delivery that reaches it.
pub const MAX_PAGE_BYTES: usize = 8 << 20;

impl DeliveryRow {
    /// Returns the approximate size of the content in bytes.
    pub fn size(&self) -> usize {
        size(&self.content)
    }
}

impl DueDelivery {
    /// Returns the idempotency key for the provider, the same in every attempt. Each alternative
    /// has its own: a provider that rejected one must not mistake the next for a repetition.
    pub fn identity(&self) -> String {
        match self.alternative {
            0 => format!("delivery-{}", self.id),
            number => format!("delivery-{}-{}", self.id, number.saturating_add(1)),
        }
    }

    /// Returns the approximate size of the content in bytes.
    pub fn size(&self) -> usize {
        size(&self.target.content)
    }
}

fn size(content: &RenderedMessage) -> usize {
    let parts = [&content.subject, &content.text, &content.html];
    parts.into_iter().flatten().map(String::len).sum()
}

/// The details of one delivery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliveryHistory {
    /// When the next attempt is due.
    pub due: Option<Timestamp>,
    /// When it expires; `None`: never.
    pub expires: Option<Timestamp>,
    /// The hours in which attempts may begin.
    pub hours: Option<AllowedHours>,
    /// The alternatives in order, with contents [without unsubscribe addresses](RenderedMessage::with_unsubscribe_tag).
    pub alternatives: Vec<Alternative>,
    /// The number of the current alternative, from 0.
    pub current: u32,
    /// The attempts in order.
    pub attempts: Vec<AttemptRow>,
}

/// An attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number, from 1.
    pub number: u32,
    /// The number of the alternative used, from 0.
    pub alternative: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` if it is in progress or its process died.
    pub ended: Option<Timestamp>,
    /// `delivered`, `retryable`, `permanent` or `ambiguous`; `None` until it has ended.
    pub outcome: Option<String>,
    /// The error.
    pub error: Option<String>,
}
