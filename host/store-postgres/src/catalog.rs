//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::clock::Timestamp;
use promoflow_model::message::Message;
use promoflow_model::workflow::Workflow;
use promoflow_store::{
    Applied, ConfigVersion, NewNotification, StoredBlock, StoredWorkflow, WorkflowState,
    WorkflowVersionId,
};
use std::collections::HashMap;

impl promoflow_store::ConfigurationStore for PostgresStore {
    fn config(&self) -> Result<ConfigVersion> {
        unimplemented!()
    }
    fn save_message(&self, message: &Message, at: Timestamp) -> Result<Applied> {
        unimplemented!()
    }
    fn messages(&self) -> Result<Vec<Message>> {
        unimplemented!()
    }
    fn message_at(&self, id: &str, config: ConfigVersion) -> Result<Option<(u32, Message)>> {
        unimplemented!()
    }
    fn save_block(&self, block: &StoredBlock) -> Result<()> {
        unimplemented!()
    }
    fn block(&self, digest: &str) -> Result<Option<StoredBlock>> {
        unimplemented!()
    }
    fn save_workflow(&self, workflow: &Workflow, at: Timestamp) -> Result<Applied> {
        unimplemented!()
    }
    fn workflows(&self) -> Result<Vec<StoredWorkflow>> {
        unimplemented!()
    }
    fn workflow_version(&self, row: WorkflowVersionId) -> Result<Option<StoredWorkflow>> {
        unimplemented!()
    }
    fn workflow_names(&self) -> Result<HashMap<WorkflowVersionId, (String, u32)>> {
        unimplemented!()
    }
    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> Result<bool> {
        unimplemented!()
    }
    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notifications: &[NewNotification],
        at: Timestamp,
    ) -> Result<()> {
        unimplemented!()
    }
}
