//! `promoflow restore`: creates the database from a backup.

use std::path::PathBuf;

use clap::Args;
use promoflow_installation::Promoflow;
use promoflow_model::database::Engine;
use serde_json::json;

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, print_error, print_note};
use super::output::Out;
use super::shell::quoted;

/// Create the database from a backup, after checking the backup.
///
/// The backup is read and never changed. It must be undamaged, its promises must hold (`promoflow
/// audit`), and it must not come from a later release; a backup of an earlier release is migrated.
/// An existing database is never overwritten: stop every process that uses it, and move its files
/// away first. The backup does not know what happened after it: codes that were sent since are
/// available in it, so retire the codes that the outbox of the old database or the mail server
/// shows before you start anything.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow restore shop-2030-05-01.db --db shop.db")]
pub(super) struct Restore {
    /// The backup.
    file: PathBuf,
}

impl Restore {
    pub(super) fn run(&self, context: &CliContext, out: &mut Out) -> CommandResult {
        let to = context.database_for_creation()?;
        if let Ok(Engine::Postgres(_)) = to.engine() {
            let message = format_args!("{to}: `restore` creates SQLite files only");
            let hint = format!(
                "run `pg_restore --dbname={} {}`, then `promoflow audit`",
                quoted(&to.to_string()),
                quoted(&self.file.display().to_string())
            );
            return Err(CliError::invalid_input(message).with_hint(hint));
        }
        if !self.file.is_file() {
            let message = format_args!("{}: no such file", self.file.display());
            return Err(CliError::invalid_input(message));
        }
        let restored = Promoflow::restore(&self.file, to.clone())?;
        for broken in restored.audited.iter().filter(|one| !one.holds) {
            let rows = broken.violations.join("\n  ");
            let message = format!("{} does not hold in the backup:\n  {rows}", broken.promise);
            print_error(message, None);
        }
        if out.is_json() {
            out.json(&json!({
                "file": self.file.display().to_string(),
                "database": to.to_string(),
                "restored": restored.done,
                "bytes": restored.bytes,
                "checked": restored.audited.iter().map(|one| one.checked).sum::<u64>(),
            }))?;
        } else if restored.done {
            out.line(format_args!(
                "Restored to {to}, {} bytes; the promises hold in it.",
                restored.bytes
            ))?;
        }
        if !restored.done {
            return Err(CliError::failed("the backup was not restored")
                .with_hint("use an older backup, or check this one with `promoflow audit`"));
        }
        out.flush()?;
        print_note(
            "codes sent after the backup are available in it: retire them before you start anything",
        );
        Ok(Status::Success)
    }
}
