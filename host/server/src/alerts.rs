//! Alerts on the pool, their rules and notifications, and the pool's forecast.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::pagination;
use super::problem::Problem;
use super::request::QueryParams;
use promoflow_installation::{GroupForecast, WatchedGroup};
use promoflow_model::alert::{Kind, Level, Rule};
use promoflow_store::{DeliveryState, Notification};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(rules))
        .routes(routes!(notifications))
}

pub(super) fn forecast_router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(forecast))
}

/// Kind of an alert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum KindName {
    Available,
    Exhaustion,
    Expiring,
}

impl From<Kind> for KindName {
    fn from(kind: Kind) -> KindName {
        match kind {
            Kind::Available => KindName::Available,
            Kind::Exhaustion => KindName::Exhaustion,
            Kind::Expiring => KindName::Expiring,
        }
    }
}

/// State of an alert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StateName {
    Ok,
    Warning,
    Alarm,
}

/// An alert rule and its thresholds.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertRule)]
#[serde(rename_all = "camelCase")]
struct RuleJson {
    /// `available`: available codes; `exhaustion`: days until no code is available; `expiring`: codes that
    /// expire unused.
    kind: KindName,
    /// Type of the codes; if absent, every type without a rule of its own.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    code_type: Option<String>,
    /// Discount of the codes; if absent, every discount without a rule of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<u8>,
    /// Threshold of the warning: a number of codes, or of days for `exhaustion`.
    warning: u32,
    /// Threshold of the alarm.
    alarm: u32,
    /// `expiring`: number of days within which codes expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    within_days: Option<u32>,
    /// Names of the webhooks that are notified.
    webhooks: Vec<String>,
}

impl From<&Rule> for RuleJson {
    fn from(rule: &Rule) -> RuleJson {
        RuleJson {
            kind: rule.kind.into(),
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
#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
#[serde(rename_all = "camelCase")]
struct AlertJson {
    /// Kind of the alert.
    kind: KindName,
    /// Type of the codes.
    #[serde(rename = "type")]
    code_type: String,
    /// Discount of the codes.
    discount: u8,
    /// Current state.
    state: StateName,
    /// Time of the last change of the state, RFC 3339; absent if the alert was never raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Threshold of the warning.
    warning: u32,
    /// Threshold of the alarm.
    alarm: u32,
    /// `expiring`: number of days within which codes expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    within_days: Option<u32>,
    /// Number of available codes; for `expiring`, number of codes that expire.
    count: u64,
    /// Days until no code is available, at the rate of the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<f64>,
}

impl From<WatchedGroup> for AlertJson {
    fn from(watched: WatchedGroup) -> AlertJson {
        let code_group = watched.forecast.count.code_group;
        AlertJson {
            kind: watched.rule.kind.into(),
            code_type: code_group.code_type,
            discount: code_group.discount,
            state: match watched.level {
                None => StateName::Ok,
                Some(Level::Warning) => StateName::Warning,
                Some(Level::Alarm) => StateName::Alarm,
            },
            since: watched.since.map(|at| at.to_string()),
            warning: watched.rule.warning,
            alarm: watched.rule.alarm,
            within_days: (watched.rule.kind == Kind::Expiring).then_some(watched.rule.within_days),
            count: watched.count,
            days_left: watched.forecast.days_left,
        }
    }
}

/// Forecast for a type and discount.
#[derive(Serialize, ToSchema)]
#[schema(as = Forecast)]
#[serde(rename_all = "camelCase")]
struct ForecastJson {
    /// Type of the codes.
    #[serde(rename = "type")]
    code_type: String,
    /// Discount of the codes.
    discount: u8,
    /// Number of unused codes that have not expired.
    available: u64,
    /// Number of used codes.
    used: u64,
    /// Number of retired codes.
    retired: u64,
    /// Number of unused codes that have expired.
    expired: u64,
    /// Number of available codes that expire within the next 7 days.
    expiring: u64,
    /// Number of codes claimed in the last 24 hours.
    claimed_last_day: u64,
    /// Days until no code is available, at the rate of the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<f64>,
}

impl From<GroupForecast> for ForecastJson {
    fn from(code_group: GroupForecast) -> ForecastJson {
        ForecastJson {
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

/// List the alerts and their states.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts",
    responses((status = 200, description = "The alerts, one for each rule, type and discount.",
               body = Vec<AlertJson>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<AlertJson>>, Problem> {
    api.run_blocking(|promoflow| {
        let watched = promoflow.alerts()?.into_iter();
        Ok(Json(watched.map(AlertJson::from).collect()))
    })
    .await
}

/// List the configured alert rules.
#[utoipa::path(get, path = "/api/v1/alerts/rules", tag = "alerts",
    responses((status = 200, description = "The alert rules.", body = Vec<RuleJson>)))]
async fn rules(State(api): State<Api>) -> Json<Vec<RuleJson>> {
    let rules = api.promoflow.alert_rules().iter();
    Json(rules.map(RuleJson::from).collect())
}

/// Show the forecast of the pool by type and discount.
#[utoipa::path(get, path = "/api/v1/promocodes/forecast", tag = "promocodes",
    responses((status = 200, description = "The forecast.", body = Vec<ForecastJson>)))]
async fn forecast(State(api): State<Api>) -> Result<Json<Vec<ForecastJson>>, Problem> {
    api.run_blocking(|promoflow| {
        let groups = promoflow.forecast()?.into_iter();
        Ok(Json(groups.map(ForecastJson::from).collect()))
    })
    .await
}

/// State of a notification.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum NotificationStateName {
    Pending,
    Delivered,
    Failed,
}

/// Query parameters of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only notifications in this state.
    #[param(inline)]
    state: Option<NotificationStateName>,
    /// Maximum number of notifications in a page (default: 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from the `Link` of the previous page.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// A notification of an alert to a webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Notification)]
#[serde(rename_all = "camelCase")]
struct NotificationJson {
    /// Id of the notification.
    notification: String,
    /// Name of the webhook.
    webhook: String,
    /// State; `failed`: no further attempts are made.
    state: NotificationStateName,
    /// Number of attempts.
    attempts: u32,
    /// Error of the last attempt.
    error: Option<String>,
    /// Time of the next attempt, RFC 3339.
    next_attempt_at: Option<String>,
    /// Time of the alert, RFC 3339.
    created_at: String,
    /// Event sent to the webhook.
    #[schema(value_type = Object)]
    event: Value,
}

impl From<Notification> for NotificationJson {
    fn from(row: Notification) -> NotificationJson {
        NotificationJson {
            notification: row.id.to_string(),
            webhook: row.webhook,
            state: match row.state {
                DeliveryState::Pending => NotificationStateName::Pending,
                DeliveryState::Delivered => NotificationStateName::Delivered,
                DeliveryState::Failed | DeliveryState::Cancelled => NotificationStateName::Failed,
            },
            attempts: row.attempts,
            error: row.error,
            next_attempt_at: row.due.map(|due| due.to_string()),
            created_at: row.at.to_string(),
            event: serde_json::from_str(&row.event).unwrap_or_default(),
        }
    }
}

/// List notifications, newest first.
#[utoipa::path(get, path = "/api/v1/alerts/notifications", tag = "alerts", params(ListParams),
    responses((status = 200, description = "A page of notifications.", body = Vec<NotificationJson>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn notifications(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let limit = pagination::parse_limit(params.limit)?;
    let before = pagination::parse_cursor(params.after.as_deref())?;
    let state = params.state.map(|state| match state {
        NotificationStateName::Pending => DeliveryState::Pending,
        NotificationStateName::Delivered => DeliveryState::Delivered,
        NotificationStateName::Failed => DeliveryState::Failed,
    });
    let rows = api
        .run_blocking(move |promoflow| Ok(promoflow.notifications(state, before, limit + 1)?))
        .await?;
    let query = [
        ("state", params.state.and_then(pagination::serialized_name)),
        pagination::limit_param(limit),
    ];
    let key = |row: &Notification| row.id.to_string();
    let path = "/api/v1/alerts/notifications";
    Ok(pagination::paginate(
        path,
        &query,
        limit,
        rows,
        key,
        NotificationJson::from,
    ))
}
