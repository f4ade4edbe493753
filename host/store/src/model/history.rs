//! The launch history: runs and their steps, the actions on them, and the audit's findings.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::*;
use promoflow_model::clock::Timestamp;

/// A step in the launch history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// The step's id.
    pub step: String,
    /// The block's name.
    pub block: String,
    /// The port by which the run left the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The values that it set.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// The lines that it logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The error; `None` if it has a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// State of a run.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RunState {
    /// The run may continue.
    Running,
    /// The run continues later.
    Waiting,
    /// The run is done.
    Completed,
    /// The run ended with an error.
    Failed,
    /// A person or an event ended the run.
    Cancelled,
}

/// A run that may continue.
#[derive(Clone, Debug)]
pub struct DueRun {
    /// The run.
    pub id: RunId,
    /// The version of the workflow.
    pub workflow: WorkflowVersionId,
    /// The configuration that it started with.
    pub config: ConfigVersion,
    /// The number of the next segment.
    pub segment: u32,
    /// The first step of that segment.
    pub step: u32,
    /// The attempts of that segment so far.
    pub attempt: u32,
    /// The retry states of those attempts, by step.
    pub retry_states: Vec<RetryState>,
    /// The run's values; the event's parameters before the first segment.
    pub data: Map<String, Value>,
    /// The names of the values that its steps have set.
    pub set: BTreeSet<String>,
    /// The event's key.
    pub key: String,
    /// How often the run has left each step.
    pub visits: HashMap<String, u32>,
    /// The end of its wait; `None` if it did not wait.
    pub resumed: Option<WaitOutcome>,
}

/// Runs that may continue.
#[derive(Clone, Debug, Default)]
pub struct DueRuns {
    /// The runs, the longest due first.
    pub runs: Vec<DueRun>,
    /// Due runs that cannot be read, with the reason. They are to fail.
    pub unreadable: Vec<(RunId, String)>,
}

/// A run in listings.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// The version of the workflow.
    pub workflow: WorkflowVersionId,
    /// The event: its id, or its row if it has none.
    pub event: String,
    /// The event's key.
    pub key: String,
    /// The state.
    pub state: RunState,
    /// The error that it failed with, or that of the last attempt.
    pub error: Option<String>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// The thing, other than a time, that the run waits for, as text.
    pub awaited: Option<String>,
    /// When the run continues: the end of its wait, or the next attempt.
    pub due: Option<Timestamp>,
    /// The retry state; `None` if no attempt has failed.
    pub retry_state: Option<RetryState>,
}

impl RunRow {
    /// Returns a description of what the run waits for; `None` if it does not wait.
    pub fn waiting_for(&self) -> Option<String> {
        match (self.state, &self.awaited) {
            (RunState::Waiting, None) => self.due.map(|_| "a point in time".to_owned()),
            (RunState::Waiting, Some(awaited)) => Some(awaited.clone()),
            _ => None,
        }
    }

    /// Returns until when the run waits; `None` if it does not wait or waits without a limit.
    pub fn waiting_until(&self) -> Option<Timestamp> {
        self.due.filter(|_| self.state == RunState::Waiting)
    }
}

/// An action of an operator on a run or a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ends it permanently.
    Cancel,
    /// Retries it now.
    Retry,
}

/// The result of an [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// The action was applied.
    Done {
        /// The number of codes that went back to the pool.
        released: u64,
        /// The number of deliveries that were cancelled.
        cancelled_deliveries: u64,
    },
    /// There is no run or delivery with that number.
    Unknown,
    /// The action is not possible, for this reason; nothing was changed.
    Rejected(&'static str),
}

/// The audit's finding about one promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromiseReport {
    /// The promise, such as `P1`.
    pub promise: String,
    /// True if the promise holds.
    pub holds: bool,
    /// The number of rows checked.
    pub checked: u64,
    /// The offending rows, as text; at most 100.
    pub violations: Vec<String>,
}
