//! Runs.

use std::collections::HashMap;

use promoflow_store::{RunRow, RunState, StepRecord, WorkflowVersionId};
use serde::Serialize;
use serde_json::{Map, Value};

/// A run.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Id of the run.
    pub run: String,
    /// Id of the workflow.
    pub workflow: Option<String>,
    /// Version of the workflow.
    pub version: Option<u32>,
    /// Id of the event that started it.
    pub event: String,
    /// Event key.
    pub key: String,
    /// State.
    pub state: RunState,
    /// Error of the run, or of its last attempt.
    pub error: Option<String>,
    /// Cause of the wait: a time, a promo code, or a reply.
    pub waiting_for: Option<String>,
    /// Time or timeout of the wait, RFC 3339; null if it has no timeout.
    pub waiting_until: Option<String>,
    /// Retries of the current step, if its last attempt failed and another follows.
    pub retry: Option<RunRetry>,
    /// Start time, RFC 3339.
    pub started_at: String,
    /// End time, RFC 3339; null if the run has not ended.
    pub finished_at: Option<String>,
    /// Steps; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<RunStep>>,
}

/// Retries of a step.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunRetry {
    /// Id of the step; null if no step has started.
    pub step: Option<String>,
    /// Number of failed attempts.
    pub attempts: u32,
    /// Maximum number of attempts.
    pub max_attempts: u32,
    /// Time of the next attempt, RFC 3339; null: now.
    pub next_at: Option<String>,
}

/// A completed step of a run.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunStep {
    /// Id of the step.
    pub step: String,
    /// Name of its block.
    pub block: String,
    /// Port by which the run left the step.
    pub port: Option<String>,
    /// Start time, RFC 3339.
    pub started_at: String,
    /// End time, RFC 3339.
    pub finished_at: String,
    /// Values that the step set.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub data: Map<String, Value>,
    /// Error, if it has no port.
    pub error: Option<String>,
    /// Log messages of the step.
    pub log: Vec<String>,
}

/// Ids and versions of workflows by their stored version.
pub type WorkflowNames = HashMap<WorkflowVersionId, (String, u32)>;

impl Run {
    /// Creates a run without its steps.
    pub fn new(row: RunRow, names: &WorkflowNames) -> Run {
        let workflow = names.get(&row.workflow);
        let (waiting_for, waiting_until) = (row.waiting_for(), row.waiting_until());
        Run {
            run: row.id.to_string(),
            workflow: workflow.map(|(id, _)| id.clone()),
            version: workflow.map(|(_, version)| *version),
            event: row.event,
            key: row.key,
            state: row.state,
            error: row.error,
            waiting_for,
            waiting_until: waiting_until.map(|until| until.to_string()),
            retry: row.retry_state.map(|retry_state| RunRetry {
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

    /// Adds the steps.
    pub fn with_steps(self, steps: Vec<StepRecord>) -> Run {
        Run {
            steps: Some(steps.into_iter().map(RunStep::from).collect()),
            ..self
        }
    }
}

impl From<StepRecord> for RunStep {
    fn from(step: StepRecord) -> RunStep {
        RunStep {
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
