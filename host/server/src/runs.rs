//! Runs: the launch history.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::pagination::{Page, parse_cursor};
use super::problem::{Kind, Problem};
use super::request::{PathParams, QueryParams, parse_id};
use promoflow_api_model::Run;
use promoflow_installation::Promoflow;
use promoflow_store::{Action, ActionResult, RunId, RunRow, RunState};

const PATH: &str = "/api/v1/runs";

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
    /// Only runs in this state.
    #[param(inline)]
    state: Option<RunState>,
    /// Maximum number of runs in a page (default: 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from the `Link` of the previous page.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// List runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(ListParams),
    responses((status = 200, description = "A page of runs.", body = Vec<Run>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let page = Page::new(PATH, params.limit)?.filter("state", params.state);
    let before = parse_cursor(params.after.as_deref())?;
    let limit = page.rows();
    let (rows, names) = api
        .run_blocking(move |promoflow| {
            let rows = promoflow.runs_before(params.state, before, limit)?;
            Ok((rows, promoflow.workflow_names()?))
        })
        .await?;
    let key = |row: &RunRow| row.id.to_string();
    Ok(page.respond(rows, key, |row| Run::new(row, &names)))
}

fn find(promoflow: &Promoflow, id: RunId) -> Result<Run, Problem> {
    let found = promoflow.run(id)?;
    let (row, steps) = found.ok_or_else(|| Problem::not_found("run", &id.to_string()))?;
    Ok(Run::new(row, &promoflow.workflow_names()?).with_steps(steps))
}

/// Show a run with its steps.
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = Run)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Run>, Problem> {
    let run = parse_id("run", &id)?;
    api.run_blocking(move |promoflow| Ok(Json(find(promoflow, run)?)))
        .await
}

/// Retry a failed run from the first step of the failed segment.
#[utoipa::path(post, path = "/api/v1/runs/{run}/retry", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = Run)))]
async fn retry(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Run>, Problem> {
    apply_action(&api, &id, Action::Retry).await
}

/// Cancel a run. Its promo codes return to the pool if none of them may have been sent.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = Run)))]
async fn cancel(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Run>, Problem> {
    apply_action(&api, &id, Action::Cancel).await
}

async fn apply_action(api: &Api, id: &str, action: Action) -> Result<Json<Run>, Problem> {
    let run = parse_id("run", id)?;
    api.run_blocking(move |promoflow| {
        check_outcome(
            promoflow.apply_run_action(run, action)?,
            "run",
            &run.to_string(),
        )?;
        Ok(Json(find(promoflow, run)?))
    })
    .await
}

/// Converts the outcome of an action to a result.
pub(super) fn check_outcome(ordered: ActionResult, what: &str, id: &str) -> Result<(), Problem> {
    match ordered {
        ActionResult::Done { .. } => Ok(()),
        ActionResult::Unknown => Err(Problem::not_found(what, id)),
        ActionResult::Rejected(why) => Err(Problem::new(
            Kind::InvalidState,
            format!("{what} {id}: {why}"),
        )),
    }
}
