//! The launch history and the outbox as they are read.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::*;
use promoflow_model::clock::Timestamp;

/// A step as the launch history shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// The step's id.
    pub step: String,
    /// The block's name.
    pub block: String,
    /// The port that the run left by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The values that it set.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// What it noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Why it has no port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// May go on.
    Running,
    /// Goes on later.
    Waiting,
    /// Done.
    Completed,
    /// Ended by an error.
    Failed,
    /// Ended by a person.
    Cancelled,
}

/// A run that may go on.
#[derive(Clone, Debug)]
pub struct DueRun {
    /// The run.
    pub id: RunId,
    /// The version of the workflow.
    pub workflow: WorkflowRow,
    /// The configuration that it started with.
    pub config: ConfigId,
    /// The number of its next segment.
    pub segment: u32,
    /// The step that the segment begins with.
    pub step: u32,
    /// Attempts that the segment has taken.
    pub attempt: u32,
    /// What those met, by step.
    pub troubles: Vec<Trouble>,
    /// The run's values; the event's parameters before the first segment.
    pub data: Map<String, Value>,
    /// The names of those that its steps have set.
    pub set: BTreeSet<String>,
    /// The event's key.
    pub key: String,
    /// How often it has left each of its steps.
    pub visits: HashMap<String, u32>,
    /// What it had waited for, if it had.
    pub resumed: Option<Resumed>,
}

/// Runs that may go on.
#[derive(Clone, Debug, Default)]
pub struct DueRuns {
    /// The runs, the longest due first.
    pub runs: Vec<DueRun>,
    /// Runs that are due and cannot be read, with the reason: they are to fail.
    pub unreadable: Vec<(RunId, String)>,
}

/// A run as listings show it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// The version of the workflow.
    pub workflow: WorkflowRow,
    /// The event: its id, or its row where it has none.
    pub event: String,
    /// The event's key.
    pub key: String,
    /// How it stands.
    pub state: RunState,
    /// Why it failed, or what its last attempt met.
    pub error: Option<String>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// What it waits for beside the time, in words.
    pub awaits: Option<String>,
    /// When it goes on by itself: until when it waits, or when it is tried again.
    pub due: Option<Timestamp>,
    /// What its last attempt met, where it is tried again.
    pub retries: Option<Trouble>,
}

impl RunRow {
    /// What it waits for, in words; `None`: it does not wait.
    pub fn waits_for(&self) -> Option<String> {
        match (self.state, &self.awaits) {
            (RunState::Waiting, None) => self.due.map(|_| "a moment".to_owned()),
            (RunState::Waiting, Some(awaited)) => Some(awaited.clone()),
            _ => None,
        }
    }

    /// Until when it waits; `None`: it does not, or without an end.
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.due.filter(|_| self.state == RunState::Waiting)
    }
}

/// What a person may do to a run or a delivery by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It ends for good.
    Cancel,
    /// It is tried again, now.
    Retry,
}

/// What became of an [`Order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// It is done.
    Done {
        /// Codes that went back to the pool.
        released: u64,
        /// Deliveries that were called off.
        called_off: u64,
    },
    /// There is none of that number.
    Unknown,
    /// It cannot be done, for this reason; nothing was changed.
    Refused(&'static str),
}

/// What an audit found about one promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// `P1`.
    pub promise: String,
    /// Whether it holds.
    pub holds: bool,
    /// How many rows were looked at.
    pub checked: u64,
    /// The offending rows, a text each; at most 100.
    pub violations: Vec<String>,
}
