//! The content of notifications: the event as JSON, and a summary for people.

use serde_json::{Map, Value, json};

use super::events::WORKFLOW_PAUSED;
use crate::event::Event;

/// Returns the event of an alert as JSON, in the format of the event API.
pub fn event_json(event: &Event) -> Value {
    json!({
        "id": event.id,
        "eventTypeKey": event.event_type,
        "keyValue": event.key,
        "params": event.params,
    })
}

/// Returns a one-line summary of an alert event.
pub fn summary(params: &Map<String, Value>) -> String {
    let of = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
    if of("kind") == WORKFLOW_PAUSED {
        let (level, workflow, reason) = (of("level"), of("workflow"), of("reason"));
        return format!("{level}: workflow {workflow} is paused: {reason}");
    }
    let (level, count, threshold) = (of("level"), of("count"), of("threshold"));
    let what = match of("kind") {
        "exhaustion" => format!("{count} left, enough for {} days", of("daysLeft")),
        "expiring" => format!("{count} expiring unused within {} days", of("withinDays")),
        _ => format!("{count} left"),
    };
    let (code_type, discount) = (of("type"), of("discount"));
    format!(
        "{level}: promo codes of {code_type} with {discount} %: {what} ({level} at {threshold})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarises_alerts() {
        let params = |more: Value| {
            let mut params = json!({ "level": "alarm", "type": "spring", "discount": "10",
                                     "threshold": "2", "count": "9" });
            let (Some(params), Value::Object(more)) = (params.as_object_mut(), more) else {
                panic!("objects")
            };
            params.extend(more);
            summary(params)
        };
        assert_eq!(
            params(json!({ "kind": "workflow-paused", "workflow": "w", "reason": "10 traps" })),
            "alarm: workflow w is paused: 10 traps"
        );
        assert_eq!(
            params(json!({ "kind": "available" })),
            "alarm: promo codes of spring with 10 %: 9 left (alarm at 2)"
        );
        assert_eq!(
            params(json!({ "kind": "exhaustion", "daysLeft": "1.5" })),
            "alarm: promo codes of spring with 10 %: 9 left, enough for 1.5 days (alarm at 2)"
        );
        assert_eq!(
            params(json!({ "kind": "expiring", "withinDays": "14" })),
            "alarm: promo codes of spring with 10 %: 9 expiring unused within 14 days (alarm at 2)"
        );
    }
}
