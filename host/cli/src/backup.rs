//! `promoflow backup`: a copy of the database while others write.

use std::path::PathBuf;

use clap::Args;
use promoflow_model::database::Engine;
use serde_json::json;

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status};
use super::output::Out;
use super::shell::quoted;

/// Copy the database into a new file, while other processes write.
///
/// The copy is the database as it was at one moment; `promoflow restore` creates a database from
/// it.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow backup shop-2030-05-01.db --db shop.db")]
pub(super) struct Backup {
    /// The file to write; it must not exist.
    file: PathBuf,
}

impl Backup {
    pub(super) fn run(&self, context: &CliContext, out: &mut Out) -> CommandResult {
        let database = context.database()?;
        if let Ok(Engine::Postgres(_)) = database.engine() {
            let message = format_args!("{database}: `backup` copies SQLite files only");
            let hint = format!(
                "run `pg_dump --format=custom --file={} {}`",
                quoted(&self.file.display().to_string()),
                quoted(&database.to_string())
            );
            return Err(CliError::invalid_input(message).with_hint(hint));
        }
        let promoflow = context.open()?;
        if self.file.exists() {
            let refused = format_args!("{}: already exists", self.file.display());
            return Err(CliError::invalid_input(refused).with_hint("name a new file"));
        }
        promoflow.backup(&self.file)?;
        let size = std::fs::metadata(&self.file).map_or(0, |file| file.len());
        if out.is_json() {
            out.json(&json!({ "file": self.file.display().to_string(), "bytes": size }))?;
        } else {
            out.line(format_args!(
                "Copied to {}, {size} bytes.",
                self.file.display()
            ))?;
        }
        Ok(Status::Success)
    }
}
