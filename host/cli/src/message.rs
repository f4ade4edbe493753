//! `promoflow message`: the messages that workflows send.

use clap::{Args, Subcommand};
use promoflow_api_model as api;
use promoflow_document::{MAX_FILE_BYTES, did_you_mean};
use promoflow_installation::Promoflow;
use promoflow_model::event::{Event, MAX_EVENT_BYTES};
use promoflow_model::message::{
    MessageLine, PreparedMessage, RenderedMessage, SCHEMA, Values, message_lines,
};
use serde_json::{Map, Value};

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status};
use super::files::{Files, applied_file, schema};
use super::input;
use super::output::{BOLD, DIM, Out};
use super::table::Table;

/// The largest file of values for a message, in bytes.
const MAX_DATA_BYTES: usize = 16 * MAX_EVENT_BYTES;

/// Messages that workflows send.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow message apply message.yaml")]
pub(super) enum MessageCommand {
    /// Check messages and store them.
    ///
    /// If a file has an error, nothing from it is stored; every error is shown with its line and
    /// column. A reference that no known source sets is a warning: without a value it prints
    /// nothing, or its own source with the key `unset: print`.
    #[command(after_help = "Example:\n  promoflow message apply message.yaml")]
    Apply(Files),
    /// List the messages.
    #[command(after_help = "Example:\n  promoflow message list --json")]
    List,
    Render(Render),
    /// Print the JSON Schema of a message file, for editors.
    #[command(after_help = "Example:\n  promoflow message schema > message.schema.json")]
    Schema,
}

/// Show a message as a contact would get it, without sending it.
#[derive(Args)]
#[command(
    after_help = "Example:\n  echo '{\"firstName\": \"Ann\", \"promocode\": \"BDAY-1\"}' | \
                  promoflow message render birthday-email --data -"
)]
pub(super) struct Render {
    /// The message's id.
    id: String,
    /// A JSON file: an object of values, or the body of an event; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    data: String,
    /// Language of the message, such as `uk`. Default: the language that the values prefer.
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
}

impl MessageCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            MessageCommand::Apply(files) => apply(context, &files, out),
            MessageCommand::List => list(&context.open()?, out),
            MessageCommand::Render(render) => render.run(context, out),
            MessageCommand::Schema => schema(SCHEMA, out),
        }
    }
}

fn apply(context: &CliContext, files: &Files, out: &mut Out) -> CommandResult {
    let sources = files.read(MAX_FILE_BYTES)?;
    let promoflow = context.open_or_create()?;
    let mut status = Status::Success;
    for (name, source) in &sources {
        let file = promoflow.apply_messages(name, source, &input::base_folder(name))?;
        status = status.max(applied_file(
            name,
            &file,
            ("message", "messages"),
            out,
            |out, message, applied| {
                if out.is_json() {
                    return out.json(&api::Message {
                        version: Some(applied.version),
                        changed: Some(applied.changed),
                        ..message.clone().into()
                    });
                }
                let change = if applied.changed {
                    "stored"
                } else {
                    "unchanged"
                };
                out.line(format_args!(
                    "Message {} ({}): {change}, version {}.",
                    message.id, message.channel, applied.version
                ))
            },
        )?);
    }
    Ok(status)
}

fn list(promoflow: &Promoflow, out: &mut Out) -> CommandResult {
    let mut table = Table::new(["MESSAGE", "CHANNEL", "PARTS", "SUBJECT"]);
    for message in promoflow.messages()? {
        if out.is_json() {
            out.json(&api::Message::from(message))?;
            continue;
        }
        let parts = [("text", &message.parts.text), ("html", &message.parts.html)];
        let parts: Vec<&str> = parts
            .into_iter()
            .filter_map(|(name, part)| part.as_ref().map(|_| name))
            .collect();
        let cells = [
            message.id,
            message.channel.to_string(),
            parts.join(", "),
            message
                .parts
                .subject
                .or(message.parts.title)
                .unwrap_or_default(),
        ];
        table.row(out, cells)?;
    }
    if !out.is_json() {
        table.finish(out, "No messages. Add some with `promoflow message apply`.")?;
    }
    Ok(Status::Success)
}

impl Render {
    fn run(&self, context: &CliContext, out: &mut Out) -> CommandResult {
        let data = input::read(&self.data, MAX_DATA_BYTES)?;
        let (key, values) = values(input::display_name(&self.data), &data)?;
        let promoflow = context.open()?;
        let messages = promoflow.messages()?;
        let ids = messages.iter().map(|message| message.id.as_str());
        let Some(message) = messages.iter().find(|message| message.id == self.id) else {
            let failure = CliError::failed(format_args!("no message `{}`", self.id));
            return Err(failure
                .with_hint("run `promoflow message list` for the messages")
                .with_optional_hint(did_you_mean(&self.id, ids)));
        };
        let values = Values::new(&values, &key).with_now(promoflow.local_time()?);
        let content = PreparedMessage::new(message.clone())
            .and_then(|prepared| prepared.preview(values, self.language.as_deref()))
            .map_err(CliError::failed)?;
        if out.is_json() {
            out.json(&api::Rendered {
                message: message.id.clone(),
                channel: message.channel.to_string(),
                language: content.language.clone(),
                parts: content.into(),
            })?;
        } else {
            show_content(&content, None, out)?;
        }
        Ok(Status::Success)
    }
}

/// Reads the values of a file and their event key: the parameters of an event's body, or an object
/// of values.
fn values(name: &str, data: &[u8]) -> Result<(String, Map<String, Value>), CliError> {
    let refused = |why: String| CliError::invalid_input(format_args!("{name}: {why}"));
    if data.len() > MAX_DATA_BYTES {
        return Err(refused(format!(
            "too large; expected at most {MAX_DATA_BYTES} bytes"
        )));
    }
    let text = std::str::from_utf8(data).map_err(|error| refused(format!("not UTF-8: {error}")))?;
    // Some editors begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let values: Value =
        serde_json::from_str(text).map_err(|error| refused(format!("not JSON: {error}")))?;
    let Value::Object(values) = values else {
        return Err(refused(
            "expected a JSON object of values, or the body of an event".into(),
        ));
    };
    if values.contains_key("eventTypeKey") {
        let event = Event::from_json(text).map_err(|error| refused(error.to_string()))?;
        let event = event.into_inner();
        return Ok((event.key, event.params));
    }
    let key = values.get("key").and_then(Value::as_str);
    Ok((key.unwrap_or_default().to_owned(), values))
}

/// Writes a message for people.
pub(super) fn show_content(
    content: &RenderedMessage,
    to: Option<&str>,
    out: &mut Out,
) -> std::io::Result<()> {
    for line in message_lines(content, to) {
        match line {
            MessageLine::Header(name, value) => {
                let name = out.style(BOLD, format_args!("{name}:"));
                out.line(format_args!("{name} {value}"))?;
            }
            MessageLine::Text(text) => out.line(format_args!("\n{text}"))?,
            MessageLine::Html(html) => {
                let rule = out.style(DIM, "--- HTML ---");
                out.line(format_args!("\n{rule}\n{html}"))?;
            }
        }
    }
    Ok(())
}
