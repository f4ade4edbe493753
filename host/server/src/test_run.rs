//! Test runs: what an event would do.

use axum::Json;
use axum::extract::{Request, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::events::{read_event, send_problem};
use super::problem::Problem;
use promoflow_api_model::{EventV2, TestRun};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(test))
}

/// Test an event without side effects.
///
/// The workflows run, but nothing is stored or sent: no code is claimed, and the event is not
/// recorded.
#[utoipa::path(post, path = "/api/v1/event/test", tag = "workflows",
    request_body = EventV2,
    responses((status = 200, description = "The runs that the event would start.",
        body = TestRun)))]
async fn test(State(api): State<Api>, request: Request) -> Result<Json<TestRun>, Problem> {
    let event = read_event(&api, request, |_| Ok(())).await?;
    api.run_blocking(move |promoflow| {
        let id = event.id.clone();
        let plan = promoflow.test_run(event).map_err(send_problem)?;
        Ok(Json(TestRun::new(id, plan, &promoflow.workflow_names()?)))
    })
    .await
}
