//! The results of sent events, and how they are printed.

use promoflow_engine::run::{Receipt, SendError};
use promoflow_installation::Promoflow;
use promoflow_store::{RunId, RunState};
use serde::Serialize;

use super::is_refusal;
use crate::failure::{Done, Failure, Status, count, tell_error};
use crate::output::{ERROR, GOOD, Out, WARNING, name, tame_line};

/// Maximum number of events that are printed one by one; more are only summed up.
const MOST_SHOWN: usize = 20;
/// Maximum number of failed runs that the summary counts.
const MOST_FAILED: usize = 1_000;

/// The result of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
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
pub(super) struct Answer {
    event: Option<String>,
    pub(super) status: Verdict,
    #[serde(serialize_with = "as_texts")]
    runs: Vec<RunId>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

fn as_texts<S: serde::Serializer>(runs: &[RunId], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(runs.iter().map(ToString::to_string))
}

impl Answer {
    /// Creates the result of an invalid event that was not sent; `line` is its line in the file.
    pub(super) fn rejected(id: Option<String>, line: Option<u64>, error: String) -> Answer {
        Answer {
            event: id,
            status: Verdict::Rejected,
            runs: Vec::new(),
            error: Some(error),
            line,
        }
    }

    /// Creates the result from the engine's reply.
    pub(super) fn of(
        id: Option<String>,
        line: Option<u64>,
        answer: Result<Receipt, SendError>,
    ) -> Answer {
        match answer {
            Ok(receipt) => Answer {
                event: Some(receipt.event),
                status: match receipt.duplicate {
                    true => Verdict::Duplicate,
                    false => Verdict::Accepted,
                },
                runs: receipt.runs,
                error: None,
                line,
            },
            Err(error) => Answer {
                status: match is_refusal(&error) {
                    true => Verdict::Rejected,
                    false => Verdict::Failed,
                },
                ..Answer::rejected(id, line, error.to_string())
            },
        }
    }
}

/// Collects the results of a command; prints them one by one or summed up.
pub(super) struct Answers {
    file: Option<String>,
    counts: [u64; 4],
    runs: u64,
    first: Option<RunId>,
    last: Option<RunId>,
    shown: Vec<Answer>,
    refused: bool,
    failed: bool,
}

impl Answers {
    /// Creates an empty collection; `file` is the source of the events.
    pub(super) fn new(file: Option<&str>) -> Answers {
        Answers {
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
    pub(super) fn take(&mut self, answer: Answer, out: &mut Out) -> Result<(), Failure> {
        self.counts[answer.status as usize] += 1;
        self.runs += answer.runs.len() as u64;
        for run in &answer.runs {
            self.first = Some(self.first.map_or(*run, |first| first.min(*run)));
            self.last = Some(self.last.map_or(*run, |last| last.max(*run)));
        }
        match answer.status_of() {
            Status::Refused => self.refused = true,
            Status::Failed => self.failed = true,
            Status::Done => {}
        }
        if out.is_json() {
            out.json(&answer)?;
        }
        if let Some(error) = &answer.error {
            self.tell_fault(&answer, error);
        } else if !out.is_json() && self.shown.len() <= MOST_SHOWN {
            self.shown.push(answer);
        }
        Ok(())
    }

    fn tell_fault(&self, answer: &Answer, error: &str) {
        let place = match (&self.file, answer.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            _ => String::new(),
        };
        let event = match &answer.event {
            Some(id) => format!("event {id}: "),
            None => String::new(),
        };
        tell_error(format_args!("{place}{event}{error}"), None);
    }

    /// Returns the first and the last run.
    pub(super) fn span(&self) -> Vec<RunId> {
        self.first.into_iter().chain(self.last).collect()
    }

    /// Prints the results for people, and returns the status.
    pub(super) fn finish(&self, after: Option<(&Promoflow, bool)>, out: &mut Out) -> Done {
        if let (false, Some((promoflow, rested))) = (out.is_json(), after) {
            if self.shown.len() <= MOST_SHOWN {
                for answer in &self.shown {
                    tell(answer, promoflow, rested, out)?;
                }
            }
            if self.counts.iter().sum::<u64>() != 1 {
                self.sum_up(promoflow, out)?;
            }
        }
        Ok(match (self.failed, self.refused) {
            (true, _) => Status::Failed,
            (false, true) => Status::Refused,
            (false, false) => Status::Done,
        })
    }

    fn sum_up(&self, promoflow: &Promoflow, out: &mut Out) -> Result<(), Failure> {
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
                MOST_FAILED => format!("{MOST_FAILED} or more"),
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
    fn failed_runs(&self, promoflow: &Promoflow) -> Result<usize, Failure> {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Ok(0);
        };
        let failed = promoflow.runs(Some(RunState::Failed), MOST_FAILED)?;
        let span = first..=last;
        Ok(failed.iter().filter(|run| span.contains(&run.id)).count())
    }
}

/// Prints one event with the state of its runs.
fn tell(
    answer: &Answer,
    promoflow: &Promoflow,
    rested: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let verdict = match answer.status {
        Verdict::Duplicate => out.style(WARNING, "sent before"),
        _ => out.style(GOOD, "accepted"),
    };
    let event = tame_line(answer.event.as_deref().unwrap_or_default());
    if answer.runs.is_empty() {
        out.line(format_args!("{verdict} {event}: no workflow starts on it"))?;
        return Ok(());
    }
    let mut runs = Vec::with_capacity(answer.runs.len());
    for id in &answer.runs {
        let Some((run, _)) = promoflow.run(*id)? else {
            continue;
        };
        let state = match run.state {
            RunState::Running if !rested => "started".to_owned(),
            state => name(&state),
        };
        let style = match run.state {
            RunState::Failed => ERROR,
            RunState::Completed => GOOD,
            _ => WARNING,
        };
        let error = match &run.error {
            Some(error) => format!(" ({})", tame_line(error)),
            None => String::new(),
        };
        runs.push(format!("run {id} {}{error}", out.style(style, state)));
    }
    out.line(format_args!("{verdict} {event}: {}", runs.join(", ")))?;
    Ok(())
}
