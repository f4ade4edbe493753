//! Alerts on the pool, their rules and notifications, and the pool's forecast.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::pagination::{Page, parse_cursor};
use super::problem::Problem;
use super::request::QueryParams;
use promoflow_api_model::{Alert, AlertRule, Forecast, Notification, NotificationState};
use promoflow_store as store;
use promoflow_store::DeliveryState;

const NOTIFICATIONS_PATH: &str = "/api/v1/alerts/notifications";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(rules))
        .routes(routes!(notifications))
}

pub(super) fn forecast_router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(forecast))
}

/// List the alerts and their states.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts",
    responses((status = 200, description = "The alerts, one for each rule, type and discount.",
               body = Vec<Alert>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<Alert>>, Problem> {
    api.run_blocking(|promoflow| {
        let watched = promoflow.alerts()?.into_iter();
        Ok(Json(watched.map(Alert::from).collect()))
    })
    .await
}

/// List the configured alert rules.
#[utoipa::path(get, path = "/api/v1/alerts/rules", tag = "alerts",
    responses((status = 200, description = "The alert rules.", body = Vec<AlertRule>)))]
async fn rules(State(api): State<Api>) -> Json<Vec<AlertRule>> {
    let rules = api.promoflow.alert_rules().iter();
    Json(rules.map(AlertRule::from).collect())
}

/// Show the forecast of the pool by type and discount.
#[utoipa::path(get, path = "/api/v1/promocodes/forecast", tag = "promocodes",
    responses((status = 200, description = "The forecast.", body = Vec<Forecast>)))]
async fn forecast(State(api): State<Api>) -> Result<Json<Vec<Forecast>>, Problem> {
    api.run_blocking(|promoflow| {
        let groups = promoflow.forecast()?.into_iter();
        Ok(Json(groups.map(Forecast::from).collect()))
    })
    .await
}

/// Query parameters of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only notifications in this state.
    #[param(inline)]
    state: Option<NotificationState>,
    /// Maximum number of notifications in a page (default: 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from the `Link` of the previous page.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// List notifications, newest first.
#[utoipa::path(get, path = "/api/v1/alerts/notifications", tag = "alerts", params(ListParams),
    responses((status = 200, description = "A page of notifications.", body = Vec<Notification>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn notifications(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let page = Page::new(NOTIFICATIONS_PATH, params.limit)?.filter("state", params.state);
    let before = parse_cursor(params.after.as_deref())?;
    let limit = page.rows();
    let state = params.state.map(DeliveryState::from);
    let rows = api
        .run_blocking(move |promoflow| Ok(promoflow.notifications(state, before, limit)?))
        .await?;
    let key = |row: &store::Notification| row.id.to_string();
    Ok(page.respond(rows, key, Notification::from))
}
