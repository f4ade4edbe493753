//! Messages, blocks and workflows, every version of them.

use std::collections::HashMap;

use promoflow_model::clock::Timestamp;
use promoflow_model::message::Message;
use promoflow_model::workflow::Workflow;

use crate::{
    Applied, ConfigVersion, NewNotification, Result, StoredBlock, StoredWorkflow, WorkflowState,
    WorkflowVersionId,
};

/// Messages, blocks and workflows, every version of them.
pub trait ConfigurationStore: Send + Sync {
    /// Returns the number of the current configuration. Each applied message or workflow increases
    /// it.
    fn config(&self) -> Result<ConfigVersion>;

    /// Stores a message. If nothing changed, the version stays the same.
    fn save_message(&self, message: &Message, at: Timestamp) -> Result<Applied>;

    /// Returns the current version of every message, by id.
    fn messages(&self) -> Result<Vec<Message>>;

    /// Returns a message as it was in that configuration, with its version.
    fn message_at(&self, id: &str, config: ConfigVersion) -> Result<Option<(u32, Message)>>;

    /// Stores a block's component under its digest.
    fn save_block(&self, block: &StoredBlock) -> Result<()>;

    /// Returns the block with that digest.
    fn block(&self, digest: &str) -> Result<Option<StoredBlock>>;

    /// Stores a workflow. If nothing changed, the version stays the same.
    fn save_workflow(&self, workflow: &Workflow, at: Timestamp) -> Result<Applied>;

    /// Returns the current version of every workflow, by id.
    fn workflows(&self) -> Result<Vec<StoredWorkflow>>;

    /// Returns the version of a workflow that runs refer to by this row.
    fn workflow_version(&self, row: WorkflowVersionId) -> Result<Option<StoredWorkflow>>;

    /// Returns the id and version of each workflow row, for listings.
    fn workflow_names(&self) -> Result<HashMap<WorkflowVersionId, (String, u32)>>;

    /// Pauses or resumes a workflow. Returns false if there is no workflow with that id.
    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> Result<bool>;

    /// Pauses a workflow automatically, for this reason, and stores the notifications of that.
    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notifications: &[NewNotification],
        at: Timestamp,
    ) -> Result<()>;
}
