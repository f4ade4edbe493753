//! Runs that may continue.
//!
//! A run whose rows cannot be read fails with the reason, and blocks no other run.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use promoflow_model::clock::Timestamp;
use promoflow_store::{
    ConfigVersion, DueRun, DueRuns, RunId, StepRecord, StoreError, WorkflowVersionId,
};

use crate::connection::{Row, params};
use crate::errors::{Error, Result, damaged, unreadable};
use crate::hosts::RUN_SHARES;
use crate::transaction::Transaction;
use crate::{retry_states, waiting_runs};

/// How to repair a run that cannot be read.
const REPAIR: &str = "the row was damaged or edited: repair it or restore a backup, and then \
                      `promoflow run retry` the run";

/// Returns runs that may continue. `shares`: the remainders of their ids modulo [`RUN_SHARES`], or
/// `None` for all runs.
pub(crate) fn page(
    transaction: &Transaction<'_>,
    shares: Option<&[i32]>,
    now: Timestamp,
    limit: usize,
    excluded_workflows: &[WorkflowVersionId],
    excluded: &HashSet<RunId>,
) -> Result<DueRuns> {
    let excluded_workflows: Vec<i64> = excluded_workflows.iter().map(|one| one.0).collect();
    let excluded: Vec<i64> = excluded.iter().map(|run| run.0).collect();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // The page is chosen before events are read, and its length is part of the text: the planner
    // would otherwise expect to read a large part of all due runs, and sort them.
    let sql = format!(
        "SELECT run.id, run.workflow, run.config_version, run.segment, run.step, run.attempt,
                coalesce(run.data, event.params), event.key
         FROM (
             SELECT * FROM run WHERE due_at <= $1 AND workflow <> ALL($2::bigint[])
                 AND id <> ALL($3::bigint[])
                 AND ($4::integer[] IS NULL OR (id % {RUN_SHARES})::integer = ANY($4))
             ORDER BY due_at, id LIMIT {limit}
         ) AS run LEFT JOIN event ON event.id = run.event
         ORDER BY run.due_at, run.id"
    );
    let rows = transaction.rows(&sql, params![now.0, excluded_workflows, excluded, shares])?;
    let mut due = DueRuns::default();
    if rows.is_empty() {
        return Ok(due);
    }
    let mut details = Details::load(transaction, &rows)?;
    for row in &rows {
        let id = RunId(row.get(0)?);
        match read(id, row, &mut details) {
            Ok(run) => due.runs.push(run),
            Err(Error::Store(error @ StoreError::Damaged { .. })) => {
                due.unreadable.push((id, format!("{error}; {REPAIR}")));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(due)
}

/// Fails a run that cannot be read.
pub(crate) fn fail_unreadable(
    transaction: &Transaction<'_>,
    run: RunId,
    why: &str,
    now: Timestamp,
) -> Result<()> {
    transaction.execute(
        "UPDATE run SET state = 'failed', due_at = NULL, error = $2, finished_at = $3
         WHERE id = $1 AND due_at IS NOT NULL",
        params![run.0, why, now.0],
    )?;
    retry_states::remove(transaction, run)
}

fn read(id: RunId, row: &Row, details: &mut Details) -> Result<DueRun> {
    let (Some(data), Some(key)) = (row.get::<Option<String>>(6)?, row.get(7)?) else {
        return Err(damaged(format!("run {id}"), "its event is missing"));
    };
    let data: Map<String, Value> = serde_json::from_str(&data)
        .map_err(|error| unreadable(format!("the values of run {id}"), &error))?;
    let FinishedSteps { visits, set } = finished_steps(id, details.rows(JOURNAL, id))?;
    let retry_states = details.rows(RETRY_STATES, id);
    let retry_states = retry_states
        .iter()
        .map(|row| retry_states::read(id, row, 1));
    let wait = details.rows(WAITS, id).into_iter().next();
    Ok(DueRun {
        id,
        workflow: WorkflowVersionId(row.get(1)?),
        config: ConfigVersion(row.get(2)?),
        segment: row.count(3)?,
        step: row.count(4)?,
        attempt: row.count(5)?,
        retry_states: retry_states.collect::<Result<_>>()?,
        data,
        set,
        key,
        visits,
        resumed: wait
            .map(|row| waiting_runs::read_outcome(id, &row))
            .transpose()?,
    })
}

/// The rows of other tables that belong to the runs of a page.
struct Details([HashMap<i64, Vec<Row>>; 3]);

const JOURNAL: usize = 0;
const RETRY_STATES: usize = 1;
const WAITS: usize = 2;

impl Details {
    /// Reads them all at once.
    fn load(transaction: &Transaction<'_>, runs: &[Row]) -> Result<Details> {
        let (mut all, mut continued, mut retried) = (Vec::new(), Vec::new(), Vec::new());
        for row in runs {
            let id: i64 = row.get(0)?;
            all.push(id);
            if row.count(3)? > 0 {
                continued.push(id);
            }
            if row.count(5)? > 0 {
                retried.push(id);
            }
        }
        let answers = transaction.pipeline(&[
            (
                "SELECT run, steps FROM journal WHERE run = ANY($1) AND outcome <> 'failed'",
                params![continued],
            ),
            (retry_states::OF_RUNS, params![retried]),
            (waiting_runs::OF_RUNS, params![all]),
        ])?;
        let mut details = Details(Default::default());
        for (by_run, answer) in details.0.iter_mut().zip(answers) {
            for row in answer.rows {
                by_run.entry(row.get(0)?).or_default().push(row);
            }
        }
        Ok(details)
    }

    /// Returns the rows of a run.
    fn rows(&mut self, kind: usize, run: RunId) -> Vec<Row> {
        let by_run = self.0.get_mut(kind);
        by_run
            .and_then(|rows| rows.remove(&run.0))
            .unwrap_or_default()
    }
}

/// The finished steps of a run.
#[derive(Default)]
struct FinishedSteps {
    /// How often the run has left each step. A step that waits is still being visited.
    visits: HashMap<String, u32>,
    /// The names of the values that the steps set.
    set: BTreeSet<String>,
}

fn finished_steps(run: RunId, journal: Vec<Row>) -> Result<FinishedSteps> {
    let mut finished_steps = FinishedSteps::default();
    for row in journal {
        let steps: Vec<StepRecord> = serde_json::from_str(&row.get::<String>(1)?)
            .map_err(|error| unreadable(format!("the steps of run {run}"), &error))?;
        for step in steps {
            let set = step.data.into_iter().map(|(name, _)| name);
            finished_steps.set.extend(set);
            if step.port.is_some() {
                *finished_steps.visits.entry(step.step).or_default() += 1;
            }
        }
    }
    Ok(finished_steps)
}
