//! The history of a delivery, for `outbox show`.

use std::io;

use promoflow_store::DeliveryHistory;

use crate::output::{Out, sanitize_line};

/// Prints the history for people; alternatives only if there are several.
pub(super) fn print(history: &DeliveryHistory, out: &mut Out) -> io::Result<()> {
    if let Some(hours) = &history.hours {
        out.line(format_args!("Allowed hours: {hours}"))?;
    }
    if let Some(due) = &history.due {
        out.line(format_args!("Due: {due}"))?;
    }
    if history.alternatives.len() > 1 {
        for (number, alternative) in (0..).zip(&history.alternatives) {
            let mark = if number == history.current { "*" } else { " " };
            let address = sanitize_line(&alternative.address);
            let (channel, message) = (alternative.channel, &alternative.message);
            out.line(format_args!(
                "{mark} {}. {channel} to {address}: {message}",
                number + 1
            ))?;
        }
    }
    for attempt in &history.attempts {
        let outcome = attempt.outcome.as_deref().unwrap_or("unfinished");
        let error = attempt
            .error
            .as_deref()
            .map(sanitize_line)
            .unwrap_or_default();
        let by = match history.alternatives.get(attempt.alternative as usize) {
            Some(alternative) if history.alternatives.len() > 1 => {
                format!(" by {}", alternative.channel)
            }
            _ => String::new(),
        };
        let (number, started) = (attempt.number, attempt.started);
        out.line(format_args!(
            "Attempt {number} at {started}{by}: {outcome} {error}"
        ))?;
    }
    Ok(())
}
