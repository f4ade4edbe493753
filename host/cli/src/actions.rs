//! Messages about manual actions on runs and deliveries: cancel and retry.

use promoflow_store::{Action, ActionResult};

use super::error::{CliError, count};

/// Returns what was done as a sentence; `None` if the id is unknown.
pub(super) fn describe(
    outcome: ActionResult,
    action: Action,
    what: &str,
    id: &str,
) -> Result<Option<String>, CliError> {
    let (released, cancelled_deliveries) = match outcome {
        ActionResult::Done {
            released,
            cancelled_deliveries,
        } => (released, cancelled_deliveries),
        ActionResult::Unknown => return Ok(None),
        ActionResult::Rejected(why) => {
            let verb = match action {
                Action::Cancel => "cancelled",
                Action::Retry => "retried",
            };
            let message = format!("{what} {id} cannot be {verb}: {why}");
            return Err(CliError::failed(message));
        }
    };
    let subject = match what {
        "run" => "Run",
        _ => "Delivery",
    };
    if action == Action::Retry {
        return Ok(Some(format!("{subject} {id} is due now.")));
    }
    let mut text = format!("{subject} {id} is cancelled");
    if what == "run" {
        let codes = count(released, "code", "codes");
        let deliveries = count(cancelled_deliveries, "delivery", "deliveries");
        text.push_str(&format!(
            "; {codes} returned to the pool, {deliveries} cancelled"
        ));
    }
    text.push('.');
    Ok(Some(text))
}
