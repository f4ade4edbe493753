//! Workflows.

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::definitions::{CheckResult, read_definition, reject_errors, warnings};
use super::problem::{ErrorDetail, Problem};
use super::request::PathParams;
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

/// A workflow.
#[derive(Serialize, ToSchema)]
#[schema(as = Workflow)]
struct WorkflowJson {
    /// Id of the workflow.
    workflow: String,
    /// Display name.
    name: String,
    /// Current version, counted from 1.
    version: u32,
    /// `active` or `paused`; events start only active workflows.
    #[schema(example = "active", pattern = "^(active|paused)$")]
    state: &'static str,
    /// Reason why it was paused automatically: its blocks failed too often in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Type of the event that starts it.
    event: String,
    /// Steps.
    steps: Vec<StepJson>,
    /// True if it differs from the previous version; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    /// Warnings, with line and column; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<ErrorDetail>>,
    /// Definition; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Value>,
}

/// A step of a workflow.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkflowStep)]
struct StepJson {
    /// Id of the step.
    id: String,
    /// Name of its block.
    block: String,
}

impl From<StoredWorkflow> for WorkflowJson {
    fn from(stored: StoredWorkflow) -> WorkflowJson {
        let workflow = stored.workflow;
        let steps = workflow.steps.into_iter();
        WorkflowJson {
            workflow: workflow.id,
            name: workflow.name,
            version: stored.version,
            state: match stored.state {
                WorkflowState::Active => "active",
                WorkflowState::Paused => "paused",
            },
            reason: stored.reason,
            event: workflow.start.event,
            steps: steps
                .map(|step| StepJson {
                    id: step.id,
                    block: step.block,
                })
                .collect(),
            changed: None,
            warnings: None,
            definition: None,
        }
    }
}

fn find(promoflow: &Promoflow, id: &str) -> Result<StoredWorkflow, Problem> {
    let mut all = promoflow.workflows()?.into_iter();
    all.find(|stored| stored.workflow.id == id)
        .ok_or_else(|| Problem::not_found("workflow", id))
}

/// List the workflows.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows",
    responses((status = 200, description = "The workflows.", body = Vec<WorkflowJson>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<WorkflowJson>>, Problem> {
    api.run_blocking(|promoflow| {
        let workflows = promoflow.workflows()?.into_iter();
        Ok(Json(workflows.map(WorkflowJson::from).collect()))
    })
    .await
}

/// Check workflows and store them. From then on, events start the new version.
///
/// The body is a workflow file in YAML or JSON. If it has errors, nothing is stored and each error
/// is reported with its line and column.
#[utoipa::path(post, path = "/api/v1/workflows", tag = "workflows",
    request_body(content((String = "application/yaml"), (Value = "application/json"))),
    responses((status = 200, description = "The stored workflows.", body = Vec<WorkflowJson>)))]
async fn apply(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<Vec<WorkflowJson>>, Problem> {
    let (name, source) = read_definition(&api, request).await?;
    api.run_blocking(move |promoflow| {
        let file = promoflow.apply_workflows(name, &source)?;
        reject_errors(&file, "workflow")?;
        let mut all = Vec::with_capacity(file.applied.len());
        let warnings = warnings(name, &source, &file.diagnostics);
        for ((workflow, applied), warnings) in file.applied.into_iter().zip(warnings) {
            all.push(WorkflowJson {
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
        Ok(Json(CheckResult::new(&parsed.diagnostics)))
    })
    .await
}

/// Show a workflow with its definition.
#[utoipa::path(get, path = "/api/v1/workflows/{workflow}", tag = "workflows",
    params(("workflow" = String, Path, description = "Id of the workflow.")),
    responses((status = 200, description = "The workflow.", body = WorkflowJson)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<WorkflowJson>, Problem> {
    api.run_blocking(move |promoflow| {
        let stored = find(promoflow, &id)?;
        let definition = serde_json::to_value(&stored.workflow).map_err(Problem::internal)?;
        Ok(Json(WorkflowJson {
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
    responses((status = 200, description = "The workflow.", body = WorkflowJson)))]
async fn pause(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<WorkflowJson>, Problem> {
    set_state(&api, id, WorkflowState::Paused).await
}

/// Resume a paused workflow: events start it again.
#[utoipa::path(post, path = "/api/v1/workflows/{workflow}/resume", tag = "workflows",
    params(("workflow" = String, Path, description = "Id of the workflow.")),
    responses((status = 200, description = "The workflow.", body = WorkflowJson)))]
async fn resume(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<WorkflowJson>, Problem> {
    set_state(&api, id, WorkflowState::Active).await
}

async fn set_state(
    api: &Api,
    id: String,
    state: WorkflowState,
) -> Result<Json<WorkflowJson>, Problem> {
    api.run_blocking(move |promoflow| {
        find(promoflow, &id)?;
        promoflow.set_workflow_state(&id, state)?;
        Ok(Json(find(promoflow, &id)?.into()))
    })
    .await
}
