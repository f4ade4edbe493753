//! History of a delivery.

use serde::Serialize;
use utoipa::ToSchema;

use super::DeliveryJson;
use promoflow_store::{Alternative, AttemptRow, DeliveryHistory, DeliveryRow};

/// A delivery with its alternatives and attempts.
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

/// Schedule, alternatives and attempts of a delivery.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryHistory)]
#[serde(rename_all = "camelCase")]
struct HistoryJson {
    /// Time of the next attempt, RFC 3339; null if there is none.
    next_attempt_at: Option<String>,
    /// Expiration time, which is that of its promo code; null if it does not expire.
    expires: Option<String>,
    /// Allowed hours for sending, with their time zone; null if unlimited.
    #[schema(example = "09:00-21:00 Europe/Kyiv")]
    hours: Option<String>,
    /// Index of the current alternative, counted from 0.
    current_alternative: u32,
    /// Alternatives in the order in which they are tried.
    alternatives: Vec<AlternativeJson>,
    /// Attempts, oldest first.
    history: Vec<AttemptJson>,
}

/// One alternative of a delivery.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAlternative)]
struct AlternativeJson {
    /// Channel.
    #[schema(example = "sms")]
    channel: String,
    /// Address.
    address: String,
    /// Id of the message.
    message: String,
}

/// An attempt to deliver.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
#[serde(rename_all = "camelCase")]
struct AttemptJson {
    /// Number of the attempt, counted from 1.
    attempt: u32,
    /// Index of the alternative used, counted from 0.
    alternative: u32,
    /// Start time, RFC 3339.
    started_at: String,
    /// End time, RFC 3339; null if it is in progress or its process has died.
    finished_at: Option<String>,
    /// Outcome. `retryable`: failed and is retried; `ambiguous`: it may have been delivered and is
    /// retried; `permanent`: failed and is not retried.
    #[schema(pattern = "^(delivered|retryable|ambiguous|permanent)$")]
    outcome: Option<String>,
    /// Error.
    error: Option<String>,
}

impl From<DeliveryHistory> for HistoryJson {
    fn from(history: DeliveryHistory) -> HistoryJson {
        let text = |moment: promoflow_model::clock::Timestamp| moment.to_string();
        HistoryJson {
            next_attempt_at: history.due.map(text),
            expires: history.expires.map(text),
            hours: history.hours.map(|hours| hours.to_string()),
            current_alternative: history.current,
            alternatives: history
                .alternatives
                .into_iter()
                .map(AlternativeJson::from)
                .collect(),
            history: history
                .attempts
                .into_iter()
                .map(AttemptJson::from)
                .collect(),
        }
    }
}

impl From<Alternative> for AlternativeJson {
    fn from(alternative: Alternative) -> AlternativeJson {
        AlternativeJson {
            channel: alternative.channel.to_string(),
            address: alternative.address,
            message: alternative.message,
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
