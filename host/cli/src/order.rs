//! Messages about manual actions on runs and deliveries: cancel and retry.

use promoflow_store::{Order, Ordered};

use super::failure::{Failure, count};

/// Returns what was done as a sentence; `None` if the id is unknown.
pub(super) fn done(
    ordered: Ordered,
    order: Order,
    what: &str,
    id: &str,
) -> Result<Option<String>, Failure> {
    let (released, called_off) = match ordered {
        Ordered::Done {
            released,
            called_off,
        } => (released, called_off),
        Ordered::Unknown => return Ok(None),
        Ordered::Refused(why) => {
            let verb = match order {
                Order::Cancel => "cancelled",
                Order::Retry => "retried",
            };
            let message = format!("{what} {id} cannot be {verb}: {why}");
            return Err(Failure::failed(message));
        }
    };
    let subject = match what {
        "run" => "Run",
        _ => "Delivery",
    };
    if order == Order::Retry {
        return Ok(Some(format!("{subject} {id} is due now.")));
    }
    let mut text = format!("{subject} {id} is cancelled");
    if what == "run" {
        let codes = count(released, "code", "codes");
        let deliveries = count(called_off, "delivery", "deliveries");
        text.push_str(&format!(
            "; {codes} returned to the pool, {deliveries} cancelled"
        ));
    }
    text.push('.');
    Ok(Some(text))
}
