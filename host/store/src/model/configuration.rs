//! Configuration: messages, blocks and workflows as stored.

use serde::{Deserialize, Serialize};

use super::WorkflowVersionId;
use promoflow_model::block::Description;
use promoflow_model::workflow::Workflow;

/// The result of applying a message or workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its version, counted from 1.
    pub version: u32,
    /// True if it differs from the previous version.
    pub changed: bool,
}

/// A block's component with its description.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBlock {
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// The result of the block's `describe`.
    pub description: Description,
    /// The component.
    pub bytes: Vec<u8>,
}

/// Whether events start a workflow.
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
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum WorkflowState {
    /// Events start it.
    Active,
    /// Events do not start it.
    Paused,
}

/// A version of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWorkflow {
    /// The row that runs refer to.
    pub row: WorkflowVersionId,
    /// The version, counted from 1.
    pub version: u32,
    /// The state of the workflow as a whole, regardless of version.
    pub state: WorkflowState,
    /// Why the workflow is paused, unless a person paused it.
    pub reason: Option<String>,
    /// The definition.
    pub workflow: Workflow,
}
