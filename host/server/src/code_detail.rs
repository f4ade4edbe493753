//! A single promo code; and why codes cannot be deleted.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};

use super::Api;
use super::problem::{Kind, Problem};
use super::request::PathParams;
use promoflow_api_model::PromocodeWithDelivery;

/// Show a promo code, its run and its delivery.
#[utoipa::path(get, path = "/api/v1/promocodes/{code}", tag = "promocodes",
    params(("code" = String, Path, description = "The code.")),
    responses((status = 200, description = "The code.", body = PromocodeWithDelivery)))]
pub(super) async fn show(
    State(api): State<Api>,
    PathParams(code): PathParams<String>,
) -> Result<Json<PromocodeWithDelivery>, Problem> {
    api.run_blocking(move |promoflow| {
        let (row, deliveries) = promoflow
            .code(&code)?
            .ok_or_else(|| Problem::not_found("promo code", &code))?;
        let calendar = promoflow.calendar()?;
        Ok(Json(PromocodeWithDelivery::new(row, &deliveries, calendar)))
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
