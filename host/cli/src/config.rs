//! `promoflow config`: the configuration file.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, count};
use super::output::Out;
use super::serve;

/// The configuration file, promoflow.toml.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow config check")]
pub(super) enum ConfigCommand {
    /// Check the configuration: read all of it, with every secret and file that it names.
    ///
    /// Nothing is changed, no server is contacted, and no secret is shown.
    #[command(after_help = "Examples:\n  promoflow config check\n  \
                      promoflow config check /etc/promoflow/promoflow.toml")]
    Check {
        /// The file. Default: the one that every command would read.
        file: Option<PathBuf>,
    },
}

impl ConfigCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        let ConfigCommand::Check { file } = self;
        let file = match file {
            Some(file) => Some(file),
            None => context.config_file()?,
        };
        let Some(file) = file else {
            return Err(CliError::invalid_input("no configuration file")
                .with_hint("name a file, or create promoflow.toml next to the database"));
        };
        let config = context.check_config(&file)?;
        serve::check(&config.serve)?;
        let (channels, alerts) = (config.channels.len(), config.alerts.iter().count());
        let webhooks = config.webhooks.len();
        if out.is_json() {
            out.json(&json!({
                "file": file.display().to_string(),
                "valid": true,
                "channels": channels,
                "alerts": alerts,
                "webhooks": webhooks,
            }))?;
        } else {
            out.line(format_args!(
                "{} is valid: {}, {}, {}.",
                file.display(),
                count(channels as u64, "channel", "channels"),
                count(alerts as u64, "alert", "alerts"),
                count(webhooks as u64, "webhook", "webhooks"),
            ))?;
        }
        Ok(Status::Success)
    }
}
