//! A single promo code; and why codes cannot be deleted.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::codes::Promocode;
use super::outbox::DeliveryStateName;
use super::problem::{Kind, Problem};
use super::request::PathParams;
use promoflow_store::DeliveryRow;

/// A promo code and the delivery that carries it.
#[derive(Serialize, ToSchema)]
#[schema(as = PromocodeShown)]
pub(super) struct ShownCode {
    #[serde(flatten)]
    code: Promocode,
    /// The last delivery that carries the code; null if there is none.
    delivery: Option<CodeDelivery>,
}

/// A delivery that carries a promo code.
#[derive(Serialize, ToSchema)]
struct CodeDelivery {
    /// Id of the delivery.
    id: String,
    /// State of the delivery.
    state: DeliveryStateName,
    /// Channel.
    #[schema(example = "email")]
    channel: String,
    /// Address.
    address: String,
    /// Id of the message.
    message: String,
}

impl From<&DeliveryRow> for CodeDelivery {
    fn from(row: &DeliveryRow) -> CodeDelivery {
        CodeDelivery {
            id: row.id.to_string(),
            state: row.state.into(),
            channel: row.channel.to_string(),
            address: row.address.clone(),
            message: row.message.clone(),
        }
    }
}

/// Show a promo code, its run and its delivery.
#[utoipa::path(get, path = "/api/v1/promocodes/{code}", tag = "promocodes",
    params(("code" = String, Path, description = "The code.")),
    responses((status = 200, description = "The code.", body = ShownCode)))]
pub(super) async fn show(
    State(api): State<Api>,
    PathParams(code): PathParams<String>,
) -> Result<Json<ShownCode>, Problem> {
    api.run_blocking(move |promoflow| {
        let (row, deliveries) = promoflow
            .code(&code)?
            .ok_or_else(|| Problem::not_found("promo code", &code))?;
        Ok(Json(ShownCode {
            code: Promocode::new(row, promoflow.calendar()?),
            delivery: deliveries.last().map(CodeDelivery::from),
        }))
    })
    .await
}

/// Always answers 405: a promo code cannot be deleted. The response describes the alternatives.
#[utoipa::path(delete, path = "/api/v1/promocodes/{code}", tag = "promocodes",
    params(("code" = String, Path, description = "The code.")),
    responses())]
pub(super) async fn delete() -> Problem {
    not_deleted("GET,HEAD")
}

/// Always answers 405: promo codes cannot be deleted. The response describes the alternatives.
#[utoipa::path(delete, path = "/api/v1/promocodes", tag = "promocodes", responses())]
pub(super) async fn delete_all() -> Problem {
    not_deleted("GET,HEAD,POST")
}

fn not_deleted(allowed: &'static str) -> Problem {
    Problem::new(
        Kind::CodesAreNotDeleted,
        "promo codes cannot be deleted; to retire an unused code, upload it again with `\"inUse\": \
         true` or use POST /api/v1/promocodes/retire",
    )
    .header(header::ALLOW, HeaderValue::from_static(allowed))
}
