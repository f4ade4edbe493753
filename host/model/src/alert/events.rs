//! The parameters of alert events, under this project's names and under Yespo's.

use serde_json::{Map, Value, json};

use super::{ID_PREFIX, Kind, Level, Rule, Subject, replace_forbidden};
use crate::event::Event;

/// The `kind` of the event for a paused workflow.
pub(super) const WORKFLOW_PAUSED: &str = "workflow-paused";

/// Returns the event for a workflow that was paused because its blocks were stopped repeatedly.
/// `config` makes each pause distinct.
pub fn workflow_paused(installation: &str, workflow: &str, reason: &str, config: i64) -> Event {
    let level = Level::Alarm;
    let mut event = Event::new(level.event_type(), replace_forbidden(workflow));
    let id = format!("{ID_PREFIX}{installation}:{WORKFLOW_PAUSED}:{config}:{workflow}");
    event.id = Some(id);
    for (name, value) in [
        ("kind", WORKFLOW_PAUSED),
        ("level", level.name()),
        ("workflow", workflow),
        ("reason", reason),
        ("alertLevel", yespo_level(level)),
        ("alertTrackingSourceType", "WORKFLOW"),
        ("alertTrackingSourceName", workflow),
    ] {
        event.params.insert(name.to_owned(), json!(value));
    }
    event
}

/// Returns the parameters of the event for a crossing. All values are text, as in every event of
/// version 1.
pub fn event_params(
    rule: &Rule,
    subject: &Subject,
    counted: u64,
    days_left: Option<f64>,
) -> Map<String, Value> {
    let mut params = Map::new();
    let mut put = |name: &str, value: String| params.insert(name.to_owned(), json!(value));
    put("kind", rule.kind.name().to_owned());
    put("level", subject.level.name().to_owned());
    put("type", subject.code_group.code_type.clone());
    put("discount", subject.code_group.discount.to_string());
    put("threshold", rule.threshold(subject.level).to_string());
    put("count", counted.to_string());
    match rule.kind {
        Kind::Available => {}
        Kind::Exhaustion => {
            put("daysLeft", format!("{:.1}", days_left.unwrap_or_default()));
        }
        Kind::Expiring => {
            put("withinDays", rule.within_days.to_string());
        }
    }
    put("alertLevel", yespo_level(subject.level).to_owned());
    put("alertTrackingSourceType", "PROMOCODE".to_owned());
    put(
        "alertTrackingSourceName",
        subject.code_group.code_type.clone(),
    );
    put("actualCount", counted.to_string());
    params
}

/// Returns a level as Yespo's parameter `alertLevel` has it.
fn yespo_level(level: Level) -> &'static str {
    match level {
        Level::Warning => "WARNING",
        Level::Alarm => "ALARM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::CodeGroup;

    #[test]
    fn events_have_the_parameters_of_yespo() {
        let group = CodeGroup {
            code_type: "new/year".to_owned(),
            discount: 10,
        };
        let rule = Rule {
            kind: Kind::Available,
            code_type: None,
            discount: None,
            warning: 500,
            alarm: 50,
            within_days: 7,
            webhooks: Vec::new(),
        };
        for (level, name, threshold) in [
            (Level::Warning, "WARNING", "500"),
            (Level::Alarm, "ALARM", "50"),
        ] {
            let subject = Subject {
                kind: Kind::Available,
                code_group: group.clone(),
                level,
            };
            let params = event_params(&rule, &subject, 41, None);
            assert_eq!(params["alertLevel"], name);
            assert_eq!(params["alertTrackingSourceType"], "PROMOCODE");
            assert_eq!(params["alertTrackingSourceName"], "new/year");
            assert_eq!(params["actualCount"], "41");
            assert_eq!(params["threshold"], threshold);
        }
        let paused = workflow_paused("0123456789abcdef", "birthday", "10 traps", 1).params;
        assert_eq!(paused["alertLevel"], "ALARM");
        assert_eq!(paused["alertTrackingSourceType"], "WORKFLOW");
        assert_eq!(paused["alertTrackingSourceName"], "birthday");
    }
}
