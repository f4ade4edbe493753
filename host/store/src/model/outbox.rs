//! The outbox: what is staged, tried, and listed.

use serde::{Deserialize, Serialize};

use super::*;
use promoflow_model::clock::Timestamp;
use promoflow_model::message::{AllowedHours, ChannelKind, Content};

/// One way in which a delivery may reach its contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// How.
    pub channel: ChannelKind,
    /// To whom.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// What the contact gets.
    pub content: Content,
}

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
    /// The ways that follow, each tried when the one before was refused for good and cannot have
    /// arrived.
    pub others: Vec<Alternative>,
    /// Not before; [`AT_ONCE`]: whatever the clock says.
    pub due: Timestamp,
    /// Given up at this moment: with the first of its segment's codes that it carries. The commit
    /// looks at those of earlier segments.
    pub expires: Timestamp,
    /// Only in these hours.
    pub hours: Option<AllowedHours>,
}

impl StagedDelivery {
    /// Whether a promo code is seen in one of its ways.
    pub fn shows(&self, code: &str) -> bool {
        self.contents().any(|content| content.shows(code))
    }

    /// Whether none of its ways holds a promo code, for certain.
    pub fn is_codeless(&self) -> bool {
        self.contents().all(|content| content.codeless)
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        let others = self.others.iter().map(|way| &way.content);
        std::iter::once(&self.content).chain(others)
    }
}

/// What a dispatcher commits at once.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    /// Attempts that have ended.
    pub ends: Vec<AttemptEnd>,
    /// Deliveries that are not tried before that moment.
    pub postponed: Vec<(DeliveryId, Timestamp)>,
    /// Deliveries whose rows cannot be read, and why: they fail.
    pub unreadable: Vec<(DeliveryId, String)>,
    /// Channels that are left alone until that moment.
    pub pauses: Vec<(ChannelKind, Timestamp)>,
    /// Deliveries whose next attempt begins.
    pub starts: Vec<DeliveryId>,
}

impl Attempts {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
            && self.postponed.is_empty()
            && self.unreadable.is_empty()
            && self.pauses.is_empty()
            && self.starts.is_empty()
    }
}

/// Who may ask to be left alone for a while.
#[derive(Clone, Copy, Debug)]
pub enum Side<'s> {
    /// Whoever takes letters of that kind.
    Channel(ChannelKind),
    /// The webhook of that name.
    Webhook(&'s str),
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
        /// Whether the other side may have taken it all the same.
        unclear: bool,
    },
    /// Not now, and it was tried often enough.
    GivenUp {
        /// Why.
        error: String,
        /// Whether the other side may have taken it all the same.
        unclear: bool,
    },
    /// Never: the next alternative is tried, unless an earlier attempt was unclear, or the delivery
    /// fails.
    Refused {
        /// Why.
        error: String,
    },
    /// Nothing was handed over, because of how the installation is set up: the start is taken back,
    /// and an operator is told why.
    Held {
        /// Why.
        error: String,
        /// When to look again.
        due: Timestamp,
    },
    /// Nothing was handed over: the start is taken back.
    Withdrawn,
}

impl AttemptOutcome {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            AttemptOutcome::Delivered => "delivered",
            AttemptOutcome::Later { unclear: true, .. }
            | AttemptOutcome::GivenUp { unclear: true, .. } => "unclear",
            AttemptOutcome::Later { .. } | AttemptOutcome::GivenUp { .. } => "later",
            AttemptOutcome::Refused { .. } => "refused",
            AttemptOutcome::Held { .. } => "held",
            AttemptOutcome::Withdrawn => "withdrawn",
        }
    }

    /// Whether anything was tried: the start stands.
    pub fn was_tried(&self) -> bool {
        !matches!(
            self,
            AttemptOutcome::Held { .. } | AttemptOutcome::Withdrawn
        )
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
    /// The way that is tried now.
    pub way: Alternative,
    /// The number of that way, from 0.
    pub alternative: u32,
    /// Given up at this moment.
    pub expires: Timestamp,
    /// Only in these hours.
    pub hours: Option<AllowedHours>,
    /// Attempts by this way until now, or since it was revived.
    pub tries: u32,
    /// Whether it was to wait until now: for its next attempt, or for its hours.
    pub waited: bool,
}

/// Deliveries that may be tried.
#[derive(Clone, Debug, Default)]
pub struct DuePage {
    /// In the order in which they begin.
    pub letters: Vec<DueDelivery>,
    /// Those whose rows cannot be read, and why.
    pub unreadable: Vec<(DeliveryId, String)>,
    /// Whether there may be more.
    pub more: bool,
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
    /// What the contact gets, as people are [shown](Content::shown) it.
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
        size(&self.content)
    }
}

impl DueDelivery {
    /// Who it is for the other side, the same in every attempt. Each way is somebody else: a
    /// provider that has refused the one must not take the next for a repetition.
    pub fn identity(&self) -> String {
        match self.alternative {
            0 => format!("delivery-{}", self.id),
            number => format!("delivery-{}-{}", self.id, number.saturating_add(1)),
        }
    }

    /// About how many bytes its content has.
    pub fn size(&self) -> usize {
        size(&self.way.content)
    }
}

fn size(content: &Content) -> usize {
    let parts = [&content.subject, &content.text, &content.html];
    parts.into_iter().flatten().map(String::len).sum()
}

/// What a delivery went through, for those who look at one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliveryHistory {
    /// When it is tried next.
    pub due: Option<Timestamp>,
    /// When it is given up; `None`: never.
    pub expires: Option<Timestamp>,
    /// The hours in which it may begin.
    pub hours: Option<AllowedHours>,
    /// Its alternatives, in order, their contents as people are [shown](Content::shown) them.
    pub alternatives: Vec<Alternative>,
    /// The number of the one that it has come to, from 0.
    pub present: u32,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptRow>,
}

/// An attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number, from 1.
    pub number: u32,
    /// The alternative that it used, from 0.
    pub alternative: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None`: it is under way, or its process has died.
    pub ended: Option<Timestamp>,
    /// `delivered`, `later`, `unclear` or `refused`, once it has ended.
    pub outcome: Option<String>,
    /// Why it did not do.
    pub error: Option<String>,
}
