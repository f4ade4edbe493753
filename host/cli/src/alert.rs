//! `promoflow alert`: the alerts about the pool.

use clap::Subcommand;
use promoflow_api_model::{Alert, Notification, NotificationState};
use promoflow_installation::{Promoflow, WatchedGroup};
use promoflow_model::alert::{Kind, Level, summary};
use promoflow_store::DeliveryState;
use serde_json::Value;

use super::args::{Choice, choice};
use super::context::CliContext;
use super::error::{CommandResult, Status};
use super::output::{Out, format_time, name};
use super::table::Table;

/// Default maximum number of notifications in a list.
const DEFAULT_LIMIT: usize = 100;

/// The states of notifications, with their descriptions for `--help`.
const STATES: [Choice<NotificationState>; 3] = [
    (
        "pending",
        NotificationState::Pending,
        "Waiting for an attempt",
    ),
    (
        "delivered",
        NotificationState::Delivered,
        "Accepted by the webhook",
    ),
    ("failed", NotificationState::Failed, "Permanently failed"),
];

/// Alerts: code groups that run low, will run out, or expire unused.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow alert list")]
pub(super) enum AlertCommand {
    /// List the alerts, their levels, and how long the codes last.
    ///
    /// The alerts are configured as [[alert]] in promoflow.toml. A raised level starts the
    /// workflows for its event once a process executes on the database; a level without a time
    /// under SINCE was not seen by one yet.
    #[command(after_help = "Example:\n  promoflow alert list")]
    List,
    /// List the notifications to webhooks, the newest first.
    #[command(after_help = "Example:\n  promoflow alert notifications --state pending")]
    Notifications {
        /// Only notifications in this state.
        #[arg(long, value_name = "STATE", value_parser = choice(STATES))]
        state: Option<NotificationState>,
        /// Maximum number of notifications (default: 100).
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

impl AlertCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        let promoflow = context.open()?;
        match self {
            AlertCommand::List => list(&promoflow, out),
            AlertCommand::Notifications { state, limit } => {
                let state = state.map(DeliveryState::from);
                notifications(&promoflow, state, limit.unwrap_or(DEFAULT_LIMIT), out)
            }
        }
    }
}

fn list(promoflow: &Promoflow, out: &mut Out) -> CommandResult {
    let mut table = Table::new([
        "ALERT",
        "TYPE",
        "DISCOUNT",
        "STATE",
        "SINCE",
        "CODES",
        "DAYS LEFT",
        "WARNING",
        "ALARM",
    ]);
    for watched in promoflow.alerts()? {
        if out.is_json() {
            out.json(&Alert::from(watched))?;
            continue;
        }
        let code_group = &watched.forecast.count.code_group;
        let days = watched.forecast.days_left;
        let cells = [
            match watched.rule.kind {
                Kind::Expiring => format!("expiring in {} days", watched.rule.within_days),
                kind => kind.name().to_owned(),
            },
            code_group.code_type.clone(),
            format!("{} %", code_group.discount),
            state(&watched).to_owned(),
            watched.since.map(format_time).unwrap_or_default(),
            watched.count.to_string(),
            days.map_or_else(String::new, |days| format!("{days:.1}")),
            watched.rule.warning.to_string(),
            watched.rule.alarm.to_string(),
        ];
        table.row(out, cells)?;
    }
    if !out.is_json() {
        table.finish(
            out,
            "No alerts: the configuration has no [[alert]] for an existing type.",
        )?;
    }
    Ok(Status::Success)
}

fn notifications(
    promoflow: &Promoflow,
    state: Option<DeliveryState>,
    limit: usize,
    out: &mut Out,
) -> CommandResult {
    let mut table = Table::new([
        "NOTIFICATION",
        "WEBHOOK",
        "STATE",
        "ATTEMPTS",
        "AT",
        "ALERT",
        "ERROR",
    ]);
    for notification in promoflow.notifications(state, None, limit)? {
        if out.is_json() {
            out.json(&Notification::from(notification))?;
            continue;
        }
        let event: Value = serde_json::from_str(&notification.event).unwrap_or_default();
        let params = event["params"].as_object();
        let cells = [
            notification.id.to_string(),
            notification.webhook.clone(),
            name(&notification.state),
            notification.attempts.to_string(),
            format_time(notification.at),
            params.map(summary).unwrap_or_default(),
            notification.error.unwrap_or_default(),
        ];
        table.row(out, cells)?;
    }
    if !out.is_json() {
        table.finish(out, "No matching notifications.")?;
    }
    Ok(Status::Success)
}

fn state(watched: &WatchedGroup) -> &'static str {
    watched.level.map_or("ok", Level::name)
}
