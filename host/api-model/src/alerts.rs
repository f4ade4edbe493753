//! Alerts, their rules and notifications, and the forecast of the pool.

use promoflow_installation::{GroupForecast, WatchedGroup};
use promoflow_model::alert::{Kind, Level, Rule};
use promoflow_store as store;
use promoflow_store::DeliveryState;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// State of an alert.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// No threshold is crossed.
    Ok,
    /// The threshold of the warning is crossed.
    Warning,
    /// The threshold of the alarm is crossed.
    Alarm,
}

/// An alert rule and its thresholds.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AlertRule {
    /// `available`: available codes; `exhaustion`: days until no code is available; `expiring`: codes that
    /// expire unused.
    pub kind: Kind,
    /// Type of the codes; if absent, every type without a rule of its own.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub code_type: Option<String>,
    /// Discount of the codes; if absent, every discount without a rule of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<u8>,
    /// Threshold of the warning: a number of codes, or of days for `exhaustion`.
    pub warning: u32,
    /// Threshold of the alarm.
    pub alarm: u32,
    /// `expiring`: number of days within which codes expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_days: Option<u32>,
    /// Names of the webhooks that are notified.
    pub webhooks: Vec<String>,
}

impl From<&Rule> for AlertRule {
    fn from(rule: &Rule) -> AlertRule {
        AlertRule {
            kind: rule.kind,
            code_type: rule.code_type.clone(),
            discount: rule.discount,
            warning: rule.warning,
            alarm: rule.alarm,
            within_days: (rule.kind == Kind::Expiring).then_some(rule.within_days),
            webhooks: rule.webhooks.clone(),
        }
    }
}

/// The state of a rule for a type and discount.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Kind of the alert.
    pub kind: Kind,
    /// Type of the codes.
    #[serde(rename = "type")]
    pub code_type: String,
    /// Discount of the codes.
    pub discount: u8,
    /// Current state.
    pub state: AlertState,
    /// Time of the last change of the state, RFC 3339; absent if the alert was never raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Threshold of the warning.
    pub warning: u32,
    /// Threshold of the alarm.
    pub alarm: u32,
    /// `expiring`: number of days within which codes expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_days: Option<u32>,
    /// Number of available codes; for `expiring`, number of codes that expire.
    pub count: u64,
    /// Days until no code is available, at the rate of the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<f64>,
    /// Number of codes claimed in the last 24 hours.
    pub claimed_last_day: u64,
}

impl From<WatchedGroup> for Alert {
    fn from(watched: WatchedGroup) -> Alert {
        let code_group = watched.forecast.count.code_group;
        Alert {
            kind: watched.rule.kind,
            code_type: code_group.code_type,
            discount: code_group.discount,
            state: match watched.level {
                None => AlertState::Ok,
                Some(Level::Warning) => AlertState::Warning,
                Some(Level::Alarm) => AlertState::Alarm,
            },
            since: watched.since.map(|at| at.to_string()),
            warning: watched.rule.warning,
            alarm: watched.rule.alarm,
            within_days: (watched.rule.kind == Kind::Expiring).then_some(watched.rule.within_days),
            count: watched.count,
            days_left: watched.forecast.days_left,
            claimed_last_day: watched.forecast.claimed_last_day,
        }
    }
}

/// Forecast for a type and discount.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Type of the codes.
    #[serde(rename = "type")]
    pub code_type: String,
    /// Discount of the codes.
    pub discount: u8,
    /// Number of unused codes that have not expired.
    pub available: u64,
    /// Number of used codes.
    pub used: u64,
    /// Number of retired codes.
    pub retired: u64,
    /// Number of unused codes that have expired.
    pub expired: u64,
    /// Number of available codes that expire within the next 7 days.
    pub expiring: u64,
    /// Number of codes claimed in the last 24 hours.
    pub claimed_last_day: u64,
    /// Days until no code is available, at the rate of the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<f64>,
}

impl From<GroupForecast> for Forecast {
    fn from(code_group: GroupForecast) -> Forecast {
        Forecast {
            code_type: code_group.count.code_group.code_type,
            discount: code_group.count.code_group.discount,
            available: code_group.count.available,
            used: code_group.count.used,
            retired: code_group.count.retired,
            expired: code_group.count.expired,
            expiring: code_group.count.expiring,
            claimed_last_day: code_group.claimed_last_day,
            days_left: code_group.days_left,
        }
    }
}

/// State of a notification.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum NotificationState {
    /// Waiting for an attempt.
    Pending,
    /// Accepted by the webhook.
    Delivered,
    /// Permanently failed.
    Failed,
}

impl From<DeliveryState> for NotificationState {
    fn from(state: DeliveryState) -> NotificationState {
        match state {
            DeliveryState::Pending => NotificationState::Pending,
            DeliveryState::Delivered => NotificationState::Delivered,
            DeliveryState::Failed | DeliveryState::Cancelled => NotificationState::Failed,
        }
    }
}

impl From<NotificationState> for DeliveryState {
    fn from(state: NotificationState) -> DeliveryState {
        match state {
            NotificationState::Pending => DeliveryState::Pending,
            NotificationState::Delivered => DeliveryState::Delivered,
            NotificationState::Failed => DeliveryState::Failed,
        }
    }
}

/// A notification of an alert to a webhook.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Id of the notification.
    pub notification: String,
    /// Name of the webhook.
    pub webhook: String,
    /// State; `failed`: no further attempts are made.
    pub state: NotificationState,
    /// Number of attempts.
    pub attempts: u32,
    /// Error of the last attempt.
    pub error: Option<String>,
    /// Time of the next attempt, RFC 3339.
    pub next_attempt_at: Option<String>,
    /// Time of the alert, RFC 3339.
    pub created_at: String,
    /// Event sent to the webhook.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub event: Value,
}

impl From<store::Notification> for Notification {
    fn from(row: store::Notification) -> Notification {
        Notification {
            notification: row.id.to_string(),
            webhook: row.webhook,
            state: row.state.into(),
            attempts: row.attempts,
            error: row.error,
            next_attempt_at: row.due.map(|due| due.to_string()),
            created_at: row.at.to_string(),
            event: serde_json::from_str(&row.event).unwrap_or_default(),
        }
    }
}
