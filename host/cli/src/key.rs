//! `promoflow key`: API keys of the service.

use clap::Subcommand;
use promoflow_api_model as api;
use promoflow_model::key::{EmptyScopesError, Key, Scope};

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, print_note};
use super::output::{Out, format_time};
use super::table::Table;

/// API keys: access to the HTTP service.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow key create --scopes events,read")]
pub(super) enum KeyCommand {
    /// Create an API key and show its secret this once.
    ///
    /// Clients send the secret as the password of HTTP Basic, with any user name, or as a Bearer
    /// token. Only a digest of it is stored.
    #[command(after_help = "Examples:\n  promoflow key create\n  \
                            promoflow key create --scopes events,read")]
    Create {
        /// Scopes of the key: codes, events, contacts, workflows, read, metrics, admin. Default:
        /// all but admin.
        #[arg(long, value_name = "S,…", value_delimiter = ',')]
        scopes: Option<Vec<Scope>>,
    },
    /// List the API keys, without their secrets.
    #[command(after_help = "Example:\n  promoflow key list")]
    List,
    /// Revoke an API key permanently; a running service rejects it within a second.
    #[command(after_help = "Example:\n  promoflow key revoke 5f0c2a9be1d34c77")]
    Revoke {
        /// The key's id, as `key list` shows it, or its secret.
        key: String,
    },
}

fn scopes(key: &Key) -> String {
    let names: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    names.join(", ")
}

impl KeyCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            KeyCommand::Create { scopes } => create(context, scopes, out),
            KeyCommand::List => list(context, out),
            KeyCommand::Revoke { key } => revoke(context, &key, out),
        }
    }
}

fn create(context: &CliContext, allowed: Option<Vec<Scope>>, out: &mut Out) -> CommandResult {
    let allowed = allowed.unwrap_or_else(|| Scope::DEFAULT.to_vec());
    if allowed.is_empty() {
        return Err(CliError::invalid_input(EmptyScopesError));
    }
    let made = context.open_or_create()?.create_key(&allowed)?;
    if out.is_json() {
        out.json(&api::Key {
            secret: Some(made.secret),
            ..api::Key::from(&made.key)
        })?;
        return Ok(Status::Success);
    }
    out.line(format_args!("{}", made.secret))?;
    out.flush()?;
    print_note(format_args!(
        "this secret is shown once; key {} has the scopes {}",
        made.key.id,
        scopes(&made.key)
    ));
    Ok(Status::Success)
}

fn list(context: &CliContext, out: &mut Out) -> CommandResult {
    let mut table = Table::new(["KEY", "SCOPES", "CREATED", "REVOKED"]);
    for key in context.open()?.keys()? {
        if out.is_json() {
            out.json(&api::Key::from(&key))?;
            continue;
        }
        let cells = [
            key.id.clone(),
            scopes(&key),
            format_time(key.created),
            key.revoked.map(format_time).unwrap_or_default(),
        ];
        table.row(out, cells)?;
    }
    if !out.is_json() {
        table.finish(out, "No API keys. Create one with `promoflow key create`.")?;
    }
    Ok(Status::Success)
}

fn revoke(context: &CliContext, key: &str, out: &mut Out) -> CommandResult {
    // The secret identifies the key as well.
    let id = Key::parse_id(key).unwrap_or(key);
    let promoflow = context.open()?;
    if !promoflow.revoke_key(id)? {
        return Err(CliError::failed(format_args!("no API key `{id}`"))
            .with_hint("run `promoflow key list` for the keys"));
    }
    let keys = promoflow.keys()?;
    match keys.iter().find(|known| known.id == id) {
        Some(key) if out.is_json() => out.json(&api::Key::from(key))?,
        _ => out.line(format_args!("API key {id} is revoked."))?,
    }
    Ok(Status::Success)
}
