//! What people do to runs and deliveries by hand, in words.

use promoflow_store::{Order, Ordered};

use super::failure::{Failure, count};

/// What was done, in a sentence; `None` where there is none of that number.
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
                Order::Retry => "tried again",
            };
            let message = format!("{what} {id} cannot be {verb}: {why}");
            return Err(Failure::failed(message));
        }
    };
    if order == Order::Retry {
        return Ok(Some(format!("The {what} {id} is due now.")));
    }
    let mut text = format!("The {what} {id} is cancelled");
    if what == "run" {
        let codes = count(released, "code", "codes");
        let deliveries = count(called_off, "delivery", "deliveries");
        text.push_str(&format!(
            "; {codes} went back to the pool, {deliveries} called off"
        ));
    }
    text.push('.');
    Ok(Some(text))
}
