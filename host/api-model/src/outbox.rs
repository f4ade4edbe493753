//! Deliveries.

use promoflow_model::clock::Timestamp;
use promoflow_store as store;
use promoflow_store::{Alternative, AttemptRow, DeliveryRow, DeliveryState};
use serde::Serialize;

/// A delivery.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Id of the delivery.
    pub delivery: String,
    /// Id of the run that sends it.
    pub run: String,
    /// Channel.
    #[cfg_attr(feature = "schema", schema(example = "email"))]
    pub channel: String,
    /// Address.
    pub address: String,
    /// Id of the message.
    pub message: String,
    /// Sender.
    pub from: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Plain text.
    pub text: Option<String>,
    /// HTML.
    pub html: Option<String>,
    /// State.
    pub state: DeliveryState,
    /// Number of attempts.
    pub attempts: u32,
    /// Error of the last attempt.
    pub error: Option<String>,
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Delivery {
        Delivery {
            delivery: row.id.to_string(),
            run: row.run.to_string(),
            channel: row.channel.to_string(),
            address: row.address,
            message: row.message,
            from: row.content.from,
            subject: row.content.subject,
            text: row.content.text,
            html: row.content.html,
            state: row.state,
            attempts: row.attempts,
            error: row.error,
        }
    }
}

/// A delivery with its alternatives and attempts.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeliveryWithHistory {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Its schedule, alternatives and attempts.
    #[serde(flatten)]
    pub history: DeliveryHistory,
}

impl DeliveryWithHistory {
    /// Creates the whole delivery.
    pub fn new(row: DeliveryRow, history: store::DeliveryHistory) -> DeliveryWithHistory {
        DeliveryWithHistory {
            delivery: row.into(),
            history: history.into(),
        }
    }
}

/// Schedule, alternatives and attempts of a delivery.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeliveryHistory {
    /// Time of the next attempt, RFC 3339; null if there is none.
    pub next_attempt_at: Option<String>,
    /// Expiration time, which is that of its promo code; null if it does not expire.
    pub expires: Option<String>,
    /// Allowed hours for sending, with their time zone; null if unlimited.
    #[cfg_attr(feature = "schema", schema(example = "09:00-21:00 Europe/Kyiv"))]
    pub hours: Option<String>,
    /// Index of the current alternative, counted from 0.
    pub current_alternative: u32,
    /// Alternatives in the order in which they are tried.
    pub alternatives: Vec<DeliveryAlternative>,
    /// Attempts, oldest first.
    pub history: Vec<DeliveryAttempt>,
}

/// One alternative of a delivery.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeliveryAlternative {
    /// Channel.
    #[cfg_attr(feature = "schema", schema(example = "sms"))]
    pub channel: String,
    /// Address.
    pub address: String,
    /// Id of the message.
    pub message: String,
}

/// An attempt to deliver.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeliveryAttempt {
    /// Number of the attempt, counted from 1.
    pub attempt: u32,
    /// Index of the alternative used, counted from 0.
    pub alternative: u32,
    /// Start time, RFC 3339.
    pub started_at: String,
    /// End time, RFC 3339; null if it is in progress or its process has died.
    pub finished_at: Option<String>,
    /// Outcome. `retryable`: failed and is retried; `ambiguous`: it may have been delivered and is
    /// retried; `permanent`: failed and is not retried.
    #[cfg_attr(
        feature = "schema",
        schema(pattern = "^(delivered|retryable|ambiguous|permanent)$")
    )]
    pub outcome: Option<String>,
    /// Error.
    pub error: Option<String>,
}

impl From<store::DeliveryHistory> for DeliveryHistory {
    fn from(history: store::DeliveryHistory) -> DeliveryHistory {
        let text = |moment: Timestamp| moment.to_string();
        DeliveryHistory {
            next_attempt_at: history.due.map(text),
            expires: history.expires.map(text),
            hours: history.hours.map(|hours| hours.to_string()),
            current_alternative: history.current,
            alternatives: history
                .alternatives
                .into_iter()
                .map(DeliveryAlternative::from)
                .collect(),
            history: history
                .attempts
                .into_iter()
                .map(DeliveryAttempt::from)
                .collect(),
        }
    }
}

impl From<Alternative> for DeliveryAlternative {
    fn from(alternative: Alternative) -> DeliveryAlternative {
        DeliveryAlternative {
            channel: alternative.channel.to_string(),
            address: alternative.address,
            message: alternative.message,
        }
    }
}

impl From<AttemptRow> for DeliveryAttempt {
    fn from(attempt: AttemptRow) -> DeliveryAttempt {
        DeliveryAttempt {
            attempt: attempt.number,
            alternative: attempt.alternative,
            started_at: attempt.started.to_string(),
            finished_at: attempt.ended.map(|ended| ended.to_string()),
            outcome: attempt.outcome,
            error: attempt.error,
        }
    }
}
