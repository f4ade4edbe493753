//! Runs that may continue.
//!
//! Each is read by itself. A run whose rows cannot be read fails with the reason, and blocks no
//! other run.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value};

use super::{Error, Result, StoreError, damaged, retry_states, unreadable, waiting_runs};
use promoflow_model::clock::Timestamp;
use promoflow_store::{ConfigVersion, DueRun, DueRuns, RunId, StepRecord, WorkflowVersionId};

/// How to repair a run that cannot be read.
const REPAIR: &str = "the row was damaged or edited: repair it or restore a backup, and then \
                      `promoflow run retry` the run";

pub(super) fn page(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
    excluded_workflows: &[WorkflowVersionId],
    excluded: &HashSet<RunId>,
) -> Result<DueRuns> {
    let excluded_workflows: Vec<i64> = excluded_workflows
        .iter()
        .map(|workflow| workflow.0)
        .collect();
    let excluded_workflows = serde_json::json!(excluded_workflows).to_string();
    let mut statement = connection.prepare_cached(
        "SELECT run.id, run.workflow, run.config_version, run.segment, run.step, run.attempt,
                coalesce(run.data, event.params), event.key
         FROM run LEFT JOIN event ON event.id = run.event
         WHERE run.due_at <= ?1
             AND (?2 = '[]' OR run.workflow NOT IN (SELECT value FROM json_each(?2)))
         ORDER BY run.due_at, run.id",
    )?;
    let mut rows = statement.query(params![now.0, excluded_workflows])?;
    let mut due = DueRuns::default();
    while due.runs.len() + due.unreadable.len() < limit {
        let Some(row) = rows.next()? else { break };
        let id = RunId(row.get(0)?);
        if excluded.contains(&id) {
            continue;
        }
        match read(connection, id, row) {
            Ok(run) => due.runs.push(run),
            Err(error @ Error(StoreError::Damaged { .. })) => {
                due.unreadable.push((id, format!("{error}; {REPAIR}")));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(due)
}

/// Fails a run that cannot be read.
pub(super) fn fail_unreadable(
    connection: &Connection,
    run: RunId,
    why: &str,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE run SET state = 'failed', due_at = NULL, error = ?2, finished_at = ?3
             WHERE id = ?1 AND due_at IS NOT NULL",
        )?
        .execute(params![run.0, why, now.0])?;
    retry_states::remove(connection, run)
}

fn read(connection: &Connection, id: RunId, row: &Row<'_>) -> Result<DueRun> {
    let attempt = row.get(5)?;
    let data: Option<String> = row.get(6)?;
    let (Some(data), Some(key)) = (data, row.get(7)?) else {
        return Err(damaged(format!("run {id}"), "its event is missing"));
    };
    let data: Map<String, Value> = serde_json::from_str(&data)
        .map_err(|error| unreadable(format!("the values of run {id}"), &error))?;
    let FinishedSteps { visits, set } = finished_steps(connection, id)?;
    Ok(DueRun {
        id,
        workflow: WorkflowVersionId(row.get(1)?),
        config: ConfigVersion(row.get(2)?),
        segment: row.get(3)?,
        step: row.get(4)?,
        attempt,
        retry_states: match attempt {
            0 => Vec::new(),
            _ => retry_states::of(connection, id)?,
        },
        data,
        set,
        key,
        visits,
        resumed: waiting_runs::wait_outcome(connection, id)?,
    })
}

/// The finished steps of a run.
#[derive(Default)]
struct FinishedSteps {
    /// How often the run has left each step. A step that waits is still being visited.
    visits: HashMap<String, u32>,
    /// The names of the values that the steps set.
    set: BTreeSet<String>,
}

fn finished_steps(connection: &Connection, run: RunId) -> Result<FinishedSteps> {
    let mut finished_steps = FinishedSteps::default();
    let mut statement = connection
        .prepare_cached("SELECT steps FROM journal WHERE run = ?1 AND outcome <> 'failed'")?;
    let mut rows = statement.query([run.0])?;
    while let Some(row) = rows.next()? {
        let steps: String = row.get(0)?;
        let steps: Vec<StepRecord> = serde_json::from_str(&steps)
            .map_err(|error| unreadable(format!("the steps of run {run}"), &error))?;
        for step in steps {
            finished_steps
                .set
                .extend(step.data.into_iter().map(|(name, _)| name));
            if step.port.is_some() {
                *finished_steps.visits.entry(step.step).or_default() += 1;
            }
        }
    }
    Ok(finished_steps)
}
