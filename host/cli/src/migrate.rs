//! `promoflow migrate`: moves an installation to another database.

use clap::Args;
use promoflow_installation::Promoflow;
use promoflow_model::database::Database;
use serde_json::json;

use super::error::{CliError, CommandResult, Status, print_error};
use super::output::Out;

/// Move an installation to another database, for example from a SQLite file to PostgreSQL.
///
/// The new database is a SQLite file that does not exist, or an empty PostgreSQL database. It gets
/// every row or none: the promises are checked in it first (`promoflow audit`). The old database is
/// then closed for good, so that no code is used in both; keep it until you are content. Stop every
/// process that uses it before.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
        promoflow migrate --from shop.db --to postgres://shop@db.example.com/shop\n  \
        promoflow migrate --from postgres://shop@db.example.com/shop --to shop.db")]
pub(super) struct Migrate {
    /// The database of the installation.
    #[arg(long, value_name = "DATABASE")]
    from: String,
    /// The new database.
    #[arg(long, value_name = "DATABASE")]
    to: String,
}

impl Migrate {
    pub(super) fn run(&self, out: &mut Out) -> CommandResult {
        let (from, to) = (parse(&self.from)?, parse(&self.to)?);
        let migrated = Promoflow::migrate(from, to.clone())?;
        for broken in migrated.audited.iter().filter(|one| !one.holds) {
            let rows = broken.violations.join("\n  ");
            print_error(format!("{} does not hold:\n  {rows}", broken.promise), None);
        }
        let rows: u64 = migrated.rows.iter().map(|(_, rows)| rows).sum();
        if out.is_json() {
            out.json(&json!({
                "database": to.to_string(),
                "migrated": migrated.done,
                "rows": rows,
                "checked": migrated.audited.iter().map(|one| one.checked).sum::<u64>(),
            }))?;
        } else if migrated.done {
            out.line(format_args!(
                "Moved to {to}, {rows} rows; the promises hold in it."
            ))?;
        }
        match migrated.done {
            true => Ok(Status::Success),
            false => Err(CliError::failed("nothing was moved")
                .with_hint("find the cause with `promoflow audit` on the old database")),
        }
    }
}

fn parse(address: &str) -> Result<Database, CliError> {
    let database = Database::from(address);
    match database.engine() {
        Ok(_) => Ok(database),
        Err(error) => Err(CliError::invalid_input(&error).with_hint(error.hint())),
    }
}
