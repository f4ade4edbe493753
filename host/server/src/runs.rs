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
use super::page;
use super::problem::{Kind, Problem};
use super::request::{Params, Place, number};
use promoflow_installation::Promoflow;
use promoflow_store::{Order, Ordered, RunId, RunRow, RunState, StepRecord, WorkflowRow};

const PATH: &str = "/api/v1/runs";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
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
struct Choice {
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
    waits_for: Option<String>,
    /// Time or timeout of the wait, RFC 3339; null if it has no timeout.
    waits_until: Option<String>,
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

type Names = HashMap<WorkflowRow, (String, u32)>;

impl RunJson {
    fn new(row: RunRow, names: &Names) -> RunJson {
        let workflow = names.get(&row.workflow);
        let (waits_for, waits_until) = (row.waits_for(), row.waits_until());
        RunJson {
            run: row.id.to_string(),
            workflow: workflow.map(|(id, _)| id.clone()),
            version: workflow.map(|(_, version)| *version),
            event: row.event,
            key: row.key,
            state: row.state.into(),
            error: row.error,
            waits_for,
            waits_until: waits_until.map(|until| until.to_string()),
            retry: row.retries.map(|trouble| RetryJson {
                step: Some(trouble.step).filter(|step| !step.is_empty()),
                attempts: trouble.attempts,
                max_attempts: trouble.kind.backoff().attempts,
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
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(Choice),
    responses((status = 200, description = "A page of runs.", body = Vec<RunJson>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(State(api): State<Api>, Params(choice): Params<Choice>) -> Result<Response, Problem> {
    let limit = page::limit(choice.limit)?;
    let before = page::cursor(choice.after.as_deref())?;
    let state = choice.state.map(RunState::from);
    let (rows, names) = api
        .call(move |promoflow| {
            let rows = promoflow.runs_before(state, before, limit + 1)?;
            Ok((rows, promoflow.workflow_names()?))
        })
        .await?;
    let query = [
        ("state", choice.state.and_then(page::name)),
        page::asked(limit),
    ];
    let key = |row: &RunRow| row.id.to_string();
    Ok(page::page(PATH, &query, limit, rows, key, |row| {
        RunJson::new(row, &names)
    }))
}

fn find(promoflow: &Promoflow, id: RunId) -> Result<RunJson, Problem> {
    let found = promoflow.run(id)?;
    let (row, steps) = found.ok_or_else(|| Problem::unknown("run", &id.to_string()))?;
    Ok(RunJson {
        steps: Some(steps.into_iter().map(StepJson::from).collect()),
        ..RunJson::new(row, &promoflow.workflow_names()?)
    })
}

/// Show a run with its steps.
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = RunJson)))]
async fn one(State(api): State<Api>, Place(id): Place<String>) -> Result<Json<RunJson>, Problem> {
    let run = number("run", &id)?;
    api.call(move |promoflow| Ok(Json(find(promoflow, run)?)))
        .await
}

/// Retry a failed run from the first step of the failed segment.
#[utoipa::path(post, path = "/api/v1/runs/{run}/retry", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = RunJson)))]
async fn retry(State(api): State<Api>, Place(id): Place<String>) -> Result<Json<RunJson>, Problem> {
    order(&api, &id, Order::Retry).await
}

/// Cancel a run. Its promo codes return to the pool if none of them may have been sent.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", tag = "runs",
    params(("run" = String, Path, description = "Id of the run.")),
    responses((status = 200, description = "The run.", body = RunJson)))]
async fn cancel(
    State(api): State<Api>,
    Place(id): Place<String>,
) -> Result<Json<RunJson>, Problem> {
    order(&api, &id, Order::Cancel).await
}

async fn order(api: &Api, id: &str, order: Order) -> Result<Json<RunJson>, Problem> {
    let run = number("run", id)?;
    api.call(move |promoflow| {
        done(promoflow.order_run(run, order)?, "run", &run.to_string())?;
        Ok(Json(find(promoflow, run)?))
    })
    .await
}

/// Converts the outcome of an action to a result.
pub(super) fn done(ordered: Ordered, what: &str, id: &str) -> Result<(), Problem> {
    match ordered {
        Ordered::Done { .. } => Ok(()),
        Ordered::Unknown => Err(Problem::unknown(what, id)),
        Ordered::Refused(why) => Err(Problem::new(
            Kind::WrongState,
            format!("{what} {id}: {why}"),
        )),
    }
}
