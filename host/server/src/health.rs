//! Liveness and readiness. No API key is required, because load balancers have none.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Problem;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
}

/// Health of the service.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Check whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "The process is alive.", body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Check whether the service is ready.
///
/// Ready means: the database responds and has this release's layout, the process that executes runs
/// is known, and the service is not shutting down.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "The service is ready.", body = Health)))]
async fn readyz(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    if api.draining.load(Ordering::SeqCst) {
        return Err(Problem::unavailable("the service is shutting down"));
    }
    api.run_blocking(|promoflow| Ok(promoflow.check_schema()?))
        .await?;
    if !api.running.is_executor_known() {
        return Err(Problem::unavailable(
            "cannot determine which process executes runs; see the server log",
        ));
    }
    Ok(Json(Health { status: "ok" }))
}
