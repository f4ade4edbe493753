//! `promoflow event`: the events that trigger workflows.

mod results;
mod stream;
mod test_run;

use std::ops::ControlFlow;

use clap::{Args, Subcommand};
use promoflow_engine::run::SubmitError;
use promoflow_model::event::{CheckedEvent, Event};
use serde_json::{Map, Value};

use super::args::{name_and_json, name_and_value};
use super::context::CliContext;
use super::error::{CommandResult, Status};
use super::input;
use super::output::Out;
use results::{EventResult, EventResults};

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
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        let EventCommand::Send(send) = self;
        if send.test {
            return send.test_run(context, out);
        }
        send.run(context, out)
    }
}

impl Send {
    fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        let mut results = EventResults::new(self.file.as_deref().map(input::display_name));
        // Invalid input is rejected before a database is created.
        let (one, file) = match &self.file {
            Some(file) => (None, Some(input::open(file)?)),
            None => (Some(self.event()), None),
        };
        let one = match one {
            Some(Err(error)) => {
                results.add(EventResult::rejected(self.id.clone(), None, error), out)?;
                return results.finish(None, out);
            }
            Some(Ok(event)) => Some(event),
            None => None,
        };
        let promoflow = context.open_to_deliver()?;
        let running = promoflow.start()?;
        if let Some(event) = one {
            let id = event.id.clone();
            let result = EventResult::from_reply(id, None, running.send(event));
            results.add(result, out)?;
        }
        if let Some(file) = file {
            stream::send_all(&running, file, &mut results, out)?;
        }
        if !self.no_wait {
            running.wait_idle(&results.span())?;
        }
        let done = results.finish(Some((&promoflow, !self.no_wait)), out);
        running.stop();
        done
    }

    fn test_run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        if let Some(file) = &self.file {
            let mut results = EventResults::new(Some(input::display_name(file)));
            let input = input::open(file)?;
            let preview = context.open_for_preview()?;
            let mut rejected = false;
            stream::for_each_event(input, |line, event| {
                match event {
                    Ok(event) => {
                        test_run::print(&preview.promoflow, event, Some(line), out)?;
                    }
                    Err(result) => {
                        rejected = true;
                        results.add(result, out)?;
                    }
                }
                Ok(match out.is_closed() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
            })?;
            return match rejected {
                true => results.finish(None, out),
                false => Ok(Status::Success),
            };
        }
        let mut results = EventResults::new(None);
        let event = match self.event() {
            Ok(event) => event,
            Err(error) => {
                results.add(EventResult::rejected(self.id.clone(), None, error), out)?;
                return results.finish(None, out);
            }
        };
        let preview = context.open_for_preview()?;
        test_run::print(&preview.promoflow, event, None, out)
    }

    /// Builds the event from the options.
    fn event(&self) -> Result<CheckedEvent, String> {
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
fn is_invalid_event(error: &SubmitError) -> bool {
    matches!(error, SubmitError::Invalid(_) | SubmitError::Conflict(_))
}

impl EventResult {
    fn exit_status(&self) -> Status {
        match self.status {
            results::EventStatus::Accepted | results::EventStatus::Duplicate => Status::Success,
            results::EventStatus::Rejected => Status::InvalidInput,
            results::EventStatus::Failed => Status::Failed,
        }
    }
}
