//! The history of a delivery, for `outbox show`.

use std::io;

use promoflow_store::DeliveryHistory;
use serde_json::{Value, json};

use crate::output::{Out, sanitize_line};

/// Adds the fields that only `outbox show` has.
pub(super) fn json_of(mut row: Value, history: &DeliveryHistory) -> Value {
    let alternatives = history.alternatives.iter();
    row["nextAttemptAt"] = json!(history.due.map(|due| due.to_string()));
    row["expires"] = json!(history.expires.map(|expires| expires.to_string()));
    row["hours"] = json!(history.hours.map(|hours| hours.to_string()));
    row["currentAlternative"] = json!(history.current);
    row["alternatives"] = alternatives
        .map(
            |alternative| json!({ "channel": alternative.channel, "address": alternative.address, "message": alternative.message }),
        )
        .collect();
    let attempts = history.attempts.iter();
    row["history"] = attempts
        .map(|attempt| {
            json!({
                "attempt": attempt.number,
                "alternative": attempt.alternative,
                "startedAt": attempt.started.to_string(),
                "finishedAt": attempt.ended.map(|ended| ended.to_string()),
                "outcome": attempt.outcome,
                "error": attempt.error,
            })
        })
        .collect();
    row
}

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
