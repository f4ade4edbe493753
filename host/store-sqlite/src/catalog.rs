//! Messages, blocks and workflows; every version is kept.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Result, SqliteStore, StoreResult, damaged, notifications, number_setting, raise_setting,
    skip_damaged, start_rules, unreadable,
};
use promoflow_model::clock::Timestamp;
use promoflow_model::message::Message;
use promoflow_model::workflow::Workflow;
use promoflow_store::{
    Applied, ConfigVersion, ConfigurationStore, NewNotification, StartRule, StoredBlock,
    StoredWorkflow, WorkflowState, WorkflowVersionId,
};

/// Serialises a value and reads it back, so that nothing unreadable is stored.
fn write_json<T: Serialize + DeserializeOwned>(what: &str, value: &T) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|error| damaged(what, error))?;
    read_json::<T>(|| what.to_owned(), &text)?;
    Ok(text)
}

fn read_json<T: DeserializeOwned>(what: impl FnOnce() -> String, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(what(), &error))
}

/// Returns the latest version in a table of versions, with its definition.
fn latest(connection: &Connection, table: &str, id: &str) -> Result<Option<(u32, String)>> {
    let sql = format!(
        "SELECT version, definition FROM {table} WHERE id = ?1 ORDER BY version DESC LIMIT 1"
    );
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Adds a version to a table of versions, unless it equals the latest.
fn put(
    connection: &Connection,
    table: &str,
    id: &str,
    definition: &str,
    at: Timestamp,
) -> Result<Applied> {
    let version = match latest(connection, table, id)? {
        Some((version, same)) if same == definition => {
            return Ok(Applied {
                version,
                changed: false,
            });
        }
        Some((version, _)) => version + 1,
        None => 1,
    };
    let config = raise_setting(connection, "config-version")?;
    let sql = format!(
        "INSERT INTO {table} (id, version, config_version, definition, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5)"
    );
    connection
        .prepare_cached(&sql)?
        .execute(params![id, version, config, definition, at.0])?;
    Ok(Applied {
        version,
        changed: true,
    })
}

pub(super) fn save_message(
    connection: &Connection,
    message: &Message,
    at: Timestamp,
) -> Result<Applied> {
    put(
        connection,
        "message",
        &message.id,
        &write_json("a message", message)?,
        at,
    )
}

pub(super) fn messages(store: &SqliteStore) -> Result<Vec<Message>> {
    store.read(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT id, definition, max(version) FROM message GROUP BY id ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let read = |row: rusqlite::Result<(String, String)>| {
            let (id, definition) = row?;
            read_json(|| format!("the message `{id}`"), &definition)
        };
        let rows = rows.map(|row| skip_damaged(read(row)));
        rows.filter_map(Result::transpose).collect()
    })
}

pub(super) fn message_at(
    store: &SqliteStore,
    id: &str,
    config: ConfigVersion,
) -> Result<Option<(u32, Message)>> {
    store.read(|connection| {
        let found: Option<(u32, String)> = connection
            .prepare_cached(
                "SELECT version, definition FROM message WHERE id = ?1 AND config_version <= ?2
                 ORDER BY version DESC LIMIT 1",
            )?
            .query_row(params![id, config.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        found
            .map(|(version, definition)| {
                Ok((
                    version,
                    read_json(|| format!("the message `{id}`"), &definition)?,
                ))
            })
            .transpose()
    })
}

pub(super) fn save_block(connection: &Connection, block: &StoredBlock) -> Result<()> {
    let description = write_json("a block's description", &block.description)?;
    connection
        .prepare_cached(
            "INSERT INTO block (digest, description, component) VALUES (?1, ?2, ?3)
             ON CONFLICT (digest) DO NOTHING",
        )?
        .execute(params![block.digest, description, block.bytes])?;
    Ok(())
}

pub(super) fn block(store: &SqliteStore, digest: &str) -> Result<Option<StoredBlock>> {
    store.read(|connection| {
        let found: Option<(String, Vec<u8>)> = connection
            .prepare_cached("SELECT description, component FROM block WHERE digest = ?1")?
            .query_row([digest], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        found
            .map(|(description, bytes)| {
                let description = read_json(|| format!("the block {digest}"), &description)?;
                Ok(StoredBlock {
                    digest: digest.to_owned(),
                    description,
                    bytes,
                })
            })
            .transpose()
    })
}

pub(super) fn save_workflow(
    connection: &Connection,
    workflow: &Workflow,
    at: Timestamp,
) -> Result<Applied> {
    let definition = write_json("a workflow", workflow)?;
    connection
        .prepare_cached(
            "INSERT INTO workflow_state (workflow, state) VALUES (?1, 'active')
             ON CONFLICT DO NOTHING",
        )?
        .execute([&workflow.id])?;
    let applied = put(connection, "workflow", &workflow.id, &definition, at)?;
    if applied.changed && StartRule::for_workflow(workflow).is_some() {
        start_rules::backfill(connection, &workflow.id)?;
    }
    Ok(applied)
}

const WORKFLOWS: &str = "SELECT workflow.row, workflow.id, version, state, pause_reason, definition
     FROM workflow JOIN workflow_state ON workflow_state.workflow = workflow.id";

fn stored(row: &Row<'_>) -> Result<StoredWorkflow> {
    let (id, state): (String, String) = (row.get(1)?, row.get(3)?);
    let definition: String = row.get(5)?;
    Ok(StoredWorkflow {
        row: WorkflowVersionId(row.get(0)?),
        version: row.get(2)?,
        state: state.parse().unwrap_or(WorkflowState::Active),
        reason: row.get(4)?,
        workflow: read_json(|| format!("the workflow `{id}`"), &definition)?,
    })
}

pub(super) fn workflows(store: &SqliteStore) -> Result<Vec<StoredWorkflow>> {
    store.read(|connection| {
        let sql = format!(
            "{WORKFLOWS} WHERE version =
                 (SELECT max(version) FROM workflow AS other WHERE other.id = workflow.id)
             ORDER BY workflow.id"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut workflows = Vec::new();
        while let Some(row) = rows.next()? {
            workflows.extend(skip_damaged(stored(row))?);
        }
        Ok(workflows)
    })
}

pub(super) fn workflow_version(
    store: &SqliteStore,
    row: WorkflowVersionId,
) -> Result<Option<StoredWorkflow>> {
    store.read(|connection| {
        let sql = format!("{WORKFLOWS} WHERE workflow.row = ?1");
        let found = connection
            .prepare_cached(&sql)?
            .query_row([row.0], |row| Ok(stored(row)))
            .optional()?;
        found.transpose()
    })
}

pub(super) fn set_workflow_state(
    connection: &Connection,
    id: &str,
    state: WorkflowState,
    reason: Option<&str>,
) -> Result<bool> {
    let found = connection
        .prepare_cached(
            "UPDATE workflow_state SET state = ?2, pause_reason = ?3 WHERE workflow = ?1",
        )?
        .execute(params![id, <&str>::from(state), reason])?;
    if found > 0 {
        raise_setting(connection, "config-version")?;
    }
    Ok(found > 0)
}

pub(super) fn workflow_names(
    store: &SqliteStore,
) -> Result<HashMap<WorkflowVersionId, (String, u32)>> {
    store.read(|connection| {
        let mut statement = connection.prepare_cached("SELECT row, id, version FROM workflow")?;
        let rows = statement.query_map([], |row| {
            Ok((WorkflowVersionId(row.get(0)?), (row.get(1)?, row.get(2)?)))
        })?;
        let rows = rows.map(|row| skip_damaged(row.map_err(Into::into)));
        rows.filter_map(Result::transpose).collect()
    })
}

impl ConfigurationStore for SqliteStore {
    fn config(&self) -> StoreResult<ConfigVersion> {
        Ok(self
            .read(|connection| number_setting(connection, "config-version").map(ConfigVersion))?)
    }

    fn save_message(&self, message: &Message, at: Timestamp) -> StoreResult<Applied> {
        Ok(self.write(|connection, _| save_message(connection, message, at))?)
    }

    fn messages(&self) -> StoreResult<Vec<Message>> {
        Ok(messages(self)?)
    }

    fn message_at(&self, id: &str, config: ConfigVersion) -> StoreResult<Option<(u32, Message)>> {
        Ok(message_at(self, id, config)?)
    }

    fn save_block(&self, block: &StoredBlock) -> StoreResult<()> {
        Ok(self.write(|connection, _| save_block(connection, block))?)
    }

    fn block(&self, digest: &str) -> StoreResult<Option<StoredBlock>> {
        Ok(block(self, digest)?)
    }

    fn save_workflow(&self, workflow: &Workflow, at: Timestamp) -> StoreResult<Applied> {
        Ok(self.write(|connection, _| save_workflow(connection, workflow, at))?)
    }

    fn workflows(&self) -> StoreResult<Vec<StoredWorkflow>> {
        Ok(workflows(self)?)
    }

    fn workflow_version(&self, row: WorkflowVersionId) -> StoreResult<Option<StoredWorkflow>> {
        Ok(workflow_version(self, row)?)
    }

    fn workflow_names(&self) -> StoreResult<HashMap<WorkflowVersionId, (String, u32)>> {
        Ok(workflow_names(self)?)
    }

    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> StoreResult<bool> {
        Ok(self.write(|connection, _| set_workflow_state(connection, id, state, None))?)
    }

    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notifications: &[NewNotification],
        at: Timestamp,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            for notification in notifications {
                notifications::put(connection, notification, at)?;
            }
            set_workflow_state(connection, id, WorkflowState::Paused, Some(reason))?;
            Ok(())
        })?)
    }
}
