//! `promoflow codes show`: one code, and who got it.

use promoflow_api_model::PromocodeWithDelivery;
use promoflow_installation::Promoflow;

use super::state;
use crate::error::{CliError, CommandResult, Status};
use crate::output::{Out, SUCCESS, WARNING, name, sanitize_line};

/// Shows one code.
pub(super) fn show(promoflow: &Promoflow, code: &str, out: &mut Out) -> CommandResult {
    let Some((row, deliveries)) = promoflow.code(code)? else {
        return Err(
            CliError::failed(format_args!("no code `{code}` in the pool"))
                .with_hint("run `promoflow codes list` for the codes; codes are case-sensitive"),
        );
    };
    let calendar = promoflow.calendar()?;
    if out.is_json() {
        out.json(&PromocodeWithDelivery::new(row, &deliveries, calendar))?;
        return Ok(Status::Success);
    }
    let state = state(&row, promoflow.now());
    let style = if state == "available" {
        SUCCESS
    } else {
        WARNING
    };
    let expires = calendar.format_expiry(row.expires);
    out.line(format_args!(
        "{}: {}",
        sanitize_line(&row.code),
        out.style(style, state)
    ))?;
    out.line(format_args!(
        "  type      {}",
        sanitize_line(&row.code_group.code_type)
    ))?;
    out.line(format_args!("  discount  {}", row.code_group.discount))?;
    out.line(format_args!(
        "  expires   {}",
        expires.unwrap_or_else(|| "never".to_owned())
    ))?;
    if let Some(used) = &row.used_by {
        out.line(format_args!("  contact   {}", sanitize_line(&used.contact)))?;
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
            sanitize_line(&delivery.address),
            delivery.channel,
            name(&delivery.state)
        ))?;
    }
    Ok(Status::Success)
}
