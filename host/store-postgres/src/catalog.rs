//! Messages, blocks and workflows; every version is kept.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use promoflow_model::clock::Timestamp;
use promoflow_model::message::Message;
use promoflow_model::workflow::Workflow;
use promoflow_store::{
    Applied, ConfigVersion, ConfigurationStore, NewNotification, StartRule, StoredBlock,
    StoredWorkflow, WorkflowState, WorkflowVersionId,
};

use crate::connection::{Row, integer, params};
use crate::errors::{Result, StoreResult, damaged, skip_damaged, unreadable};
use crate::settings::{number_setting, raise_setting};
use crate::transaction::Transaction;
use crate::{PostgresStore, notifications, start_rules};

/// A table of versions.
#[derive(Clone, Copy)]
enum Versions {
    Messages,
    Workflows,
}

impl Versions {
    fn latest(self) -> &'static str {
        match self {
            Versions::Messages => {
                "SELECT version, definition FROM message WHERE id = $1
                 ORDER BY version DESC LIMIT 1"
            }
            Versions::Workflows => {
                "SELECT version, definition FROM workflow WHERE id = $1
                 ORDER BY version DESC LIMIT 1"
            }
        }
    }

    fn insert(self) -> &'static str {
        match self {
            Versions::Messages => {
                "INSERT INTO message (id, version, config_version, definition, created_at)
                 VALUES ($1, $2, $3, $4, $5)"
            }
            Versions::Workflows => {
                "INSERT INTO workflow (id, version, config_version, definition, created_at)
                 VALUES ($1, $2, $3, $4, $5)"
            }
        }
    }
}

/// Serialises a value and reads it back, so that nothing unreadable is stored.
fn write_json<T: Serialize + DeserializeOwned>(what: &str, value: &T) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|error| damaged(what, error))?;
    read_json::<T>(|| what.to_owned(), &text)?;
    Ok(text)
}

fn read_json<T: DeserializeOwned>(what: impl FnOnce() -> String, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(what(), &error))
}

/// Adds a version to a table of versions, unless it equals the latest.
fn put(
    transaction: &Transaction<'_>,
    versions: Versions,
    id: &str,
    definition: &str,
    at: Timestamp,
) -> Result<Applied> {
    let version = match transaction.row(versions.latest(), params![id])? {
        Some(row) => {
            let version = row.count(0)?;
            if row.get::<String>(1)? == definition {
                return Ok(Applied {
                    version,
                    changed: false,
                });
            }
            version + 1
        }
        None => 1,
    };
    let config = raise_setting(transaction, "config-version")?;
    transaction.execute(
        versions.insert(),
        params![id, integer(version), config, definition, at.0],
    )?;
    Ok(Applied {
        version,
        changed: true,
    })
}

fn save_workflow(
    transaction: &Transaction<'_>,
    workflow: &Workflow,
    definition: &str,
    at: Timestamp,
) -> Result<Applied> {
    transaction.execute(
        "INSERT INTO workflow_state (workflow, state) VALUES ($1, 'active')
         ON CONFLICT (workflow) DO NOTHING",
        params![workflow.id],
    )?;
    let applied = put(
        transaction,
        Versions::Workflows,
        &workflow.id,
        definition,
        at,
    )?;
    if applied.changed && StartRule::for_workflow(workflow).is_some() {
        start_rules::backfill(transaction, &workflow.id)?;
    }
    Ok(applied)
}

fn read_block(digest: &str, row: &Row) -> Result<StoredBlock> {
    let description: String = row.get(0)?;
    Ok(StoredBlock {
        digest: digest.to_owned(),
        description: read_json(|| format!("the block {digest}"), &description)?,
        bytes: row.get(1)?,
    })
}

fn read_workflow(row: &Row) -> Result<StoredWorkflow> {
    let (id, state): (String, String) = (row.get(1)?, row.get(3)?);
    let definition: String = row.get(5)?;
    Ok(StoredWorkflow {
        row: WorkflowVersionId(row.get(0)?),
        version: row.count(2)?,
        state: state.parse().unwrap_or(WorkflowState::Active),
        reason: row.get(4)?,
        workflow: read_json(|| format!("the workflow `{id}`"), &definition)?,
    })
}

fn set_workflow_state(
    transaction: &Transaction<'_>,
    id: &str,
    state: WorkflowState,
    reason: Option<&str>,
) -> Result<bool> {
    let found = transaction.execute(
        "UPDATE workflow_state SET state = $2, pause_reason = $3 WHERE workflow = $1",
        params![id, <&str>::from(state), reason],
    )?;
    if found > 0 {
        raise_setting(transaction, "config-version")?;
    }
    Ok(found > 0)
}

impl ConfigurationStore for PostgresStore {
    fn config(&self) -> StoreResult<ConfigVersion> {
        Ok(self
            .read(|transaction| number_setting(transaction, "config-version").map(ConfigVersion))?)
    }

    fn save_message(&self, message: &Message, at: Timestamp) -> StoreResult<Applied> {
        let definition = write_json("a message", message)?;
        Ok(self.write(|transaction| {
            put(
                transaction,
                Versions::Messages,
                &message.id,
                &definition,
                at,
            )
        })?)
    }

    fn messages(&self) -> StoreResult<Vec<Message>> {
        Ok(self.read(|transaction| {
            let rows = transaction.rows(
                "SELECT id, definition FROM message WHERE version =
                     (SELECT max(version) FROM message AS other WHERE other.id = message.id)
                 ORDER BY id",
                &[],
            )?;
            let read = |row: &Row| {
                let (id, definition): (String, String) = (row.get(0)?, row.get(1)?);
                read_json(|| format!("the message `{id}`"), &definition)
            };
            let messages = rows.iter().map(|row| skip_damaged(read(row)));
            messages.filter_map(Result::transpose).collect()
        })?)
    }

    fn message_at(&self, id: &str, config: ConfigVersion) -> StoreResult<Option<(u32, Message)>> {
        Ok(self.read(|transaction| {
            let row = transaction.row(
                "SELECT version, definition FROM message WHERE id = $1 AND config_version <= $2
                 ORDER BY version DESC LIMIT 1",
                params![id, config.0],
            )?;
            let Some(row) = row else { return Ok(None) };
            let definition: String = row.get(1)?;
            let message = read_json(|| format!("the message `{id}`"), &definition)?;
            Ok(Some((row.count(0)?, message)))
        })?)
    }

    fn save_block(&self, block: &StoredBlock) -> StoreResult<()> {
        let description = write_json("a block's description", &block.description)?;
        Ok(self.write(|transaction| {
            transaction.execute(
                "INSERT INTO block (digest, description, component) VALUES ($1, $2, $3)
                 ON CONFLICT (digest) DO NOTHING",
                params![block.digest, description, block.bytes],
            )?;
            Ok(())
        })?)
    }

    fn block(&self, digest: &str) -> StoreResult<Option<StoredBlock>> {
        Ok(self.read(|transaction| {
            let row = transaction.row(
                "SELECT description, component FROM block WHERE digest = $1",
                params![digest],
            )?;
            row.map(|row| read_block(digest, &row)).transpose()
        })?)
    }

    fn save_workflow(&self, workflow: &Workflow, at: Timestamp) -> StoreResult<Applied> {
        let definition = write_json("a workflow", workflow)?;
        Ok(self.write(|transaction| save_workflow(transaction, workflow, &definition, at))?)
    }

    fn workflows(&self) -> StoreResult<Vec<StoredWorkflow>> {
        Ok(self.read(|transaction| {
            let rows = transaction.rows(
                "SELECT workflow.row, workflow.id, version, state, pause_reason, definition
                 FROM workflow JOIN workflow_state ON workflow_state.workflow = workflow.id
                 WHERE version =
                     (SELECT max(version) FROM workflow AS other WHERE other.id = workflow.id)
                 ORDER BY workflow.id",
                &[],
            )?;
            let workflows = rows.iter().map(|row| skip_damaged(read_workflow(row)));
            workflows.filter_map(Result::transpose).collect()
        })?)
    }

    fn workflow_version(&self, row: WorkflowVersionId) -> StoreResult<Option<StoredWorkflow>> {
        Ok(self.read(|transaction| {
            let found = transaction.row(
                "SELECT workflow.row, workflow.id, version, state, pause_reason, definition
                 FROM workflow JOIN workflow_state ON workflow_state.workflow = workflow.id
                 WHERE workflow.row = $1",
                params![row.0],
            )?;
            found.map(|row| read_workflow(&row)).transpose()
        })?)
    }

    fn workflow_names(&self) -> StoreResult<HashMap<WorkflowVersionId, (String, u32)>> {
        Ok(self.read(|transaction| {
            let rows = transaction.rows("SELECT row, id, version FROM workflow", &[])?;
            let read =
                |row: &Row| Ok((WorkflowVersionId(row.get(0)?), (row.get(1)?, row.count(2)?)));
            let names = rows.iter().map(|row| skip_damaged(read(row)));
            names.filter_map(Result::transpose).collect()
        })?)
    }

    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> StoreResult<bool> {
        Ok(self.write(|transaction| set_workflow_state(transaction, id, state, None))?)
    }

    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notifications: &[NewNotification],
        at: Timestamp,
    ) -> StoreResult<()> {
        Ok(self.write(|transaction| {
            for notification in notifications {
                notifications::put(transaction, notification, at)?;
            }
            set_workflow_state(transaction, id, WorkflowState::Paused, Some(reason))?;
            Ok(())
        })?)
    }
}
