//! Metrics for Prometheus. They require an API key; the scope `metrics` allows nothing else.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Problem;
use promoflow_engine::metrics::MEDIA_TYPE;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Show the metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "The metrics.", content_type = "text/plain", body = String)))]
async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let api_clone = api.clone();
    let text = api
        .run_blocking(move |promoflow| Ok(promoflow.metrics_text(&api_clone.running)?))
        .await?;
    let media = HeaderValue::from_static(MEDIA_TYPE);
    Ok(([(header::CONTENT_TYPE, media)], text).into_response())
}
