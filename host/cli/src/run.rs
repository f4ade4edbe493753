//! `promoflow run`: the run history.

use std::collections::HashMap;

use clap::{Subcommand, ValueEnum};
use promoflow_installation::Promoflow;
use promoflow_model::clock::Timestamp;
use promoflow_model::redact;
use promoflow_store::{Action, RunId, RunRow, RunState, StepRecord, WorkflowVersionId};
use serde_json::{Value, json};

use super::actions;
use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, print_note};
use super::output::{BOLD, ERROR, Out, SUCCESS, WARNING, format_time, name, sanitize_line};
use super::table::Table;

/// Default maximum number of runs in a list for people.
const DEFAULT_LIMIT: usize = 50;

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

type Names = HashMap<WorkflowVersionId, (String, u32)>;

impl RunCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            RunCommand::List { state, limit } => {
                list(&context.open()?, state.map(RunState::from), limit, out)
            }
            RunCommand::Show { id } => show(&context.open()?, &id, out),
            RunCommand::Retry { id } => apply_action(&context.open()?, &id, Action::Retry, out),
            RunCommand::Cancel { id } => apply_action(&context.open()?, &id, Action::Cancel, out),
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
        "waitingFor": row.waiting_for(),
        "waitingUntil": row.waiting_until().map(|until| until.to_string()),
        "retry": row.retry_state.as_ref().map(|retry_state| json!({
            "step": Some(&retry_state.step).filter(|step| !step.is_empty()),
            "attempts": retry_state.attempts,
            "maxAttempts": retry_state.kind.backoff().max_attempts,
            "nextAt": row.due.map(|due| due.to_string()),
        })),
        "startedAt": row.started.to_string(),
        "finishedAt": row.finished.map(|at| at.to_string()),
    })
}

/// Describes the wait of a run and its deadline, or its failed attempts and the time of the next.
fn wait_status(row: &RunRow) -> Option<String> {
    if let Some(retry_state) = &row.retry_state {
        let (attempts, max) = (
            retry_state.attempts,
            retry_state.kind.backoff().max_attempts,
        );
        let next = row.due.map_or_else(|| "now".to_owned(), at);
        return Some(format!("attempt {attempts} of {max} failed, next {next}"));
    }
    let awaited = row.waiting_for()?;
    Some(match (row.waiting_until(), row.awaited.is_some()) {
        (Some(until), false) => format!("waits until {}", format_time(until)),
        (Some(until), true) => format!("waits for {awaited}, until {}", format_time(until)),
        (None, _) => format!("waits for {awaited}"),
    })
}

fn at(due: Timestamp) -> String {
    format!("at {} UTC", format_time(due))
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
) -> CommandResult {
    let names = promoflow.workflow_names()?;
    if out.is_json() {
        for row in promoflow.runs(state, limit.unwrap_or(usize::MAX))? {
            out.json(&json_of(&row, &names))?;
            if out.is_closed() {
                break;
            }
        }
        return Ok(Status::Success);
    }
    let shown = limit.unwrap_or(DEFAULT_LIMIT);
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
            format_time(row.started),
            row.event.clone(),
            wait_status(&row).unwrap_or_default(),
            row.error.unwrap_or_default(),
        ];
        table.row(out, cells)?;
    }
    table.finish(out, "No matching runs.")?;
    out.flush()?;
    if more && limit.is_none() {
        print_note(format_args!(
            "more runs exist; show the newest N with --limit N"
        ));
    }
    Ok(Status::Success)
}

fn number(id: &str) -> Result<RunId, CliError> {
    id.parse().map_err(|_| {
        CliError::invalid_input(format_args!("`{id}`: not a run id; expected a number"))
    })
}

fn unknown(id: &str) -> CliError {
    CliError::failed(format_args!("no run `{id}`"))
        .with_hint("run `promoflow run list` for the runs")
}

fn apply_action(promoflow: &Promoflow, id: &str, action: Action, out: &mut Out) -> CommandResult {
    let run = number(id)?;
    let done = actions::describe(promoflow.apply_run_action(run, action)?, action, "run", id)?;
    let Some(done) = done else {
        return Err(unknown(id));
    };
    if out.is_json() {
        let (row, _) = promoflow.run(run)?.ok_or_else(|| unknown(id))?;
        out.json(&json_of(&row, &promoflow.workflow_names()?))?;
    } else {
        out.line(format_args!("{done}"))?;
    }
    Ok(Status::Success)
}

fn show(promoflow: &Promoflow, id: &str, out: &mut Out) -> CommandResult {
    let Some((row, steps)) = promoflow.run(number(id)?)? else {
        return Err(unknown(id));
    };
    let names = promoflow.workflow_names()?;
    if out.is_json() {
        let mut shown = json_of(&row, &names);
        shown["steps"] = steps.iter().map(step_json).collect();
        out.json(&shown)?;
        return Ok(Status::Success);
    }
    let style = match row.state {
        RunState::Completed => SUCCESS,
        RunState::Failed => ERROR,
        _ => WARNING,
    };
    let state = out.style(style, name(&row.state));
    let workflow = workflow_id(&row, &names);
    let version = names.get(&row.workflow).map_or(0, |(_, version)| *version);
    out.line(format_args!(
        "Run {id} of {workflow}, version {version}: {state}"
    ))?;
    out.line(format_args!("  event     {}", sanitize_line(&row.event)))?;
    out.line(format_args!("  key       {}", sanitize_line(&row.key)))?;
    out.line(format_args!("  started   {} UTC", format_time(row.started)))?;
    if let Some(finished) = row.finished {
        out.line(format_args!("  finished  {} UTC", format_time(finished)))?;
    }
    if let Some(wait_status) = wait_status(&row) {
        let label = match row.retry_state {
            Some(_) => "retry",
            None => "waits",
        };
        let wait_status = wait_status.strip_prefix("waits ").unwrap_or(&wait_status);
        out.line(format_args!("  {label:<8}  {}", sanitize_line(wait_status)))?;
    }
    if let Some(error) = &row.error {
        out.line(format_args!("  error     {}", sanitize_line(error)))?;
    }
    let codes = codes_in(promoflow, &steps)?;
    for (number, step) in steps.iter().enumerate() {
        show_step(number + 1, step, &codes, out)?;
    }
    Ok(Status::Success)
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
fn codes_in(promoflow: &Promoflow, steps: &[StepRecord]) -> Result<Vec<String>, CliError> {
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
    let redacted = |text: &str| {
        let mut text = sanitize_line(text);
        for code in codes {
            text = text.replace(code.as_str(), &redact::code(code));
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
    let started = format_time(step.started_at);
    out.line(format_args!(
        "\n{number}. {id}: {block}, {left}, started {started} UTC, took {took} ms"
    ))?;
    for (name, value) in &step.data {
        let value = match value {
            Value::String(text) => redacted(text),
            other => redacted(&other.to_string()),
        };
        out.line(format_args!("     {} = {value}", sanitize_line(name)))?;
    }
    for note in &step.log {
        out.line(format_args!("     {}", redacted(note)))?;
    }
    if let Some(error) = &step.error {
        let label = out.style(ERROR, "error");
        out.line(format_args!("     {label}: {}", redacted(error)))?;
    }
    Ok(())
}
