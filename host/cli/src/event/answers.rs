//! What became of events, and how it is told.

use promoflow_engine::run::{Receipt, SendError};
use promoflow_installation::Promoflow;
use promoflow_store::{RunId, RunState};
use serde::Serialize;

use super::is_refusal;
use crate::failure::{Done, Failure, Status, count, tell_error};
use crate::output::{ERROR, GOOD, Out, WARNING, name, tame_line};

/// Events that are told one by one to people; of more there is a sum.
const MOST_SHOWN: usize = 20;
/// Failed runs that the sum counts.
const MOST_FAILED: usize = 1_000;

/// How an event fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It is stored.
    Accepted,
    /// It was stored before, under the same id.
    Duplicate,
    /// It is at fault.
    Rejected,
    /// It is not stored, and not at fault.
    Failed,
}

/// What became of an event.
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
    /// An event that was never sent; `line` is where the file has it.
    pub(super) fn rejected(id: Option<String>, line: Option<u64>, error: String) -> Answer {
        Answer {
            event: id,
            status: Verdict::Rejected,
            runs: Vec::new(),
            error: Some(error),
            line,
        }
    }

    /// What the engine answered.
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

/// All answers of a command, told as they come or summed up.
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
    /// None yet; `file` is where the events come from.
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

    /// Takes the next one, in the order of the events.
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

    /// The first and the last run.
    pub(super) fn span(&self) -> Vec<RunId> {
        self.first.into_iter().chain(self.last).collect()
    }

    /// Tells people what came of it all, and gives the status.
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
            text.push_str(&format!(", {failed} of them failed"));
        }
        out.line(format_args!("{text}."))?;
        if failed > 0 {
            out.line(format_args!(
                "`promoflow run list --state failed` lists them."
            ))?;
        }
        Ok(())
    }

    /// How many of the runs have failed, counted up to a bound.
    fn failed_runs(&self, promoflow: &Promoflow) -> Result<usize, Failure> {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Ok(0);
        };
        let failed = promoflow.runs(Some(RunState::Failed), MOST_FAILED)?;
        let span = first..=last;
        Ok(failed.iter().filter(|run| span.contains(&run.id)).count())
    }
}

/// Tells of one event, with how its runs stand.
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
        out.line(format_args!(
            "{verdict} {event}: no workflow starts with it"
        ))?;
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
