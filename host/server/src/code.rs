//! One promo code: who got it, and that it stays.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::codes::Promocode;
use super::outbox::DeliveryStateName;
use super::problem::{Kind, Problem};
use super::request::Place;
use promoflow_store::DeliveryRow;

/// A promo code, with the message that it went out with.
#[derive(Serialize, ToSchema)]
#[schema(as = PromocodeShown)]
pub(super) struct ShownCode {
    #[serde(flatten)]
    code: Promocode,
    /// The last delivery that carries it; null: none does.
    delivery: Option<CarriedBy>,
}

/// A delivery that carries a code.
#[derive(Serialize, ToSchema)]
struct CarriedBy {
    /// Its number.
    id: String,
    /// How it stands.
    state: DeliveryStateName,
    /// How it goes.
    #[schema(example = "email")]
    channel: String,
    /// To whom.
    address: String,
    /// The prepared message.
    message: String,
}

impl From<&DeliveryRow> for CarriedBy {
    fn from(row: &DeliveryRow) -> CarriedBy {
        CarriedBy {
            id: row.id.to_string(),
            state: row.state.into(),
            channel: row.channel.to_string(),
            address: row.address.clone(),
            message: row.message.clone(),
        }
    }
}

/// Show a promo code, who got it, and by which delivery.
#[utoipa::path(get, path = "/api/v1/promocodes/{code}", tag = "promocodes",
    params(("code" = String, Path, description = "The code.")),
    responses((status = 200, description = "The code.", body = ShownCode)))]
pub(super) async fn one(
    State(api): State<Api>,
    Place(code): Place<String>,
) -> Result<Json<ShownCode>, Problem> {
    api.call(move |promoflow| {
        let (row, deliveries) = promoflow
            .code(&code)?
            .ok_or_else(|| Problem::unknown("promo code", &code))?;
        Ok(Json(ShownCode {
            code: Promocode::new(row, promoflow.calendar()?),
            delivery: deliveries.last().map(CarriedBy::from),
        }))
    })
    .await
}

/// A promo code cannot be deleted: this always answers 405, and says what to do instead.
#[utoipa::path(delete, path = "/api/v1/promocodes/{code}", tag = "promocodes",
    params(("code" = String, Path, description = "The code.")),
    responses())]
pub(super) async fn delete() -> Problem {
    not_deleted("GET,HEAD")
}

/// Promo codes cannot be deleted: this always answers 405, and says what to do instead.
#[utoipa::path(delete, path = "/api/v1/promocodes", tag = "promocodes", responses())]
pub(super) async fn delete_all() -> Problem {
    not_deleted("GET,HEAD,POST")
}

fn not_deleted(allowed: &'static str) -> Problem {
    Problem::new(
        Kind::CodesAreNotDeleted,
        "a promo code is never deleted; to keep an unused one from being used, upload it again \
         with `\"inUse\": true`, or name it to POST /api/v1/promocodes/retire",
    )
    .header(header::ALLOW, HeaderValue::from_static(allowed))
}
