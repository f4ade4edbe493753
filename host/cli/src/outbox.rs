//! `promoflow outbox`: the deliveries.

mod history;

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use clap::Subcommand;
use promoflow_api_model::{Delivery, DeliveryWithHistory};
use promoflow_installation::Promoflow;
use promoflow_store::{Action, DeliveryRow, DeliveryState};

use super::actions::DELIVERY;
use super::args::{Choice, choice};
use super::context::CliContext;
use super::error::{CommandResult, Status, count};
use super::message::show_content;
use super::output::{BOLD, Out, name, sanitize_line};
use super::table::Table;

/// The states, with their descriptions for `--help`.
const STATES: [Choice<DeliveryState>; 4] = [
    ("pending", DeliveryState::Pending, "Waiting for an attempt"),
    (
        "delivered",
        DeliveryState::Delivered,
        "Accepted by the channel",
    ),
    ("failed", DeliveryState::Failed, "Permanently failed"),
    ("cancelled", DeliveryState::Cancelled, "Cancelled"),
];

/// The outbox: deliveries that wait for a channel, and finished ones.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow outbox list --state pending")]
pub(super) enum OutboxCommand {
    /// List deliveries, the oldest first.
    #[command(after_help = "Example:\n  promoflow outbox list --state failed")]
    List {
        /// Only deliveries in this state.
        #[arg(long, value_name = "STATE", value_parser = choice(STATES))]
        state: Option<DeliveryState>,
    },
    /// Show a delivery: recipient, alternatives, attempts, and the whole message.
    #[command(after_help = "Example:\n  promoflow outbox show 3")]
    Show {
        /// The delivery's id.
        id: String,
    },
    /// Retry a failed delivery, or attempt a waiting one now.
    ///
    /// Not possible if the delivery's promo code has expired. The process that executes makes the
    /// attempt; if none runs, start one with `promoflow work`.
    #[command(after_help = "Example:\n  promoflow outbox retry 3")]
    Retry {
        /// The delivery's id.
        id: String,
    },
    /// Cancel a delivery that was never attempted, or whose attempts were all rejected.
    ///
    /// Its promo code stays with its run.
    #[command(after_help = "Example:\n  promoflow outbox cancel 3")]
    Cancel {
        /// The delivery's id.
        id: String,
    },
}

impl OutboxCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            OutboxCommand::List { state } => list(&context.open()?, state, out),
            OutboxCommand::Show { id } => show(&context.open()?, &id, out),
            OutboxCommand::Retry { id } => apply_action(&context.open()?, &id, Action::Retry, out),
            OutboxCommand::Cancel { id } => {
                apply_action(&context.open()?, &id, Action::Cancel, out)
            }
        }
    }
}

fn list(promoflow: &Promoflow, state: Option<DeliveryState>, out: &mut Out) -> CommandResult {
    let header = [
        "DELIVERY", "RUN", "CHANNEL", "ADDRESS", "MESSAGE", "STATE", "ATTEMPTS", "ERROR",
    ];
    let mut table = Table::new(header);
    let gone = out.closed_flag();
    let mut write = |row: DeliveryRow| -> io::Result<()> {
        if out.is_json() {
            return out.json(&Delivery::from(row));
        }
        let cells = [
            row.id.to_string(),
            row.run.to_string(),
            row.channel.to_string(),
            row.address,
            row.message,
            name(&row.state),
            row.attempts.to_string(),
            row.error.unwrap_or_default(),
        ];
        table.row(out, cells)
    };
    let mut written = Ok(());
    promoflow.deliveries(state, |row| match write(row) {
        Ok(()) if gone.load(Ordering::Relaxed) => ControlFlow::Break(()),
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            written = Err(error);
            ControlFlow::Break(())
        }
    })?;
    written?;
    if !out.is_json() {
        table.finish(out, "No matching deliveries.")?;
    }
    Ok(Status::Success)
}

fn apply_action(promoflow: &Promoflow, id: &str, action: Action, out: &mut Out) -> CommandResult {
    let delivery = DELIVERY.parse_id(id)?;
    let outcome = promoflow.apply_delivery_action(delivery, action)?;
    let show = || {
        let row = promoflow.delivery(delivery)?;
        row.map(Delivery::from).ok_or_else(|| DELIVERY.unknown(id))
    };
    DELIVERY.report(outcome, action, id, show, out)
}

fn show(promoflow: &Promoflow, id: &str, out: &mut Out) -> CommandResult {
    let delivery = DELIVERY.parse_id(id)?;
    let row = promoflow.delivery(delivery)?;
    let row = row.ok_or_else(|| DELIVERY.unknown(id))?;
    let history = promoflow.delivery_history(delivery)?.unwrap_or_default();
    if out.is_json() {
        out.json(&DeliveryWithHistory::new(row, history))?;
        return Ok(Status::Success);
    }
    let state = out.style(BOLD, name(&row.state));
    out.line(format_args!(
        "Delivery {id} of run {}: {} by {}, {state} after {}",
        row.run,
        row.message,
        row.channel,
        count(row.attempts, "attempt", "attempts")
    ))?;
    if let Some(error) = &row.error {
        out.line(format_args!("Error: {}", sanitize_line(error)))?;
    }
    history::print(&history, out)?;
    show_content(&row.content, Some(&row.address), out)?;
    Ok(Status::Success)
}
