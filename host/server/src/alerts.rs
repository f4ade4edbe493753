//! Alerts: what is watched of the pool, what is raised, and how long the pool lasts.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::page;
use super::problem::Problem;
use super::request::Params;
use promoflow_installation::{LaneOutlook, Watched};
use promoflow_model::alert::{Kind, Level, Rule};
use promoflow_store::{DeliveryState, Notice};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(rules))
        .routes(routes!(notices))
}

pub(super) fn outlook_router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(outlook))
}

/// What is watched.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum KindName {
    Left,
    RunsDry,
    Expiring,
}

impl From<Kind> for KindName {
    fn from(kind: Kind) -> KindName {
        match kind {
            Kind::Left => KindName::Left,
            Kind::RunsDry => KindName::RunsDry,
            Kind::Expiring => KindName::Expiring,
        }
    }
}

/// Whether anything is raised.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StateName {
    Ok,
    Warning,
    Alarm,
}

/// A rule: what is watched, and from when on it is told.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertRule)]
#[serde(rename_all = "camelCase")]
struct RuleJson {
    /// `left`: codes that are left; `runs-dry`: days until none is; `expiring`: codes that expire
    /// unused.
    kind: KindName,
    /// Of this type; without it, of every type that no other rule names.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    code_type: Option<String>,
    /// Of this discount; without it, of every discount that no other rule names.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<u8>,
    /// The threshold of the warning: codes, or days for `runs-dry`.
    warning: u32,
    /// The threshold of the alarm.
    alarm: u32,
    /// `expiring`: the days within which codes expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    within_days: Option<u32>,
    /// The webhooks that are told, by name.
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

/// A type and discount that a rule watches.
#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
#[serde(rename_all = "camelCase")]
struct AlertJson {
    /// What is watched.
    kind: KindName,
    /// The type.
    #[serde(rename = "type")]
    code_type: String,
    /// The discount.
    discount: u8,
    /// The level that is raised.
    state: StateName,
    /// Since when it is so, RFC 3339; absent where nothing was ever raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// The threshold of the warning.
    warning: u32,
    /// The threshold of the alarm.
    alarm: u32,
    /// `expiring`: the days within which codes expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    within_days: Option<u32>,
    /// Codes that are left, or for `expiring` those that expire.
    count: u64,
    /// Days until no code is left, at the rate of the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<f64>,
}

impl From<Watched> for AlertJson {
    fn from(watched: Watched) -> AlertJson {
        let lane = watched.outlook.count.lane;
        AlertJson {
            kind: watched.rule.kind.into(),
            code_type: lane.code_type,
            discount: lane.discount,
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
            days_left: watched.outlook.days_left,
        }
    }
}

/// How the codes of a type and discount stand, and how long they last.
#[derive(Serialize, ToSchema)]
#[schema(as = Outlook)]
#[serde(rename_all = "camelCase")]
struct OutlookJson {
    /// The type.
    #[serde(rename = "type")]
    code_type: String,
    /// The discount.
    discount: u8,
    /// Free, and not expired.
    available: u64,
    /// Claimed.
    used: u64,
    /// Set aside.
    retired: u64,
    /// Free, but expired.
    expired: u64,
    /// Available, and expiring within the next 7 days.
    expiring: u64,
    /// Claimed in the last 24 hours.
    claimed_last_day: u64,
    /// Days until no code is left, at that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<f64>,
}

impl From<LaneOutlook> for OutlookJson {
    fn from(lane: LaneOutlook) -> OutlookJson {
        OutlookJson {
            code_type: lane.count.lane.code_type,
            discount: lane.count.lane.discount,
            available: lane.count.available,
            used: lane.count.used,
            retired: lane.count.retired,
            expired: lane.count.expired,
            expiring: lane.count.expiring,
            claimed_last_day: lane.claimed_last_day,
            days_left: lane.days_left,
        }
    }
}

/// List what is watched of the pool, with the level that is raised.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts",
    responses((status = 200, description = "Each type and discount that a rule watches.",
               body = Vec<AlertJson>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<AlertJson>>, Problem> {
    api.call(|promoflow| {
        let watched = promoflow.alerts()?.into_iter();
        Ok(Json(watched.map(AlertJson::from).collect()))
    })
    .await
}

/// List the rules of the alerts, as the configuration has them.
#[utoipa::path(get, path = "/api/v1/alerts/rules", tag = "alerts",
    responses((status = 200, description = "The rules.", body = Vec<RuleJson>)))]
async fn rules(State(api): State<Api>) -> Json<Vec<RuleJson>> {
    let rules = api.promoflow.alert_rules().iter();
    Json(rules.map(RuleJson::from).collect())
}

/// Show how long the promo codes last, by type and discount.
#[utoipa::path(get, path = "/api/v1/promocodes/outlook", tag = "promocodes",
    responses((status = 200, description = "Each type and discount.", body = Vec<OutlookJson>)))]
async fn outlook(State(api): State<Api>) -> Result<Json<Vec<OutlookJson>>, Problem> {
    api.call(|promoflow| {
        let lanes = promoflow.outlook()?.into_iter();
        Ok(Json(lanes.map(OutlookJson::from).collect()))
    })
    .await
}

/// How a notice stands.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum NoticeStateName {
    Pending,
    Delivered,
    Failed,
}

/// Which notices.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Choice {
    /// Only notices in this state.
    #[param(inline)]
    state: Option<NoticeStateName>,
    /// Notices of a page, 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The notice after which the page begins, as the `Link` of the page before has it.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// The event of an alert on its way to a webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Notice)]
struct NoticeJson {
    /// Its number.
    notice: String,
    /// The webhook's name.
    webhook: String,
    /// How it stands; `failed`: given up.
    state: NoticeStateName,
    /// Attempts that have begun.
    attempts: u32,
    /// Why the last attempt did not do.
    error: Option<String>,
    /// When it is tried next, RFC 3339.
    due: Option<String>,
    /// When the alert was raised.
    at: String,
    /// The event, as it is sent.
    #[schema(value_type = Object)]
    event: Value,
}

impl From<Notice> for NoticeJson {
    fn from(notice: Notice) -> NoticeJson {
        NoticeJson {
            notice: notice.id.to_string(),
            webhook: notice.webhook,
            state: match notice.state {
                DeliveryState::Pending => NoticeStateName::Pending,
                DeliveryState::Delivered => NoticeStateName::Delivered,
                DeliveryState::Failed | DeliveryState::Cancelled => NoticeStateName::Failed,
            },
            attempts: notice.attempts,
            error: notice.error,
            due: notice.due.map(|due| due.to_string()),
            at: notice.at.to_string(),
            event: serde_json::from_str(&notice.event).unwrap_or_default(),
        }
    }
}

/// List what webhooks were told, and are still to be told, the newest first.
#[utoipa::path(get, path = "/api/v1/alerts/notices", tag = "alerts", params(Choice),
    responses((status = 200, description = "A page of notices.", body = Vec<NoticeJson>,
        headers(("Link" = String, description = "The next page, while there is one.")))))]
async fn notices(
    State(api): State<Api>,
    Params(choice): Params<Choice>,
) -> Result<Response, Problem> {
    let limit = page::limit(choice.limit)?;
    let before = page::cursor(choice.after.as_deref())?;
    let state = choice.state.map(|state| match state {
        NoticeStateName::Pending => DeliveryState::Pending,
        NoticeStateName::Delivered => DeliveryState::Delivered,
        NoticeStateName::Failed => DeliveryState::Failed,
    });
    let rows = api
        .call(move |promoflow| Ok(promoflow.notices(state, before, limit + 1)?))
        .await?;
    let query = [
        ("state", choice.state.and_then(page::name)),
        page::asked(limit),
    ];
    let key = |row: &Notice| row.id.to_string();
    let path = "/api/v1/alerts/notices";
    Ok(page::page(path, &query, limit, rows, key, NoticeJson::from))
}
