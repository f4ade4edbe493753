//! What a delivery went through.

use serde::Serialize;
use utoipa::ToSchema;

use super::DeliveryJson;
use promoflow_store::{Alternative, AttemptRow, DeliveryHistory, DeliveryRow};

/// A message to an address, with what it went through.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryWithHistory)]
pub(super) struct ShownDelivery {
    #[serde(flatten)]
    delivery: DeliveryJson,
    #[serde(flatten)]
    history: HistoryJson,
}

impl ShownDelivery {
    pub(super) fn new(row: DeliveryRow, history: DeliveryHistory) -> ShownDelivery {
        ShownDelivery {
            delivery: row.into(),
            history: history.into(),
        }
    }
}

/// What a delivery went through, and what it has before it.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryHistory)]
struct HistoryJson {
    /// When it is tried next, RFC 3339; null where it is not.
    due: Option<String>,
    /// When it is given up, with the promo code that it carries; null: never.
    expires: Option<String>,
    /// The hours in which it may leave, with their time zone; null: any.
    #[schema(example = "09:00-21:00 Europe/Kyiv")]
    hours: Option<String>,
    /// The number of the alternative that it has come to, counted from 0.
    alternative: u32,
    /// Its alternatives, in the order in which they are tried.
    alternatives: Vec<WayJson>,
    /// Its attempts, in order.
    history: Vec<AttemptJson>,
}

/// One way to reach a contact.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAlternative)]
struct WayJson {
    /// How.
    #[schema(example = "sms")]
    channel: String,
    /// To whom.
    address: String,
    /// The prepared message.
    message: String,
}

/// An attempt to deliver.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
#[serde(rename_all = "camelCase")]
struct AttemptJson {
    /// Its number, counted from 1.
    attempt: u32,
    /// The number of the alternative that it used, counted from 0.
    alternative: u32,
    /// When it began.
    started_at: String,
    /// When it ended; null: it is under way, or its process has died.
    finished_at: Option<String>,
    /// What came of it; unclear: it may have arrived, and is tried again.
    #[schema(pattern = "^(delivered|later|unclear|refused)$")]
    outcome: Option<String>,
    /// Why it did not do.
    error: Option<String>,
}

impl From<DeliveryHistory> for HistoryJson {
    fn from(history: DeliveryHistory) -> HistoryJson {
        let text = |moment: promoflow_model::clock::Timestamp| moment.to_string();
        HistoryJson {
            due: history.due.map(text),
            expires: history.expires.map(text),
            hours: history.hours.map(|hours| hours.to_string()),
            alternative: history.present,
            alternatives: history
                .alternatives
                .into_iter()
                .map(WayJson::from)
                .collect(),
            history: history
                .attempts
                .into_iter()
                .map(AttemptJson::from)
                .collect(),
        }
    }
}

impl From<Alternative> for WayJson {
    fn from(way: Alternative) -> WayJson {
        WayJson {
            channel: way.channel.to_string(),
            address: way.address,
            message: way.message,
        }
    }
}

impl From<AttemptRow> for AttemptJson {
    fn from(attempt: AttemptRow) -> AttemptJson {
        AttemptJson {
            attempt: attempt.number,
            alternative: attempt.alternative,
            started_at: attempt.started.to_string(),
            finished_at: attempt.ended.map(|ended| ended.to_string()),
            outcome: attempt.outcome,
            error: attempt.error,
        }
    }
}
