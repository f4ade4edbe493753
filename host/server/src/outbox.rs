//! The outbox: deliveries.

mod history;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::page;
use super::problem::Problem;
use super::request::{Params, Place, number};
use super::runs::done;
use history::ShownDelivery;
use promoflow_installation::Promoflow;
use promoflow_store::{DeliveryId, DeliveryRow, DeliveryState, MOST_PAGE_BYTES, Order};

const PATH: &str = "/api/v1/outbox";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(retry))
        .routes(routes!(cancel))
}

/// How a delivery stands.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DeliveryStateName {
    Pending,
    Delivered,
    Failed,
    Cancelled,
}

impl From<DeliveryStateName> for DeliveryState {
    fn from(name: DeliveryStateName) -> DeliveryState {
        match name {
            DeliveryStateName::Pending => DeliveryState::Pending,
            DeliveryStateName::Delivered => DeliveryState::Delivered,
            DeliveryStateName::Failed => DeliveryState::Failed,
            DeliveryStateName::Cancelled => DeliveryState::Cancelled,
        }
    }
}

impl From<DeliveryState> for DeliveryStateName {
    fn from(state: DeliveryState) -> DeliveryStateName {
        match state {
            DeliveryState::Pending => DeliveryStateName::Pending,
            DeliveryState::Delivered => DeliveryStateName::Delivered,
            DeliveryState::Failed => DeliveryStateName::Failed,
            DeliveryState::Cancelled => DeliveryStateName::Cancelled,
        }
    }
}

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Choice {
    /// Only deliveries in this state.
    #[param(inline)]
    state: Option<DeliveryStateName>,
    /// Deliveries of a page, 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The delivery after which the page begins, as the `Link` of the page before has it.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// A message to an address.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryJson {
    /// Its number.
    delivery: String,
    /// The run that sends it.
    run: String,
    /// How it goes.
    #[schema(example = "email")]
    channel: String,
    /// To whom.
    address: String,
    /// The prepared message.
    message: String,
    /// The sender.
    from: Option<String>,
    /// The subject.
    subject: Option<String>,
    /// The plain text.
    text: Option<String>,
    /// The HTML.
    html: Option<String>,
    /// How it stands.
    state: DeliveryStateName,
    /// Attempts until now.
    attempts: u32,
    /// Why the last attempt did not do.
    error: Option<String>,
}

impl From<DeliveryRow> for DeliveryJson {
    fn from(row: DeliveryRow) -> DeliveryJson {
        DeliveryJson {
            delivery: row.id.to_string(),
            run: row.run.to_string(),
            channel: row.channel.to_string(),
            address: row.address,
            message: row.message,
            from: row.content.from,
            subject: row.content.subject,
            text: row.content.text,
            html: row.content.html,
            state: row.state.into(),
            attempts: row.attempts,
            error: row.error,
        }
    }
}

/// List deliveries, the oldest first.
#[utoipa::path(get, path = "/api/v1/outbox", tag = "outbox", params(Choice),
    responses((status = 200, description = "A page of deliveries.", body = Vec<DeliveryJson>,
        headers(("Link" = String, description = "The next page, while there is one.")))))]
async fn list(State(api): State<Api>, Params(choice): Params<Choice>) -> Result<Response, Problem> {
    let limit = page::limit(choice.limit)?;
    let after = page::cursor(choice.after.as_deref())?;
    let state = choice.state.map(DeliveryState::from);
    let rows = api
        .call(move |promoflow| Ok(promoflow.deliveries_after(state, after, limit + 1)?))
        .await?;
    let query = [
        ("state", choice.state.and_then(page::name)),
        page::asked(limit),
    ];
    // What was read ended with the row that filled it, and that begins the next page.
    let bytes: usize = rows.iter().map(DeliveryRow::size).sum();
    let limit = match bytes >= MOST_PAGE_BYTES {
        true => limit.min(rows.len().saturating_sub(1).max(1)),
        false => limit,
    };
    let key = |row: &DeliveryRow| row.id.to_string();
    Ok(page::page(
        PATH,
        &query,
        limit,
        rows,
        key,
        DeliveryJson::from,
    ))
}

fn find(promoflow: &Promoflow, id: DeliveryId) -> Result<DeliveryRow, Problem> {
    let found = promoflow.delivery(id)?;
    found.ok_or_else(|| Problem::unknown("delivery", &id.to_string()))
}

/// Show a delivery, with its alternatives and attempts.
#[utoipa::path(get, path = "/api/v1/outbox/{delivery}", tag = "outbox",
    params(("delivery" = String, Path, description = "Its number.")),
    responses((status = 200, description = "The delivery.", body = ShownDelivery)))]
async fn one(
    State(api): State<Api>,
    Place(id): Place<String>,
) -> Result<Json<ShownDelivery>, Problem> {
    let delivery = number("delivery", &id)?;
    api.call(move |promoflow| {
        let row = find(promoflow, delivery)?;
        let history = promoflow.delivery_history(delivery)?.unwrap_or_default();
        Ok(Json(ShownDelivery::new(row, history)))
    })
    .await
}

/// Put a failed delivery back into the outbox, due now.
#[utoipa::path(post, path = "/api/v1/outbox/{delivery}/retry", tag = "outbox",
    params(("delivery" = String, Path, description = "Its number.")),
    responses((status = 200, description = "The delivery.", body = DeliveryJson)))]
async fn retry(
    State(api): State<Api>,
    Place(id): Place<String>,
) -> Result<Json<DeliveryJson>, Problem> {
    order(&api, &id, Order::Retry).await
}

/// Call a delivery off.
#[utoipa::path(post, path = "/api/v1/outbox/{delivery}/cancel", tag = "outbox",
    params(("delivery" = String, Path, description = "Its number.")),
    responses((status = 200, description = "The delivery.", body = DeliveryJson)))]
async fn cancel(
    State(api): State<Api>,
    Place(id): Place<String>,
) -> Result<Json<DeliveryJson>, Problem> {
    order(&api, &id, Order::Cancel).await
}

async fn order(api: &Api, id: &str, order: Order) -> Result<Json<DeliveryJson>, Problem> {
    let delivery: DeliveryId = number("delivery", id)?;
    api.call(move |promoflow| {
        let ordered = promoflow.order_delivery(delivery, order)?;
        done(ordered, "delivery", &delivery.to_string())?;
        Ok(Json(find(promoflow, delivery)?.into()))
    })
    .await
}
