//! Manual actions on runs and deliveries: cancel and retry.

use std::fmt::Display;
use std::str::FromStr;

use promoflow_store::{Action, ActionResult};
use serde::Serialize;

use super::error::{CliError, CommandResult, Status, count};
use super::output::Out;

/// The words for a kind of thing that actions apply to.
pub(super) struct ActionTarget {
    noun: &'static str,
    /// The noun at the beginning of a sentence.
    subject: &'static str,
    plural: &'static str,
    /// The command that lists them.
    list: &'static str,
}

/// Runs.
pub(super) const RUN: ActionTarget = ActionTarget {
    noun: "run",
    subject: "Run",
    plural: "runs",
    list: "promoflow run list",
};

/// Deliveries.
pub(super) const DELIVERY: ActionTarget = ActionTarget {
    noun: "delivery",
    subject: "Delivery",
    plural: "deliveries",
    list: "promoflow outbox list",
};

impl ActionTarget {
    /// Parses an id.
    pub(super) fn parse_id<T: FromStr>(&self, id: &str) -> Result<T, CliError> {
        let noun = self.noun;
        id.parse().map_err(|_| {
            CliError::invalid_input(format_args!("`{id}`: not a {noun} id; expected a number"))
        })
    }

    /// Returns the error for an unknown id.
    pub(super) fn unknown(&self, id: impl Display) -> CliError {
        CliError::failed(format_args!("no {} `{id}`", self.noun))
            .with_hint(format!("run `{}` for the {}", self.list, self.plural))
    }

    /// Prints what an action has done; `show` returns the changed row for `--json`.
    pub(super) fn report<T: Serialize>(
        &self,
        outcome: ActionResult,
        action: Action,
        id: &str,
        show: impl FnOnce() -> Result<T, CliError>,
        out: &mut Out,
    ) -> CommandResult {
        let done = self.describe(outcome, action, id)?;
        match out.is_json() {
            true => out.json(&show()?)?,
            false => out.line(format_args!("{done}"))?,
        }
        Ok(Status::Success)
    }

    /// Returns what was done as a sentence.
    fn describe(
        &self,
        outcome: ActionResult,
        action: Action,
        id: &str,
    ) -> Result<String, CliError> {
        let (noun, subject) = (self.noun, self.subject);
        let (released, cancelled_deliveries) = match outcome {
            ActionResult::Done {
                released,
                cancelled_deliveries,
            } => (released, cancelled_deliveries),
            ActionResult::Unknown => return Err(self.unknown(id)),
            ActionResult::Rejected(why) => {
                let verb = match action {
                    Action::Cancel => "cancelled",
                    Action::Retry => "retried",
                };
                let message = format!("{noun} {id} cannot be {verb}: {why}");
                return Err(CliError::failed(message));
            }
        };
        if action == Action::Retry {
            return Ok(format!("{subject} {id} is due now."));
        }
        let mut text = format!("{subject} {id} is cancelled");
        if noun == RUN.noun {
            let codes = count(released, "code", "codes");
            let deliveries = count(cancelled_deliveries, "delivery", "deliveries");
            text.push_str(&format!(
                "; {codes} returned to the pool, {deliveries} cancelled"
            ));
        }
        text.push('.');
        Ok(text)
    }
}
