//! `promoflow run`: the run history.

use std::collections::HashMap;

use clap::{Subcommand, ValueEnum};
use promoflow_installation::Promoflow;
use promoflow_model::clock::Timestamp;
use promoflow_model::mask;
use promoflow_store::{Order, RunId, RunRow, RunState, StepRecord, WorkflowRow};
use serde_json::{Value, json};

use super::failure::{Done, Failure, Status, tell_note};
use super::order;
use super::output::{BOLD, ERROR, GOOD, Out, WARNING, moment, name, tame_line};
use super::session::Session;
use super::table::Table;

/// Default maximum number of runs in a list for people.
const SHOWN: usize = 50;

/// Runs: executions of workflows, and their results.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow run list --state failed")]
pub(super) enum RunCommand {
    /// List runs, the newest first.
    #[command(after_help = "Example:\n  promoflow run list --state failed --limit 10")]
    List {
        /// Only runs in this state.
        #[arg(long, value_name = "STATE")]
        state: Option<StateName>,
        /// Maximum number of runs (default: 50, or all with --json).
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show a run with its steps: their times, and the values they set.
    ///
    /// Promo codes are redacted to their last characters; --json shows them in full.
    #[command(after_help = "Example:\n  promoflow run show 5")]
    Show {
        /// The run's id.
        id: String,
    },
    /// Retry a failed run, from the first step of the failed segment.
    ///
    /// A run that waits for its next attempt is retried at once. It continues in the process that
    /// executes; if none runs, start one with `promoflow work`.
    #[command(after_help = "Example:\n  promoflow run retry 5")]
    Retry {
        /// The run's id.
        id: String,
    },
    /// Cancel a run that has not ended, or a failed one.
    ///
    /// If none of its messages may have been sent (no attempt began, or each was rejected), its
    /// promo codes return to the pool and its deliveries are cancelled. Otherwise the codes stay
    /// used.
    #[command(after_help = "Example:\n  promoflow run cancel 5")]
    Cancel {
        /// The run's id.
        id: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum StateName {
    /// Ready to continue.
    Running,
    /// Waiting for a time, a code or a reply.
    Waiting,
    /// Completed.
    Completed,
    /// Ended by an error.
    Failed,
    /// Cancelled by a person.
    Cancelled,
}

impl From<StateName> for RunState {
    fn from(name: StateName) -> RunState {
        match name {
            StateName::Running => RunState::Running,
            StateName::Waiting => RunState::Waiting,
            StateName::Completed => RunState::Completed,
            StateName::Failed => RunState::Failed,
            StateName::Cancelled => RunState::Cancelled,
        }
    }
}

type Names = HashMap<WorkflowRow, (String, u32)>;

impl RunCommand {
    pub(super) fn run(self, session: &Session, out: &mut Out) -> Done {
        match self {
            RunCommand::List { state, limit } => {
                list(&session.open()?, state.map(RunState::from), limit, out)
            }
            RunCommand::Show { id } => show(&session.open()?, &id, out),
            RunCommand::Retry { id } => order(&session.open()?, &id, Order::Retry, out),
            RunCommand::Cancel { id } => order(&session.open()?, &id, Order::Cancel, out),
        }
    }
}

fn json_of(row: &RunRow, names: &Names) -> Value {
    let workflow = names.get(&row.workflow);
    json!({
        "run": row.id.to_string(),
        "workflow": workflow.map(|(id, _)| id),
        "version": workflow.map(|(_, version)| version),
        "event": row.event,
        "key": row.key,
        "state": row.state,
        "error": row.error,
        "waitsFor": row.waits_for(),
        "waitsUntil": row.waits_until().map(|until| until.to_string()),
        "retry": row.retries.as_ref().map(|trouble| json!({
            "step": Some(&trouble.step).filter(|step| !step.is_empty()),
            "attempts": trouble.attempts,
            "maxAttempts": trouble.kind.backoff().attempts,
            "nextAt": row.due.map(|due| due.to_string()),
        })),
        "startedAt": row.started.to_string(),
        "finishedAt": row.finished.map(|at| at.to_string()),
    })
}

/// Describes the wait of a run and its deadline, or its failed attempts and the time of the next.
fn standing(row: &RunRow) -> Option<String> {
    if let Some(trouble) = &row.retries {
        let (attempts, most) = (trouble.attempts, trouble.kind.backoff().attempts);
        let next = row.due.map_or_else(|| "now".to_owned(), at);
        return Some(format!("attempt {attempts} of {most} failed, next {next}"));
    }
    let awaited = row.waits_for()?;
    Some(match (row.waits_until(), row.awaits.is_some()) {
        (Some(until), false) => format!("waits until {}", moment(until)),
        (Some(until), true) => format!("waits for {awaited}, until {}", moment(until)),
        (None, _) => format!("waits for {awaited}"),
    })
}

fn at(due: Timestamp) -> String {
    format!("at {} UTC", moment(due))
}

/// Returns the id of a run's workflow.
fn workflow_id(row: &RunRow, names: &Names) -> String {
    names
        .get(&row.workflow)
        .map_or_else(|| "?".to_owned(), |(id, _)| id.clone())
}

fn list(
    promoflow: &Promoflow,
    state: Option<RunState>,
    limit: Option<usize>,
    out: &mut Out,
) -> Done {
    let names = promoflow.workflow_names()?;
    if out.is_json() {
        for row in promoflow.runs(state, limit.unwrap_or(usize::MAX))? {
            out.json(&json_of(&row, &names))?;
            if out.is_gone() {
                break;
            }
        }
        return Ok(Status::Done);
    }
    let shown = limit.unwrap_or(SHOWN);
    let mut rows = promoflow.runs(state, shown.saturating_add(1))?;
    let more = rows.len() > shown;
    rows.truncate(shown);
    let header = [
        "RUN", "WORKFLOW", "KEY", "STATE", "STARTED", "EVENT", "WAITS", "ERROR",
    ];
    let mut table = Table::new(header);
    for row in rows {
        let cells = [
            row.id.to_string(),
            workflow_id(&row, &names),
            row.key.clone(),
            name(&row.state),
            moment(row.started),
            row.event.clone(),
            standing(&row).unwrap_or_default(),
            row.error.unwrap_or_default(),
        ];
        table.row(out, cells)?;
    }
    table.finish(out, "No matching runs.")?;
    out.flush()?;
    if more && limit.is_none() {
        tell_note(format_args!(
            "more runs exist; show the newest N with --limit N"
        ));
    }
    Ok(Status::Done)
}

fn number(id: &str) -> Result<RunId, Failure> {
    id.parse()
        .map_err(|_| Failure::refused(format_args!("`{id}`: not a run id; expected a number")))
}

fn unknown(id: &str) -> Failure {
    Failure::failed(format_args!("no run `{id}`")).hint("run `promoflow run list` for the runs")
}

fn order(promoflow: &Promoflow, id: &str, order: Order, out: &mut Out) -> Done {
    let run = number(id)?;
    let done = order::done(promoflow.order_run(run, order)?, order, "run", id)?;
    let Some(done) = done else {
        return Err(unknown(id));
    };
    if out.is_json() {
        let (row, _) = promoflow.run(run)?.ok_or_else(|| unknown(id))?;
        out.json(&json_of(&row, &promoflow.workflow_names()?))?;
    } else {
        out.line(format_args!("{done}"))?;
    }
    Ok(Status::Done)
}

fn show(promoflow: &Promoflow, id: &str, out: &mut Out) -> Done {
    let Some((row, steps)) = promoflow.run(number(id)?)? else {
        return Err(unknown(id));
    };
    let names = promoflow.workflow_names()?;
    if out.is_json() {
        let mut shown = json_of(&row, &names);
        shown["steps"] = steps.iter().map(step_json).collect();
        out.json(&shown)?;
        return Ok(Status::Done);
    }
    let style = match row.state {
        RunState::Completed => GOOD,
        RunState::Failed => ERROR,
        _ => WARNING,
    };
    let state = out.style(style, name(&row.state));
    let workflow = workflow_id(&row, &names);
    let version = names.get(&row.workflow).map_or(0, |(_, version)| *version);
    out.line(format_args!(
        "Run {id} of {workflow}, version {version}: {state}"
    ))?;
    out.line(format_args!("  event     {}", tame_line(&row.event)))?;
    out.line(format_args!("  key       {}", tame_line(&row.key)))?;
    out.line(format_args!("  started   {} UTC", moment(row.started)))?;
    if let Some(finished) = row.finished {
        out.line(format_args!("  finished  {} UTC", moment(finished)))?;
    }
    if let Some(standing) = standing(&row) {
        let label = match row.retries {
            Some(_) => "retry",
            None => "waits",
        };
        let standing = standing.strip_prefix("waits ").unwrap_or(&standing);
        out.line(format_args!("  {label:<8}  {}", tame_line(standing)))?;
    }
    if let Some(error) = &row.error {
        out.line(format_args!("  error     {}", tame_line(error)))?;
    }
    let codes = codes_in(promoflow, &steps)?;
    for (number, step) in steps.iter().enumerate() {
        show_step(number + 1, step, &codes, out)?;
    }
    Ok(Status::Done)
}

/// Returns a step as `--json` shows it.
pub(super) fn step_json(step: &StepRecord) -> Value {
    json!({
        "step": step.step,
        "block": step.block,
        "port": step.port,
        "startedAt": step.started_at.to_string(),
        "finishedAt": step.finished_at.to_string(),
        "data": step.data,
        "error": step.error,
        "log": step.log,
    })
}

/// Returns the values set by steps that are promo codes of the pool.
fn codes_in(promoflow: &Promoflow, steps: &[StepRecord]) -> Result<Vec<String>, Failure> {
    let mut codes = Vec::new();
    for value in steps.iter().flat_map(|step| step.data.values()) {
        if let Value::String(text) = value
            && promoflow.code(text)?.is_some()
        {
            codes.push(text.clone());
        }
    }
    Ok(codes)
}

fn show_step(
    number: usize,
    step: &StepRecord,
    codes: &[String],
    out: &mut Out,
) -> std::io::Result<()> {
    let masked = |text: &str| {
        let mut text = tame_line(text);
        for code in codes {
            text = text.replace(code.as_str(), &mask::code(code));
        }
        text
    };
    let id = out.style(BOLD, &step.step);
    let took = (step.finished_at.0 - step.started_at.0).max(0);
    let left = match &step.port {
        Some(port) => format!("exited by {port}"),
        None => "did not finish".to_owned(),
    };
    let block = &step.block;
    let started = moment(step.started_at);
    out.line(format_args!(
        "\n{number}. {id}: {block}, {left}, started {started} UTC, took {took} ms"
    ))?;
    for (name, value) in &step.data {
        let value = match value {
            Value::String(text) => masked(text),
            other => masked(&other.to_string()),
        };
        out.line(format_args!("     {} = {value}", tame_line(name)))?;
    }
    for note in &step.log {
        out.line(format_args!("     {}", masked(note)))?;
    }
    if let Some(error) = &step.error {
        let label = out.style(ERROR, "error");
        out.line(format_args!("     {label}: {}", masked(error)))?;
    }
    Ok(())
}
