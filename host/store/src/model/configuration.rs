//! Configuration: messages, blocks and workflows as they are stored.

use serde::{Deserialize, Serialize};

use super::WorkflowRow;
use promoflow_model::block::Description;
use promoflow_model::workflow::Workflow;

/// What became of an applied message or workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its version, counted from 1.
    pub version: u32,
    /// Whether it differs from the version before.
    pub changed: bool,
}

/// A block's component with what it says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBlock {
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// What the block's `describe` answered.
    pub description: Description,
    /// The component.
    pub bytes: Vec<u8>,
}

/// Whether events start a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkflowState {
    /// They do.
    Active,
    /// They don't.
    Paused,
}

/// A version of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWorkflow {
    /// The row that runs refer to.
    pub row: WorkflowRow,
    /// Counted from 1.
    pub version: u32,
    /// Of the workflow as a whole, whatever the version.
    pub state: WorkflowState,
    /// Why it is paused, where that was no person's decision.
    pub reason: Option<String>,
    /// The definition.
    pub workflow: Workflow,
}
