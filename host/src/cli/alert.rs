//! `promoflow alert`: what is watched of the pool.

use clap::Subcommand;
use promoflow::Watched;
use promoflow::alert::{Kind, Level};
use serde_json::json;

use super::failure::{Done, Status};
use super::output::{Out, moment};
use super::session::Session;
use super::table::Table;

/// Alerts: types of promo codes that run low, will run dry, or expire unused.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow alert list")]
pub(super) enum AlertCommand {
    /// List what is watched, with what is raised and how long the codes last.
    ///
    /// The configuration says what is watched: each [[alert]] of promoflow.toml. A level that is
    /// raised has started the workflows for its event.
    #[command(after_help = "Example:\n  promoflow alert list")]
    List,
}

impl AlertCommand {
    pub(super) fn run(self, session: &Session, out: &mut Out) -> Done {
        let AlertCommand::List = self;
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
        for watched in session.open()?.alerts()? {
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
                "Nothing is watched: the configuration has no [[alert]] for a type that there is.",
            )?;
        }
        Ok(Status::Done)
    }
}

fn state(watched: &Watched) -> &'static str {
    watched.level.map_or("ok", Level::name)
}

fn json_of(watched: &Watched) -> serde_json::Value {
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
