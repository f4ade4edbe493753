//! `promoflow contact`: the directory of contacts.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use clap::{Args, Subcommand};
use promoflow_engine::import::ContactOptions;
use promoflow_installation::Promoflow;
use promoflow_model::contact::{AddressKind, Contact, Name};
use promoflow_model::message::ChannelKind;
use serde_json::{Map, Value, json};

use super::failure::{Done, Failure, Status};
use super::input;
use super::output::{BOLD, Out, tame_line};
use super::session::Session;
use super::table::Table;
use super::upload::{CsvArgs, FormatName, Upload, format_of};

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
    Unsubscribe(Consent),
    /// Subscribe a contact again.
    #[command(after_help = "Example:\n  promoflow contact subscribe 17 --channel email")]
    Subscribe(Consent),
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
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatName>,
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
pub(super) struct Consent {
    /// The contact's id, or else its external id, email address, phone number or token.
    id: String,
    /// Only this channel; may be repeated. Default: all channels.
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,
}

impl ContactCommand {
    pub(super) fn run(self, session: &Session, out: &mut Out) -> Done {
        match self {
            ContactCommand::Import(import) => import.run(session, out),
            ContactCommand::List => list(&session.open()?, out),
            ContactCommand::Show { id } => {
                let contact = find(&session.open()?, &id)?;
                show(&contact, out)
            }
            ContactCommand::Unsubscribe(consent) => consent.give(false, session, out),
            ContactCommand::Subscribe(consent) => consent.give(true, session, out),
        }
    }
}

impl Import {
    fn run(&self, session: &Session, out: &mut Out) -> Done {
        // Opened before the database, so that a typo in the file's name does not create one.
        let input = input::open(&self.file)?;
        if self.dry_run {
            return self.import(&session.rehearse()?.promoflow, input, out);
        }
        self.import(&session.open_or_make()?, input, out)
    }

    fn import(&self, promoflow: &Promoflow, input: input::Input, out: &mut Out) -> Done {
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
        upload.take(input, out, |reader, progress| {
            promoflow.import_contacts(reader, options, progress)
        })
    }
}

impl Consent {
    fn give(&self, given: bool, session: &Session, out: &mut Out) -> Done {
        let mut channels = Vec::new();
        for name in &self.channels {
            let channel: ChannelKind =
                name.parse()
                    .map_err(|error: promoflow_model::message::UnknownChannel| {
                        Failure::refused(format_args!("--channel: {error}")).hint(error.hint)
                    })?;
            channels.push(channel);
        }
        if channels.is_empty() {
            channels = ChannelKind::ALL.to_vec();
        }
        let promoflow = session.open()?;
        let id = find(&promoflow, &self.id)?.id;
        let contact = match given {
            true => promoflow.subscribe(&id, &channels)?,
            false => promoflow.unsubscribe(&id, &channels)?,
        };
        match contact {
            Some(contact) => show(&contact, out),
            None => Err(unknown(&id)),
        }
    }
}

fn unknown(id: &str) -> Failure {
    Failure::failed(format_args!("no contact `{id}`"))
        .hint("run `promoflow contact list` for the contacts")
}

fn find(promoflow: &Promoflow, id: &str) -> Result<Contact, Failure> {
    promoflow
        .contact(Name::Any(id.to_owned()))?
        .ok_or_else(|| unknown(id))
}

fn json_of(contact: &Contact) -> Value {
    let address = |kind| contact.addresses.get(&kind);
    let tokens: Map<String, Value> = AddressKind::TOKENS
        .into_iter()
        .filter_map(|kind| Some((kind.name().to_owned(), address(kind)?.as_str().into())))
        .collect();
    json!({
        "contact": contact.id,
        "externalId": contact.external_id,
        "email": address(AddressKind::Email),
        "phone": address(AddressKind::Phone),
        "tokens": tokens,
        "fields": contact.fields,
        "languages": contact.languages,
        "timeZone": contact.time_zone.map(|zone| zone.name()),
        "consent": contact.consent,
    })
}

fn list(promoflow: &Promoflow, out: &mut Out) -> Done {
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
    let gone = out.gone();
    promoflow.contacts(|contact| {
        written = if out.is_json() {
            out.json(&json_of(&contact))
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
                    refused(&contact),
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
    Ok(Status::Done)
}

/// Returns the channels that a contact has unsubscribed from.
fn refused(contact: &Contact) -> String {
    let refused = ChannelKind::ALL
        .into_iter()
        .filter(|channel| contact.refuses(*channel));
    refused
        .map(ChannelKind::name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn show(contact: &Contact, out: &mut Out) -> Done {
    if out.is_json() {
        out.json(&json_of(contact))?;
        return Ok(Status::Done);
    }
    out.line(format_args!(
        "{}",
        out.style(BOLD, tame_line(&format!("Contact {}", contact.id)))
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
    let refused = refused(contact);
    if !refused.is_empty() {
        lines.push(("unsubscribed from", refused));
    }
    for (name, value) in lines {
        out.line(format_args!(
            "  {:<18} {}",
            tame_line(name),
            tame_line(&value)
        ))?;
    }
    Ok(Status::Done)
}
