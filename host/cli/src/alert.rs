//! `promoflow alert`: the alerts about the pool.

use clap::{Subcommand, ValueEnum};
use promoflow_installation::{Promoflow, Watched};
use promoflow_model::alert::{Kind, Level, sentence};
use promoflow_store::{DeliveryState, Notice};
use serde_json::{Value, json};

use super::failure::{Done, Status};
use super::output::{Out, moment, name};
use super::session::Session;
use super::table::Table;

/// Default maximum number of notifications in a list.
const SHOWN: usize = 100;

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
    #[command(after_help = "Example:\n  promoflow alert notices --state pending")]
    Notices {
        /// Only notifications in this state.
        #[arg(long, value_name = "STATE")]
        state: Option<StateName>,
        /// Maximum number of notifications (default: 100).
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum StateName {
    /// Waiting for an attempt.
    Pending,
    /// Accepted by the webhook.
    Delivered,
    /// Permanently failed.
    Failed,
}

impl From<StateName> for DeliveryState {
    fn from(name: StateName) -> DeliveryState {
        match name {
            StateName::Pending => DeliveryState::Pending,
            StateName::Delivered => DeliveryState::Delivered,
            StateName::Failed => DeliveryState::Failed,
        }
    }
}

impl AlertCommand {
    pub(super) fn run(self, session: &Session, out: &mut Out) -> Done {
        let promoflow = session.open()?;
        match self {
            AlertCommand::List => list(&promoflow, out),
            AlertCommand::Notices { state, limit } => {
                let state = state.map(DeliveryState::from);
                notices(&promoflow, state, limit.unwrap_or(SHOWN), out)
            }
        }
    }
}

fn list(promoflow: &Promoflow, out: &mut Out) -> Done {
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
            out.json(&json_of(&watched))?;
            continue;
        }
        let lane = &watched.outlook.count.lane;
        let days = watched.outlook.days_left;
        let cells = [
            match watched.rule.kind {
                Kind::Expiring => format!("expiring in {} days", watched.rule.within_days),
                kind => kind.name().to_owned(),
            },
            lane.code_type.clone(),
            format!("{} %", lane.discount),
            state(&watched).to_owned(),
            watched.since.map(moment).unwrap_or_default(),
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
    Ok(Status::Done)
}

fn notices(
    promoflow: &Promoflow,
    state: Option<DeliveryState>,
    limit: usize,
    out: &mut Out,
) -> Done {
    let mut table = Table::new([
        "NOTIFICATION",
        "WEBHOOK",
        "STATE",
        "ATTEMPTS",
        "AT",
        "ALERT",
        "ERROR",
    ]);
    for notice in promoflow.notices(state, None, limit)? {
        let event: Value = serde_json::from_str(&notice.event).unwrap_or_default();
        if out.is_json() {
            out.json(&json_of_notice(&notice, event))?;
            continue;
        }
        let params = event["params"].as_object();
        let cells = [
            notice.id.to_string(),
            notice.webhook.clone(),
            name(&notice.state),
            notice.attempts.to_string(),
            moment(notice.at),
            params.map(sentence).unwrap_or_default(),
            notice.error.unwrap_or_default(),
        ];
        table.row(out, cells)?;
    }
    if !out.is_json() {
        table.finish(out, "No matching notifications.")?;
    }
    Ok(Status::Done)
}

fn json_of_notice(notice: &Notice, event: Value) -> Value {
    json!({
        "notice": notice.id.to_string(),
        "webhook": notice.webhook,
        "state": notice.state,
        "attempts": notice.attempts,
        "error": notice.error,
        "due": notice.due.map(|due| due.to_string()),
        "at": notice.at.to_string(),
        "event": event,
    })
}

fn state(watched: &Watched) -> &'static str {
    watched.level.map_or("ok", Level::name)
}

fn json_of(watched: &Watched) -> Value {
    let lane = &watched.outlook.count.lane;
    json!({
        "kind": watched.rule.kind,
        "type": lane.code_type,
        "discount": lane.discount,
        "state": state(watched),
        "since": watched.since.map(|at| at.to_string()),
        "warning": watched.rule.warning,
        "alarm": watched.rule.alarm,
        "withinDays": (watched.rule.kind == Kind::Expiring).then_some(watched.rule.within_days),
        "count": watched.count,
        "claimedLastDay": watched.outlook.claimed_last_day,
        "daysLeft": watched.outlook.days_left,
    })
}
