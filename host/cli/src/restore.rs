//! `promoflow restore`: a backup becomes the database.

use std::path::PathBuf;

use clap::Args;
use promoflow_installation::Promoflow;
use serde_json::json;

use super::failure::{Done, Failure, Status, tell_error, tell_note};
use super::output::Out;
use super::session::Session;

/// Make the database from a backup, once that is found to be whole.
///
/// The backup is read and never changed. It must be undamaged, its promises must hold
/// (`promoflow audit`), and it must not come from a later release; one of an earlier release is brought up
/// to date. A database that is there is never overwritten: end every process that uses it, and
/// move its files away first. Whatever happened after the backup is unknown then: codes that went
/// out since are free in it, so retire those that the outbox of the old database or the mail server
/// tell, before anything runs.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow restore shop-2030-05-01.db --db shop.db")]
pub(super) struct Restore {
    /// The backup.
    file: PathBuf,
}

impl Restore {
    pub(super) fn run(&self, session: &Session, out: &mut Out) -> Done {
        if !self.file.is_file() {
            let message = format_args!("there is no backup at {}", self.file.display());
            return Err(Failure::refused(message));
        }
        let to = session.new_path()?;
        let restored = Promoflow::restore(&self.file, &to)?;
        for broken in restored.audited.iter().filter(|one| !one.holds) {
            let rows = broken.violations.join("\n  ");
            let message = format!("{} does not hold in the backup:\n  {rows}", broken.promise);
            tell_error(message, None);
        }
        if out.is_json() {
            out.json(&json!({
                "file": self.file.display().to_string(),
                "database": to.display().to_string(),
                "restored": restored.done,
                "bytes": restored.bytes,
                "checked": restored.audited.iter().map(|one| one.checked).sum::<u64>(),
            }))?;
        } else if restored.done {
            out.line(format_args!(
                "Restored to {}, {} bytes; the promises hold in it.",
                to.display(),
                restored.bytes
            ))?;
        }
        if !restored.done {
            return Err(Failure::failed("nothing was restored")
                .hint("take an older backup, or look at this one with `promoflow audit`"));
        }
        out.flush()?;
        tell_note(
            "codes that went out after the backup are free in it: retire them before anything runs",
        );
        Ok(Status::Done)
    }
}
