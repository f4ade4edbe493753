//! Workflows.

use axum::Json;
use axum::extract::{Request, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::definitions::{check_result, read_definition, reject_errors, warnings};
use super::problem::Problem;
use super::request::PathParams;
use promoflow_api_model::{CheckResult, Workflow};
use promoflow_installation::Promoflow;
use promoflow_model::workflow::flowchart as drawn;
use promoflow_store::{StoredWorkflow, WorkflowState};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, apply))
        .routes(routes!(check))
        .routes(routes!(show))
        .routes(routes!(graph))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

fn find(promoflow: &Promoflow, id: &str) -> Result<StoredWorkflow, Problem> {
    let mut all = promoflow.workflows()?.into_iter();
    all.find(|stored| stored.workflow.id == id)
        .ok_or_else(|| Problem::not_found("workflow", id))
}

/// List the workflows.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows",
    responses((status = 200, description = "The workflows.", body = Vec<Workflow>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<Workflow>>, Problem> {
    api.run_blocking(|promoflow| {
        let workflows = promoflow.workflows()?.into_iter();
        Ok(Json(workflows.map(Workflow::from).collect()))
    })
    .await
}

/// Check workflows and store them. From then on, events start the new version.
///
/// The body is a workflow file in YAML or JSON. If it has errors, nothing is stored and each error
/// is reported with its line and column.
#[utoipa::path(post, path = "/api/v1/workflows", tag = "workflows",
    request_body(content((String = "application/yaml"), (Value = "application/json"))),
    responses((status = 200, description = "The stored workflows.", body = Vec<Workflow>)))]
async fn apply(State(api): State<Api>, request: Request) -> Result<Json<Vec<Workflow>>, Problem> {
    let (name, source) = read_definition(&api, request).await?;
    api.run_blocking(move |promoflow| {
        let file = promoflow.apply_workflows(name, &source)?;
        reject_errors(&file, "workflow")?;
        let mut all = Vec::with_capacity(file.applied.len());
        let warnings = warnings(name, &source, &file.diagnostics);
        for ((workflow, applied), warnings) in file.applied.into_iter().zip(warnings) {
            all.push(Workflow {
                version: applied.version,
                changed: Some(applied.changed),
                warnings: Some(warnings),
                ..find(promoflow, &workflow.id)?.into()
            });
        }
        Ok(Json(all))
    })
    .await
}

/// Check workflows without storing them.
#[utoipa::path(post, path = "/api/v1/workflows/check", tag = "workflows",
    request_body(content((String = "application/yaml"), (Value = "application/json"))),
    responses((status = 200, description = "The errors and warnings.", body = CheckResult)))]
async fn check(State(api): State<Api>, request: Request) -> Result<Json<CheckResult>, Problem> {
    let (name, source) = read_definition(&api, request).await?;
    api.run_blocking(move |promoflow| {
        let parsed = promoflow.check_workflows(name, &source)?;
        Ok(Json(check_result(&parsed.diagnostics)))
    })
    .await
}

/// Show a workflow with its definition.
#[utoipa::path(get, path = "/api/v1/workflows/{workflow}", tag = "workflows",
    params(("workflow" = String, Path, description = "Id of the workflow.")),
    responses((status = 200, description = "The workflow.", body = Workflow)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Workflow>, Problem> {
    api.run_blocking(move |promoflow| {
        let stored = find(promoflow, &id)?;
        let definition = serde_json::to_value(&stored.workflow).map_err(Problem::internal)?;
        Ok(Json(Workflow {
            definition: Some(definition),
            ..stored.into()
        }))
    })
    .await
}

/// Draw a workflow as a Mermaid flowchart.
#[utoipa::path(get, path = "/api/v1/workflows/{workflow}/graph", tag = "workflows",
    params(("workflow" = String, Path, description = "Id of the workflow.")),
    responses((status = 200, description = "The flowchart.", body = String,
        content_type = "text/plain")))]
async fn graph(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<String, Problem> {
    api.run_blocking(move |promoflow| Ok(drawn(&find(promoflow, &id)?.workflow)))
        .await
}

/// Pause a workflow: events no longer start it; runs in progress continue.
#[utoipa::path(post, path = "/api/v1/workflows/{workflow}/pause", tag = "workflows",
    params(("workflow" = String, Path, description = "Id of the workflow.")),
    responses((status = 200, description = "The workflow.", body = Workflow)))]
async fn pause(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Workflow>, Problem> {
    set_state(&api, id, WorkflowState::Paused).await
}

/// Resume a paused workflow: events start it again.
#[utoipa::path(post, path = "/api/v1/workflows/{workflow}/resume", tag = "workflows",
    params(("workflow" = String, Path, description = "Id of the workflow.")),
    responses((status = 200, description = "The workflow.", body = Workflow)))]
async fn resume(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Workflow>, Problem> {
    set_state(&api, id, WorkflowState::Active).await
}

async fn set_state(api: &Api, id: String, state: WorkflowState) -> Result<Json<Workflow>, Problem> {
    api.run_blocking(move |promoflow| {
        find(promoflow, &id)?;
        promoflow.set_workflow_state(&id, state)?;
        Ok(Json(find(promoflow, &id)?.into()))
    })
    .await
}
