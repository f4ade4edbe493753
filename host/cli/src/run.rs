//! `promoflow run`: the run history.

use clap::Subcommand;
use promoflow_api_model::{Run, WorkflowNames};
use promoflow_installation::Promoflow;
use promoflow_model::clock::Timestamp;
use promoflow_model::redact;
use promoflow_store::{Action, RunRow, RunState, StepRecord};
use serde_json::Value;

use super::actions::RUN;
use super::args::{Choice, choice};
use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, print_note};
use super::output::{BOLD, ERROR, Out, SUCCESS, WARNING, format_time, name, sanitize_line};
use super::table::Table;

/// Default maximum number of runs in a list for people.
const DEFAULT_LIMIT: usize = 50;

/// The states, with their descriptions for `--help`.
const STATES: [Choice<RunState>; 5] = [
    ("running", RunState::Running, "Ready to continue"),
    (
        "waiting",
        RunState::Waiting,
        "Waiting for a time, a code or a reply",
    ),
    ("completed", RunState::Completed, "Completed"),
    ("failed", RunState::Failed, "Ended by an error"),
    ("cancelled", RunState::Cancelled, "Cancelled by a person"),
];

/// Runs: executions of workflows, and their results.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow run list --state failed")]
pub(super) enum RunCommand {
    /// List runs, the newest first.
    #[command(after_help = "Example:\n  promoflow run list --state failed --limit 10")]
    List {
        /// Only runs in this state.
        #[arg(long, value_name = "STATE", value_parser = choice(STATES))]
        state: Option<RunState>,
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

impl RunCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            RunCommand::List { state, limit } => list(&context.open()?, state, limit, out),
            RunCommand::Show { id } => show(&context.open()?, &id, out),
            RunCommand::Retry { id } => apply_action(&context.open()?, &id, Action::Retry, out),
            RunCommand::Cancel { id } => apply_action(&context.open()?, &id, Action::Cancel, out),
        }
    }
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
fn workflow_id(row: &RunRow, names: &WorkflowNames) -> String {
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
            out.json(&Run::new(row, &names))?;
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

fn apply_action(promoflow: &Promoflow, id: &str, action: Action, out: &mut Out) -> CommandResult {
    let run = RUN.parse_id(id)?;
    let outcome = promoflow.apply_run_action(run, action)?;
    let show = || {
        let (row, _) = promoflow.run(run)?.ok_or_else(|| RUN.unknown(id))?;
        Ok(Run::new(row, &promoflow.workflow_names()?))
    };
    RUN.report(outcome, action, id, show, out)
}

fn show(promoflow: &Promoflow, id: &str, out: &mut Out) -> CommandResult {
    let Some((row, steps)) = promoflow.run(RUN.parse_id(id)?)? else {
        return Err(RUN.unknown(id));
    };
    let names = promoflow.workflow_names()?;
    if out.is_json() {
        out.json(&Run::new(row, &names).with_steps(steps))?;
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
