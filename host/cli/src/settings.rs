//! `promoflow settings`: settings of the whole database.

use clap::Subcommand;
use promoflow_model::pool::Calendar;
use promoflow_model::zone;
use serde_json::json;

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, print_note};
use super::output::Out;

/// Settings of the database.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow settings time-zone Europe/Kyiv")]
pub(super) enum SettingsCommand {
    /// Show or set the time zone in which dates are interpreted.
    ///
    /// A code that expires on a date is valid until the end of that day in this zone (default:
    /// UTC). A change does not affect codes that were uploaded earlier.
    #[command(after_help = "Examples:\n  promoflow settings time-zone\n  \
                      promoflow settings time-zone Europe/Kyiv")]
    TimeZone {
        /// The zone's name in the IANA database; without it, the current zone is shown.
        zone: Option<String>,
    },
}

impl SettingsCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        let SettingsCommand::TimeZone { zone } = self;
        let zone = match zone {
            None => context.open()?.calendar()?.zone(),
            Some(name) => {
                let zone = zone::parse(&name)
                    .map_err(|error| CliError::invalid_input(&error).with_hint(&error.hint))?;
                if let Some(sign_warning) = zone::sign_warning(zone) {
                    print_note(sign_warning);
                }
                context
                    .open_or_create()?
                    .set_calendar(Calendar::new(zone))?;
                zone
            }
        };
        match out.is_json() {
            true => out.json(&json!({ "timeZone": zone.name() }))?,
            false => out.line(format_args!("{}", zone.name()))?,
        }
        Ok(Status::Success)
    }
}
