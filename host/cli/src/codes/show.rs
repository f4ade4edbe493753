//! `promoflow codes show`: one code, and who got it.

use promoflow_installation::Promoflow;
use promoflow_model::clock::{Clock, SystemClock};
use serde::Serialize;

use super::{CodeJson, state};
use crate::failure::{Done, Failure, Status};
use crate::output::{GOOD, Out, WARNING, name, tame_line};

/// A delivery that contains a code.
#[derive(Serialize)]
pub(super) struct DeliveryJson {
    id: String,
    state: String,
    channel: String,
    address: String,
    message: String,
}

/// Shows one code.
pub(super) fn show(promoflow: &Promoflow, code: &str, out: &mut Out) -> Done {
    let Some((row, deliveries)) = promoflow.code(code)? else {
        return Err(
            Failure::failed(format_args!("no code `{code}` in the pool"))
                .hint("run `promoflow codes list` for the codes; codes are case-sensitive"),
        );
    };
    let calendar = promoflow.calendar()?;
    if out.is_json() {
        let mut shown = CodeJson::new(&row, calendar);
        shown.delivery = Some(deliveries.last().map(|delivery| DeliveryJson {
            id: delivery.id.to_string(),
            state: name(&delivery.state),
            channel: delivery.channel.to_string(),
            address: delivery.address.clone(),
            message: delivery.message.clone(),
        }));
        out.json(&shown)?;
        return Ok(Status::Done);
    }
    let state = state(&row, SystemClock.now());
    let style = if state == "available" { GOOD } else { WARNING };
    let expires = calendar.format_expiry(row.expires);
    out.line(format_args!(
        "{}: {}",
        tame_line(&row.code),
        out.style(style, state)
    ))?;
    out.line(format_args!(
        "  type      {}",
        tame_line(&row.lane.code_type)
    ))?;
    out.line(format_args!("  discount  {}", row.lane.discount))?;
    out.line(format_args!(
        "  expires   {}",
        expires.unwrap_or_else(|| "never".to_owned())
    ))?;
    if let Some(used) = &row.used_by {
        out.line(format_args!("  contact   {}", tame_line(&used.contact)))?;
        out.line(format_args!(
            "  run       {}, step {}, at {}",
            used.run, used.step, used.at
        ))?;
    }
    for delivery in &deliveries {
        out.line(format_args!(
            "  delivery  {}: {} to {} by {}, {}",
            delivery.id,
            delivery.message,
            tame_line(&delivery.address),
            delivery.channel,
            name(&delivery.state)
        ))?;
    }
    Ok(Status::Done)
}
