//! `promoflow event`: the events that trigger workflows.

mod answers;
mod rehearsal;
mod stream;

use std::ops::ControlFlow;

use clap::{Args, Subcommand};
use promoflow_engine::run::SendError;
use promoflow_model::event::Event;
use serde_json::{Map, Value};

use super::args::{name_and_json, name_and_value};
use super::failure::{Done, Status};
use super::input;
use super::output::Out;
use super::session::Session;
use answers::{Answer, Answers};

/// Events, which trigger workflows.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow event send --file events.jsonl")]
pub(super) enum EventCommand {
    Send(Send),
}

/// Send an event, or a file of them, and wait for the runs that they start.
///
/// Waits until no run can continue now and each due delivery was attempted once. The exit status is
/// 0 once all events are accepted, even if a run fails later; an event that was accepted before
/// under the same id is a duplicate and counts as accepted.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
        promoflow event send --type birthday --key ann@example.com --id birthday-2030-ann \\\n      \
            --param EmailAddress=ann@example.com --param firstName=Ann\n  \
        promoflow event send --file events.jsonl\n\n\
        A line of the file is the body of an event:\n  \
        {\"id\": \"e-1\", \"eventTypeKey\": \"birthday\", \"keyValue\": \"ann@example.com\",\n   \
         \"params\": [{\"name\": \"EmailAddress\", \"value\": \"ann@example.com\"}]}")]
pub(super) struct Send {
    /// The type of the event, its eventTypeKey.
    #[arg(
        long = "type",
        value_name = "TYPE",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    event_type: Option<String>,
    /// The event key, keyValue: whom the event is about. Default: a parameter such as EmailAddress.
    #[arg(long, value_name = "KEY", conflicts_with = "file")]
    key: Option<String>,
    /// An id that you choose: an event sent again under the same id is accepted once.
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    id: Option<String>,
    /// A parameter as text; may be repeated.
    #[arg(
        long = "param",
        value_name = "NAME=VALUE",
        value_parser = name_and_value,
        conflicts_with = "file"
    )]
    params: Vec<(String, String)>,
    /// A parameter as JSON: a number, a list, an object; may be repeated.
    #[arg(
        long = "json-param",
        value_name = "NAME=JSON",
        value_parser = name_and_json,
        conflicts_with = "file"
    )]
    json_params: Vec<(String, Value)>,
    /// A file of events, one JSON object per line; `-` is standard input. An invalid line is
    /// reported, and the others are sent.
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// Show what the workflows would do and which code they would claim, without doing it. Waits
    /// for a time end at once. Each event is tested on its own, against the stored state.
    #[arg(long)]
    test: bool,
    /// Return as soon as the events are stored, and leave their runs to `promoflow work`.
    #[arg(long)]
    no_wait: bool,
}

impl EventCommand {
    pub(super) fn run(self, session: &Session, out: &mut Out) -> Done {
        let EventCommand::Send(send) = self;
        if send.test {
            return send.rehearse(session, out);
        }
        send.run(session, out)
    }
}

impl Send {
    fn run(self, session: &Session, out: &mut Out) -> Done {
        let mut answers = Answers::new(self.file.as_deref().map(input::shown));
        // Invalid input is rejected before a database is created.
        let (one, file) = match &self.file {
            Some(file) => (None, Some(input::open(file)?)),
            None => (Some(self.event()), None),
        };
        let one = match one {
            Some(Err(error)) => {
                answers.take(Answer::rejected(self.id.clone(), None, error), out)?;
                return answers.finish(None, out);
            }
            Some(Ok(event)) => Some(event),
            None => None,
        };
        let promoflow = session.open_to_deliver()?;
        let running = promoflow.start()?;
        if let Some(event) = one {
            let id = event.id.clone();
            let answer = Answer::of(id, None, running.send(event));
            answers.take(answer, out)?;
        }
        if let Some(file) = file {
            stream::send_all(&running, file, &mut answers, out)?;
        }
        if !self.no_wait {
            running.rest(&answers.span())?;
        }
        let done = answers.finish(Some((&promoflow, !self.no_wait)), out);
        running.stop();
        done
    }

    fn rehearse(self, session: &Session, out: &mut Out) -> Done {
        if let Some(file) = &self.file {
            let mut answers = Answers::new(Some(input::shown(file)));
            let input = input::open(file)?;
            let rehearsal = session.rehearse()?;
            let mut rejected = false;
            stream::each(input, |line, event| {
                match event {
                    Ok(event) => {
                        rehearsal::tell(&rehearsal.promoflow, event, Some(line), out)?;
                    }
                    Err(answer) => {
                        rejected = true;
                        answers.take(answer, out)?;
                    }
                }
                Ok(match out.is_gone() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
            })?;
            return match rejected {
                true => answers.finish(None, out),
                false => Ok(Status::Done),
            };
        }
        let mut answers = Answers::new(None);
        let event = match self.event() {
            Ok(event) => event,
            Err(error) => {
                answers.take(Answer::rejected(self.id.clone(), None, error), out)?;
                return answers.finish(None, out);
            }
        };
        let rehearsal = session.rehearse()?;
        rehearsal::tell(&rehearsal.promoflow, event, None, out)
    }

    /// Builds the event from the options.
    fn event(&self) -> Result<Event, String> {
        let mut params = Map::new();
        let texts = self.params.iter();
        let texts = texts.map(|(name, text)| (name.clone(), Value::String(text.clone())));
        for (name, value) in texts.chain(self.json_params.iter().cloned()) {
            if params.insert(name.clone(), value).is_some() {
                return Err(format!("params: `{name}` is given twice"));
            }
        }
        let event = Event {
            id: self.id.clone(),
            event_type: self.event_type.clone().unwrap_or_default(),
            key: self.key.clone().unwrap_or_default(),
            params,
            origin: None,
        };
        event.checked().map_err(|error| error.to_string())
    }
}

/// Returns true if the event itself is invalid.
fn is_refusal(error: &SendError) -> bool {
    matches!(error, SendError::Invalid(_) | SendError::Conflict(_))
}

impl Answer {
    fn status_of(&self) -> Status {
        match self.status {
            answers::Verdict::Accepted | answers::Verdict::Duplicate => Status::Done,
            answers::Verdict::Rejected => Status::Refused,
            answers::Verdict::Failed => Status::Failed,
        }
    }
}
