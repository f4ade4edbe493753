//! The results of sent events, and how they are printed.

use promoflow_engine::run::{Receipt, SubmitError};
use promoflow_installation::Promoflow;
use promoflow_store::{RunId, RunState};
use serde::Serialize;

use super::is_invalid_event;
use crate::error::{CliError, CommandResult, Status, count, print_error};
use crate::output::{ERROR, Out, SUCCESS, WARNING, name, sanitize_line};

/// Maximum number of events that are printed one by one; more are only summed up.
const MAX_SHOWN: usize = 20;
/// Maximum number of failed runs that the summary counts.
const MAX_FAILED_RUNS: usize = 1_000;

/// The result of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EventStatus {
    /// Stored.
    Accepted,
    /// Stored before, under the same id.
    Duplicate,
    /// Invalid.
    Rejected,
    /// Valid, but not stored.
    Failed,
}

/// The result of an event, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct EventResult {
    event: Option<String>,
    pub(super) status: EventStatus,
    #[serde(serialize_with = "as_texts")]
    runs: Vec<RunId>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

fn as_texts<S: serde::Serializer>(runs: &[RunId], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(runs.iter().map(ToString::to_string))
}

impl EventResult {
    /// Creates the result of an invalid event that was not sent; `line` is its line in the file.
    pub(super) fn rejected(id: Option<String>, line: Option<u64>, error: String) -> EventResult {
        EventResult {
            event: id,
            status: EventStatus::Rejected,
            runs: Vec::new(),
            error: Some(error),
            line,
        }
    }

    /// Creates the result from the engine's reply.
    pub(super) fn from_reply(
        id: Option<String>,
        line: Option<u64>,
        result: Result<Receipt, SubmitError>,
    ) -> EventResult {
        match result {
            Ok(receipt) => EventResult {
                event: Some(receipt.event),
                status: match receipt.duplicate {
                    true => EventStatus::Duplicate,
                    false => EventStatus::Accepted,
                },
                runs: receipt.runs,
                error: None,
                line,
            },
            Err(error) => EventResult {
                status: match is_invalid_event(&error) {
                    true => EventStatus::Rejected,
                    false => EventStatus::Failed,
                },
                ..EventResult::rejected(id, line, error.to_string())
            },
        }
    }
}

/// Collects the results of a command; prints them one by one or summed up.
pub(super) struct EventResults {
    file: Option<String>,
    counts: [u64; 4],
    runs: u64,
    first: Option<RunId>,
    last: Option<RunId>,
    shown: Vec<EventResult>,
    refused: bool,
    failed: bool,
}

impl EventResults {
    /// Creates an empty collection; `file` is the source of the events.
    pub(super) fn new(file: Option<&str>) -> EventResults {
        EventResults {
            file: file.map(str::to_owned),
            counts: [0; 4],
            runs: 0,
            first: None,
            last: None,
            shown: Vec::new(),
            refused: false,
            failed: false,
        }
    }

    /// Adds the next result, in the order of the events.
    pub(super) fn add(&mut self, result: EventResult, out: &mut Out) -> Result<(), CliError> {
        self.counts[result.status as usize] += 1;
        self.runs += result.runs.len() as u64;
        for run in &result.runs {
            self.first = Some(self.first.map_or(*run, |first| first.min(*run)));
            self.last = Some(self.last.map_or(*run, |last| last.max(*run)));
        }
        match result.exit_status() {
            Status::InvalidInput => self.refused = true,
            Status::Failed => self.failed = true,
            Status::Success => {}
        }
        if out.is_json() {
            out.json(&result)?;
        }
        if let Some(error) = &result.error {
            self.print_rejection(&result, error);
        } else if !out.is_json() && self.shown.len() <= MAX_SHOWN {
            self.shown.push(result);
        }
        Ok(())
    }

    fn print_rejection(&self, result: &EventResult, error: &str) {
        let place = match (&self.file, result.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            _ => String::new(),
        };
        let event = match &result.event {
            Some(id) => format!("event {id}: "),
            None => String::new(),
        };
        print_error(format_args!("{place}{event}{error}"), None);
    }

    /// Returns the first and the last run.
    pub(super) fn span(&self) -> Vec<RunId> {
        self.first.into_iter().chain(self.last).collect()
    }

    /// Prints the results for people, and returns the status.
    pub(super) fn finish(&self, after: Option<(&Promoflow, bool)>, out: &mut Out) -> CommandResult {
        if let (false, Some((promoflow, is_idle))) = (out.is_json(), after) {
            if self.shown.len() <= MAX_SHOWN {
                for result in &self.shown {
                    print_event(result, promoflow, is_idle, out)?;
                }
            }
            if self.counts.iter().sum::<u64>() != 1 {
                self.sum_up(promoflow, out)?;
            }
        }
        Ok(match (self.failed, self.refused) {
            (true, _) => Status::Failed,
            (false, true) => Status::InvalidInput,
            (false, false) => Status::Success,
        })
    }

    fn sum_up(&self, promoflow: &Promoflow, out: &mut Out) -> Result<(), CliError> {
        let [accepted, duplicates, rejected, failed] = self.counts;
        let events = count(self.counts.iter().sum::<u64>(), "event", "events");
        let mut text = format!("{events}: {accepted} accepted");
        for (number, what) in [
            (duplicates, "sent before"),
            (rejected, "rejected"),
            (failed, "not stored"),
        ] {
            if number > 0 {
                text.push_str(&format!(", {number} {what}"));
            }
        }
        text.push_str(&format!("; {}", count(self.runs, "run", "runs")));
        let failed = self.failed_runs(promoflow)?;
        if failed > 0 {
            let failed = match failed {
                MAX_FAILED_RUNS => format!("{MAX_FAILED_RUNS} or more"),
                failed => failed.to_string(),
            };
            text.push_str(&format!(", {failed} failed"));
        }
        out.line(format_args!("{text}."))?;
        if failed > 0 {
            out.line(format_args!(
                "List the failed runs with `promoflow run list --state failed`."
            ))?;
        }
        Ok(())
    }

    /// Counts the failed runs, up to a bound.
    fn failed_runs(&self, promoflow: &Promoflow) -> Result<usize, CliError> {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Ok(0);
        };
        let failed = promoflow.runs(Some(RunState::Failed), MAX_FAILED_RUNS)?;
        let span = first..=last;
        Ok(failed.iter().filter(|run| span.contains(&run.id)).count())
    }
}

/// Prints one event with the state of its runs.
fn print_event(
    result: &EventResult,
    promoflow: &Promoflow,
    is_idle: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let label = match result.status {
        EventStatus::Duplicate => out.style(WARNING, "sent before"),
        _ => out.style(SUCCESS, "accepted"),
    };
    let event = sanitize_line(result.event.as_deref().unwrap_or_default());
    if result.runs.is_empty() {
        out.line(format_args!("{label} {event}: no workflow starts on it"))?;
        return Ok(());
    }
    let mut runs = Vec::with_capacity(result.runs.len());
    for id in &result.runs {
        let Some((run, _)) = promoflow.run(*id)? else {
            continue;
        };
        let state = match run.state {
            RunState::Running if !is_idle => "started".to_owned(),
            state => name(&state),
        };
        let style = match run.state {
            RunState::Failed => ERROR,
            RunState::Completed => SUCCESS,
            _ => WARNING,
        };
        let error = match &run.error {
            Some(error) => format!(" ({})", sanitize_line(error)),
            None => String::new(),
        };
        runs.push(format!("run {id} {}{error}", out.style(style, state)));
    }
    out.line(format_args!("{label} {event}: {}", runs.join(", ")))?;
    Ok(())
}
