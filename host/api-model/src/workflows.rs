//! Workflows.

use promoflow_model::workflow;
use promoflow_store::{StoredWorkflow, WorkflowState};
use serde::Serialize;
use serde_json::Value;

use crate::ErrorDetail;

/// A workflow.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// Id of the workflow.
    pub workflow: String,
    /// Display name.
    pub name: String,
    /// Current version, counted from 1.
    pub version: u32,
    /// `active` or `paused`; events start only active workflows.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "active", pattern = "^(active|paused)$"))]
    pub state: WorkflowState,
    /// Reason why it was paused automatically: its blocks failed too often in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Type of the event that starts it.
    pub event: String,
    /// Steps.
    pub steps: Vec<WorkflowStep>,
    /// True if it differs from the previous version; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// Warnings, with line and column; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<ErrorDetail>>,
    /// Definition; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Value>,
}

/// A step of a workflow.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WorkflowStep {
    /// Id of the step.
    pub id: String,
    /// Name of its block.
    pub block: String,
}

impl Workflow {
    /// Creates a workflow without what only some responses have.
    pub fn new(workflow: workflow::Workflow, version: u32, state: WorkflowState) -> Workflow {
        Workflow {
            workflow: workflow.id,
            name: workflow.name,
            version,
            state,
            reason: None,
            event: workflow.start.event,
            steps: workflow.steps.into_iter().map(WorkflowStep::from).collect(),
            changed: None,
            warnings: None,
            definition: None,
        }
    }
}

impl From<StoredWorkflow> for Workflow {
    fn from(stored: StoredWorkflow) -> Workflow {
        Workflow {
            reason: stored.reason,
            ..Workflow::new(stored.workflow, stored.version, stored.state)
        }
    }
}

impl From<workflow::Step> for WorkflowStep {
    fn from(step: workflow::Step) -> WorkflowStep {
        WorkflowStep {
            id: step.id,
            block: step.block,
        }
    }
}

/// Result of a check.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckResult {
    /// True if the file is valid.
    pub valid: bool,
    /// Errors, with line and column.
    pub errors: Vec<ErrorDetail>,
    /// Warnings, with line and column.
    pub warnings: Vec<ErrorDetail>,
}
