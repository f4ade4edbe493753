//! `promoflow contact`: the directory of contacts.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use clap::{Args, Subcommand};
use promoflow_api_model as api;
use promoflow_engine::import::ContactOptions;
use promoflow_installation::Promoflow;
use promoflow_model::contact::{AddressKind, Contact, ContactKey};
use promoflow_model::message::ChannelKind;
use promoflow_tabular::Format;
use serde_json::Value;

use super::args::choice;
use super::context::CliContext;
use super::error::{CliError, CommandResult, Status};
use super::input;
use super::output::{BOLD, Out, sanitize_line};
use super::table::Table;
use super::upload::{CsvArgs, FORMATS, Upload, format_of};

/// Contacts: the people who receive messages.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow contact import contacts.csv")]
pub(super) enum ContactCommand {
    Import(Import),
    /// List contacts, the oldest first.
    #[command(after_help = "Example, a copy that imports again:\n  \
                            promoflow contact list --json > contacts.jsonl")]
    List,
    /// Show a contact.
    #[command(
        after_help = "Examples:\n  promoflow contact show 17\n  promoflow contact show ann@example.com"
    )]
    Show {
        /// The contact's id, or else its external id, email address, phone number or token.
        id: String,
    },
    /// Unsubscribe a contact.
    ///
    /// Its waiting deliveries are cancelled when they are due.
    #[command(after_help = "Example:\n  promoflow contact unsubscribe 17 --channel email")]
    Unsubscribe(ConsentArgs),
    /// Subscribe a contact again.
    #[command(after_help = "Example:\n  promoflow contact subscribe 17 --channel email")]
    Subscribe(ConsentArgs),
}

/// Upload contacts from a CSV or JSON file.
///
/// A row updates the contact with its id, external id or address, or creates one if there is none.
/// Fields that a row omits keep their values. A column or key other than contact, externalId,
/// email, phone, tokens.…, languages, timeZone and consent.… becomes a field of that name. Valid
/// rows are imported and invalid ones are reported; the exit status is then 2.
#[derive(Args)]
#[command(after_help = "Examples:\n  promoflow contact import contacts.csv\n  \
                        promoflow contact import - --format json --dry-run < contacts.jsonl")]
pub(super) struct Import {
    /// The file; `-` is standard input.
    file: String,
    /// The file's format. Default: by the file's extension, or else by its first character.
    #[arg(long, value_name = "FORMAT", value_parser = choice(FORMATS))]
    format: Option<Format>,
    /// Show what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// All or nothing: one invalid row rejects the whole file.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    csv: CsvArgs,
    /// Let rows subscribe contacts that have unsubscribed. Without it, they stay unsubscribed.
    #[arg(long)]
    resubscribe: bool,
}

/// The contact and the channels of a consent command.
#[derive(Args)]
pub(super) struct ConsentArgs {
    /// The contact's id, or else its external id, email address, phone number or token.
    id: String,
    /// Only this channel; may be repeated. Default: all channels.
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,
}

impl ContactCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            ContactCommand::Import(import) => import.run(context, out),
            ContactCommand::List => list(&context.open()?, out),
            ContactCommand::Show { id } => {
                let contact = find(&context.open()?, &id)?;
                show(&contact, out)
            }
            ContactCommand::Unsubscribe(consent) => consent.apply(false, context, out),
            ContactCommand::Subscribe(consent) => consent.apply(true, context, out),
        }
    }
}

impl Import {
    fn run(&self, context: &CliContext, out: &mut Out) -> CommandResult {
        // Opened before the database, so that a typo in the file's name does not create one.
        let input = input::open(&self.file)?;
        if self.dry_run {
            return self.import(&context.open_for_preview()?.promoflow, input, out);
        }
        self.import(&context.open_or_create()?, input, out)
    }

    fn import(&self, promoflow: &Promoflow, input: input::Input, out: &mut Out) -> CommandResult {
        let options = ContactOptions {
            format: format_of(self.format, &self.file),
            csv: self.csv.options(),
            strict: self.strict,
            dry_run: self.dry_run,
            resubscribe: self.resubscribe,
        };
        let upload = Upload {
            strict: self.strict,
            dry_run: self.dry_run,
        };
        upload.run(input, out, |reader, progress| {
            promoflow.import_contacts(reader, options, progress)
        })
    }
}

impl ConsentArgs {
    fn apply(&self, is_subscribed: bool, context: &CliContext, out: &mut Out) -> CommandResult {
        let mut channels = Vec::new();
        for name in &self.channels {
            let channel: ChannelKind =
                name.parse()
                    .map_err(|error: promoflow_model::message::UnknownChannel| {
                        CliError::invalid_input(format_args!("--channel: {error}"))
                            .with_hint(error.hint)
                    })?;
            channels.push(channel);
        }
        if channels.is_empty() {
            channels = ChannelKind::ALL.to_vec();
        }
        let promoflow = context.open()?;
        let id = find(&promoflow, &self.id)?.id;
        let contact = match is_subscribed {
            true => promoflow.subscribe(&id, &channels)?,
            false => promoflow.unsubscribe(&id, &channels)?,
        };
        match contact {
            Some(contact) => show(&contact, out),
            None => Err(unknown(&id)),
        }
    }
}

fn unknown(id: &str) -> CliError {
    CliError::failed(format_args!("no contact `{id}`"))
        .with_hint("run `promoflow contact list` for the contacts")
}

fn find(promoflow: &Promoflow, id: &str) -> Result<Contact, CliError> {
    promoflow
        .contact(ContactKey::Any(id.to_owned()))?
        .ok_or_else(|| unknown(id))
}

fn list(promoflow: &Promoflow, out: &mut Out) -> CommandResult {
    let header = [
        "CONTACT",
        "EXTERNAL ID",
        "EMAIL",
        "PHONE",
        "LANGUAGES",
        "UNSUBSCRIBED FROM",
    ];
    let mut table = Table::new(header);
    let mut written = Ok(());
    let gone = out.closed_flag();
    promoflow.contacts(|contact| {
        written = if out.is_json() {
            out.json(&api::Contact::from(contact))
        } else {
            let address = |kind| contact.addresses.get(&kind).cloned().unwrap_or_default();
            table.row(
                out,
                [
                    contact.id.clone(),
                    contact.external_id.clone().unwrap_or_default(),
                    address(AddressKind::Email),
                    address(AddressKind::Phone),
                    contact.languages.join(", "),
                    unsubscribed_channels(&contact),
                ],
            )
        };
        match written.is_ok() && !gone.load(Ordering::Relaxed) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    written?;
    if !out.is_json() {
        table.finish(out, "No contacts.")?;
    }
    Ok(Status::Success)
}

/// Returns the channels that a contact has unsubscribed from.
fn unsubscribed_channels(contact: &Contact) -> String {
    let refused = ChannelKind::ALL
        .into_iter()
        .filter(|channel| contact.has_unsubscribed(*channel));
    refused
        .map(ChannelKind::name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn show(contact: &Contact, out: &mut Out) -> CommandResult {
    if out.is_json() {
        out.json(&api::Contact::from(contact.clone()))?;
        return Ok(Status::Success);
    }
    out.line(format_args!(
        "{}",
        out.style(BOLD, sanitize_line(&format!("Contact {}", contact.id)))
    ))?;
    let mut lines: Vec<(&str, String)> = Vec::new();
    lines.extend(
        contact
            .external_id
            .clone()
            .map(|text| ("external id", text)),
    );
    for (kind, address) in &contact.addresses {
        lines.push((kind.name(), address.clone()));
    }
    if !contact.languages.is_empty() {
        lines.push(("languages", contact.languages.join(", ")));
    }
    lines.extend(
        contact
            .time_zone
            .map(|zone| ("time zone", zone.name().to_owned())),
    );
    for (name, value) in &contact.fields {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push((name, value));
    }
    let refused = unsubscribed_channels(contact);
    if !refused.is_empty() {
        lines.push(("unsubscribed from", refused));
    }
    for (name, value) in lines {
        out.line(format_args!(
            "  {:<18} {}",
            sanitize_line(name),
            sanitize_line(&value)
        ))?;
    }
    Ok(Status::Success)
}
