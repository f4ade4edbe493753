//! The outbox: deliveries.

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
use super::request::{PathParams, QueryParams, parse_id};
use super::runs::check_outcome;
use promoflow_api_model::{Delivery, DeliveryWithHistory};
use promoflow_installation::Promoflow;
use promoflow_store::{Action, DeliveryId, DeliveryRow, DeliveryState, MAX_PAGE_BYTES};

const PATH: &str = "/api/v1/outbox";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(retry))
        .routes(routes!(cancel))
}

/// Query parameters of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only deliveries in this state.
    #[param(inline)]
    state: Option<DeliveryState>,
    /// Maximum number of deliveries in a page (default: 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from the `Link` of the previous page.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// List deliveries, oldest first.
#[utoipa::path(get, path = "/api/v1/outbox", tag = "outbox", params(ListParams),
    responses((status = 200, description = "A page of deliveries.", body = Vec<Delivery>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let page = Page::new(PATH, params.limit)?.filter("state", params.state);
    let after = parse_cursor(params.after.as_deref())?;
    let limit = page.rows();
    let rows = api
        .run_blocking(move |promoflow| {
            Ok(promoflow.deliveries_after(params.state, after, limit)?)
        })
        .await?;
    let key = |row: &DeliveryRow| row.id.to_string();
    // Reading stopped at the row that filled the page; the next page begins with it.
    let bytes: usize = rows.iter().map(DeliveryRow::size).sum();
    let most = match bytes >= MAX_PAGE_BYTES {
        true => (limit - 1).min(rows.len().saturating_sub(1).max(1)),
        false => limit - 1,
    };
    Ok(page.respond_with(most, rows, key, Delivery::from))
}

fn find(promoflow: &Promoflow, id: DeliveryId) -> Result<DeliveryRow, Problem> {
    let found = promoflow.delivery(id)?;
    found.ok_or_else(|| Problem::not_found("delivery", &id.to_string()))
}

/// Show a delivery with its alternatives and attempts.
#[utoipa::path(get, path = "/api/v1/outbox/{delivery}", tag = "outbox",
    params(("delivery" = String, Path, description = "Id of the delivery.")),
    responses((status = 200, description = "The delivery.", body = DeliveryWithHistory)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<DeliveryWithHistory>, Problem> {
    let delivery = parse_id("delivery", &id)?;
    api.run_blocking(move |promoflow| {
        let row = find(promoflow, delivery)?;
        let history = promoflow.delivery_history(delivery)?.unwrap_or_default();
        Ok(Json(DeliveryWithHistory::new(row, history)))
    })
    .await
}

/// Retry a failed delivery now.
#[utoipa::path(post, path = "/api/v1/outbox/{delivery}/retry", tag = "outbox",
    params(("delivery" = String, Path, description = "Id of the delivery.")),
    responses((status = 200, description = "The delivery.", body = Delivery)))]
async fn retry(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Delivery>, Problem> {
    apply_action(&api, &id, Action::Retry).await
}

/// Cancel a delivery.
#[utoipa::path(post, path = "/api/v1/outbox/{delivery}/cancel", tag = "outbox",
    params(("delivery" = String, Path, description = "Id of the delivery.")),
    responses((status = 200, description = "The delivery.", body = Delivery)))]
async fn cancel(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Delivery>, Problem> {
    apply_action(&api, &id, Action::Cancel).await
}

async fn apply_action(api: &Api, id: &str, action: Action) -> Result<Json<Delivery>, Problem> {
    let delivery: DeliveryId = parse_id("delivery", id)?;
    api.run_blocking(move |promoflow| {
        let ordered = promoflow.apply_delivery_action(delivery, action)?;
        check_outcome(ordered, "delivery", &delivery.to_string())?;
        Ok(Json(find(promoflow, delivery)?.into()))
    })
    .await
}
