//! Runs: the launch history.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::pagination;
use super::problem::{Kind, Problem};
use super::request::{PathParams, QueryParams, parse_id};
use promoflow_installation::Promoflow;
use promoflow_store::{
    Action, ActionResult, RunId, RunRow, RunState, StepRecord, WorkflowVersionId,
};

const PATH: &str = "/api/v1/runs";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(retry))
        .routes(routes!(cancel))
}

/// State of a run.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RunStateName {
    Running,
    Waiting,
    Completed,
    Failed,
    Cancelled,
}

impl From<RunStateName> for RunState {
    fn from(name: RunStateName) -> RunState {
        match name {
            RunStateName::Running => RunState::Running,
            RunStateName::Waiting => RunState::Waiting,
            RunStateName::Completed => RunState::Completed,
            RunStateName::Failed => RunState::Failed,
            RunStateName::Cancelled => RunState::Cancelled,
        }
    }
}

impl From<RunState> for RunStateName {
    fn from(state: RunState) -> RunStateName {
        match state {
            RunState::Running => RunStateName::Running,
            RunState::Waiting => RunStateName::Waiting,
            RunState::Completed => RunStateName::Completed,
            RunState::Failed => RunStateName::Failed,
            RunState::Cancelled => RunStateName::Cancelled,
        }
    }
}

/// Query parameters of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only runs in this state.
    #[param(inline)]
    state: Option<RunStateName>,
    /// Maximum number of runs in a page (default: 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from the `Link` of the previous page.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// A run.
#[derive(Serialize, ToSchema)]
#[schema(as = Run)]
#[serde(rename_all = "camelCase")]
struct RunJson {
    /// Id of the run.
    run: String,
    /// Id of the workflow.
    workflow: Option<String>,
    /// Version of the workflow.
    version: Option<u32>,
    /// Id of the event that started it.
    event: String,
    /// Event key.
    key: String,
    /// State.
    state: RunStateName,
    /// Error of the run, or of its last attempt.
    error: Option<String>,
    /// Cause of the wait: a time, a promo code, or a reply.
    waiting_for: Option<String>,
    /// Time or timeout of the wait, RFC 3339; null if it has no timeout.
    waiting_until: Option<String>,
    /// Retries of the current step, if its last attempt failed and another follows.
    retry: Option<RetryJson>,
    /// Start time, RFC 3339.
    started_at: String,
    /// End time, RFC 3339; null if the run has not ended.
    finished_at: Option<String>,
    /// Steps; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepJson>>,
}

/// Retries of a step.
#[derive(Serialize, ToSchema)]
#[schema(as = RunRetry)]
#[serde(rename_all = "camelCase")]
struct RetryJson {
    /// Id of the step; null if no step has started.
    step: Option<String>,
    /// Number of failed attempts.
    attempts: u32,
    /// Maximum number of attempts.
    max_attempts: u32,
    /// Time of the next attempt, RFC 3339; null: now.
    next_at: Option<String>,
}

/// A completed step of a run.
#[derive(Serialize, ToSchema)]
#[schema(as = RunStep)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepJson {
    /// Id of the step.
    step: String,
    /// Name of its block.
    block: String,
    /// Port by which the run left the step.
    port: Option<String>,
    /// Start time, RFC 3339.
    started_at: String,
    /// End time, RFC 3339.
    finished_at: String,
    /// Values that the step set.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// Error, if it has no port.
    error: Option<String>,
    /// Log messages of the step.
    log: Vec<String>,
}

type Names = HashMap<WorkflowVersionId, (String, u32)>;

impl RunJson {
    fn new(row: RunRow, names: &Names) -> RunJson {
        let workflow = names.get(&row.workflow);
        let (waiting_for, waiting_until) = (row.waiting_for(), row.waiting_until());
        RunJson {
            run: row.id.to_string(),
            workflow: workflow.map(|(id, _)| id.clone()),
            version: workflow.map(|(_, version)| *version),
            event: row.event,
            key: row.key,
            state: row.state.into(),
            error: row.error,
            waiting_for,
            waiting_until: waiting_until.map(|until| until.to_string()),
            retry: row.retry_state.map(|retry_state| RetryJson {
                step: Some(retry_state.step).filter(|step| !step.is_empty()),
                attempts: retry_state.attempts,
                max_attempts: retry_state.kind.backoff().max_attempts,
                next_at: row.due.map(|due| due.to_string()),
            }),
            started_at: row.started.to_string(),
            finished_at: row.finished.map(|at| at.to_string()),
            steps: None,
        }
    }
}

impl From<StepRecord> for StepJson {
    fn from(step: StepRecord) -> StepJson {
        StepJson {
            step: step.step,
            block: step.block,
            port: step.port,
            started_at: step.started_at.to_string(),
            finished_at: step.finished_at.to_string(),
            data: step.data,
            error: step.error,
            log: step.log,
        }
    }
}

/// List runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(ListParams),
    responses((status = 200, description = "A page of runs.", body = Vec<RunJson>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let limit = pagination::parse_limit(params.limit)?;
    let before = pagination::parse_cursor(params.after.as_deref())?;
    let state = params.state.map(RunState::from);
    let (rows, names) = api
        .run_blocking(move |promoflow| {
            let rows = promoflow.runs_before(state, before, limit + 1)?;
            Ok((rows, promoflow.workflow_names()?))
        })
        .await?;
    let query = [
        ("state", params.state.and_then(pagination::serialized_name)),
        pagination::limit_param(limit),
    ];
    let key = |row: &RunRow| row.id.to_string();
    Ok(pagination::paginate(
        PATH,
        &query,
        limit,
        rows,
        key,
        |row| RunJson::new(row, &names),
    ))
}

fn find(promoflow: &Promoflow, id: RunId) -> Result<RunJson, Problem> {
    let found = promoflow.run(id)?;
    let (row, steps) = found.ok_or_else(|| Problem::not_found("run", &id.to_string()))?;
    Ok(RunJson {
        steps: Some(steps.into_iter().map(StepJson::from).collect()),
        ..RunJson::new(row, &promoflow.workflow_names()?)
    })
}

/// Show a run with its steps.
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = RunJson)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<RunJson>, Problem> {
    let run = parse_id("run", &id)?;
    api.run_blocking(move |promoflow| Ok(Json(find(promoflow, run)?)))
        .await
}

/// Retry a failed run from the first step of the failed segment.
#[utoipa::path(post, path = "/api/v1/runs/{run}/retry", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = RunJson)))]
async fn retry(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<RunJson>, Problem> {
    apply_action(&api, &id, Action::Retry).await
}

/// Cancel a run. Its promo codes return to the pool if none of them may have been sent.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = RunJson)))]
async fn cancel(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<RunJson>, Problem> {
    apply_action(&api, &id, Action::Cancel).await
}

async fn apply_action(api: &Api, id: &str, order: Action) -> Result<Json<RunJson>, Problem> {
    let run = parse_id("run", id)?;
    api.run_blocking(move |promoflow| {
        check_outcome(
            promoflow.apply_run_action(run, order)?,
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
