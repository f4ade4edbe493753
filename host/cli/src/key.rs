//! `promoflow key`: API keys of the service.

use clap::Subcommand;
use promoflow_model::key::{Key, NoScopes, Scope};
use serde_json::{Value, json};

use super::failure::{Done, Failure, Status, tell_note};
use super::output::{Out, moment};
use super::session::Session;
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

fn json_of(key: &Key) -> Value {
    json!({
        "key": key.id,
        "scopes": key.scopes,
        "createdAt": key.created.to_string(),
        "revokedAt": key.revoked.map(|at| at.to_string()),
    })
}

fn scopes(key: &Key) -> String {
    let names: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    names.join(", ")
}

impl KeyCommand {
    pub(super) fn run(self, session: &Session, out: &mut Out) -> Done {
        match self {
            KeyCommand::Create { scopes } => create(session, scopes, out),
            KeyCommand::List => list(session, out),
            KeyCommand::Revoke { key } => revoke(session, &key, out),
        }
    }
}

fn create(session: &Session, allowed: Option<Vec<Scope>>, out: &mut Out) -> Done {
    let allowed = allowed.unwrap_or_else(|| Scope::USUAL.to_vec());
    if allowed.is_empty() {
        return Err(Failure::refused(NoScopes));
    }
    let made = session.open_or_make()?.create_key(&allowed)?;
    if out.is_json() {
        let mut shown = json_of(&made.key);
        shown["secret"] = json!(made.secret);
        out.json(&shown)?;
        return Ok(Status::Done);
    }
    out.line(format_args!("{}", made.secret))?;
    out.flush()?;
    tell_note(format_args!(
        "this secret is shown once; key {} has the scopes {}",
        made.key.id,
        scopes(&made.key)
    ));
    Ok(Status::Done)
}

fn list(session: &Session, out: &mut Out) -> Done {
    let mut table = Table::new(["KEY", "SCOPES", "CREATED", "REVOKED"]);
    for key in session.open()?.keys()? {
        if out.is_json() {
            out.json(&json_of(&key))?;
            continue;
        }
        let cells = [
            key.id.clone(),
            scopes(&key),
            moment(key.created),
            key.revoked.map(moment).unwrap_or_default(),
        ];
        table.row(out, cells)?;
    }
    if !out.is_json() {
        table.finish(out, "No API keys. Create one with `promoflow key create`.")?;
    }
    Ok(Status::Done)
}

fn revoke(session: &Session, key: &str, out: &mut Out) -> Done {
    // The secret identifies the key as well.
    let id = Key::id_of(key).unwrap_or(key);
    let promoflow = session.open()?;
    if !promoflow.revoke_key(id)? {
        return Err(Failure::failed(format_args!("no API key `{id}`"))
            .hint("run `promoflow key list` for the keys"));
    }
    let keys = promoflow.keys()?;
    match keys.iter().find(|known| known.id == id) {
        Some(key) if out.is_json() => out.json(&json_of(key))?,
        _ => out.line(format_args!("API key {id} is revoked."))?,
    }
    Ok(Status::Done)
}
