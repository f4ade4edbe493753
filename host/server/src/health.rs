//! Whether the process lives, and whether it can work. Without a key: a load balancer has none.

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

/// How the service is.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "It lives.", body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the service can work: its database answers and is of its own release, it is known who
/// executes, and it was not told to end.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "It can work.", body = Health)))]
async fn readyz(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    if api.draining.load(Ordering::SeqCst) {
        return Err(Problem::unavailable("the service is ending"));
    }
    api.call(|promoflow| Ok(promoflow.usable()?)).await?;
    if !api.running.knows_executor() {
        return Err(Problem::unavailable(
            "it is unknown which process executes; the log of the service tells more",
        ));
    }
    Ok(Json(Health { status: "ok" }))
}
