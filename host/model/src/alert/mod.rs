//! Alerts: the pool runs low, will run dry, or expires unused.
//!
//! A [`Rule`] watches the lanes that it names at two [`Level`]s. A level is raised when its threshold
//! is crossed, and taken back only when the pool is clear of it by a tenth, so that a count that
//! goes to and fro at the threshold is told once. Each raising is an event, which workflows start
//! on like on any other.

mod rules;
mod telling;

pub use rules::Rules;
pub use telling::{body, sentence};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::event;
use crate::event::{Event, EventError};
use crate::pool::Lane;

/// What the ids of the events of alerts begin with.
const ID_PREFIX: &str = "promoflow-alert:";

/// What a rule watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// How many codes are left.
    Left,
    /// In how many days none is left, at the present rate.
    RunsDry,
    /// How many codes expire soon without having been used.
    Expiring,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Left, Kind::RunsDry, Kind::Expiring];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Left => "left",
            Kind::RunsDry => "runs-dry",
            Kind::Expiring => "expiring",
        }
    }
}

/// The `kind` of the event that says that a workflow was paused.
pub const WORKFLOW_PAUSED: &str = "workflow-paused";

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// There is time to do something.
    Warning,
    /// There is none.
    Alarm,
}

impl Level {
    /// Both, the milder first.
    pub const ALL: [Level; 2] = [Level::Warning, Level::Alarm];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::Alarm => "alarm",
        }
    }

    /// The type of the event that tells it.
    pub fn event_type(self) -> &'static str {
        match self {
            Level::Warning => "alertSettingsWarningTriggerEvent",
            Level::Alarm => "alertSettingsAlarmTriggerEvent",
        }
    }
}

/// What is watched, and from when on it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What.
    pub kind: Kind,
    /// Of which type; `None`: of every type that no other rule names.
    #[serde(rename = "type")]
    pub code_type: Option<String>,
    /// Of which discount; `None`: of every discount that no other rule names.
    pub discount: Option<u8>,
    /// The threshold of the warning: codes, or days where the kind is [`Kind::RunsDry`].
    pub warning: u32,
    /// The threshold of the alarm.
    pub alarm: u32,
    /// [`Kind::Expiring`]: the days within which codes expire.
    pub within_days: u32,
    /// The webhooks that are told, by name.
    pub webhooks: Vec<String>,
}

impl Rule {
    /// The threshold of a level.
    pub fn threshold(&self, level: Level) -> u32 {
        match level {
            Level::Warning => self.warning,
            Level::Alarm => self.alarm,
        }
    }

    /// Whether it is for that lane.
    pub fn is_for(&self, lane: &Lane) -> bool {
        self.code_type
            .as_ref()
            .is_none_or(|one| *one == lane.code_type)
            && self.discount.is_none_or(|one| one == lane.discount)
    }

    /// The codes at which a level is raised; `a_day` are the claims of a day.
    pub fn codes(&self, level: Level, a_day: f64) -> u64 {
        let threshold = self.threshold(level);
        match self.kind {
            Kind::Left | Kind::Expiring => threshold.into(),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is not negative, and saturates"
            )]
            Kind::RunsDry => (f64::from(threshold) * a_day).ceil() as u64,
        }
    }

    /// How many codes have to be counted to judge a level whose threshold are so many.
    pub fn enough(&self, codes: u64) -> u64 {
        match self.kind {
            Kind::Left | Kind::RunsDry => clear_above(codes).saturating_add(1),
            // The event tells how many; far beyond the threshold it need not be exact.
            Kind::Expiring => codes.saturating_mul(4).saturating_add(10_000),
        }
    }

    /// Whether a level is raised where so many codes were counted; `before`: whether it was.
    pub fn is_raised(&self, codes: u64, counted: u64, before: bool) -> bool {
        match self.kind {
            Kind::RunsDry if codes == 0 => false,
            Kind::Left | Kind::RunsDry if before => counted <= clear_above(codes),
            Kind::Left | Kind::RunsDry => counted <= codes,
            Kind::Expiring if before => counted >= codes - codes / 10,
            Kind::Expiring => counted >= codes,
        }
    }
}

/// A level of fewer codes is taken back above this number.
fn clear_above(codes: u64) -> u64 {
    codes.saturating_add((codes / 10).max(1))
}

/// What an alert is about: no two alerts have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What is watched.
    pub kind: Kind,
    /// Of which type and discount.
    pub lane: Lane,
    /// How bad it is.
    pub level: Level,
}

/// An alert that is or was raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is about.
    pub subject: Subject,
    /// Whether it is raised now.
    pub raised: bool,
    /// How often it was: it is part of the id of its event, so that no crossing is told twice.
    pub crossing: i64,
    /// Whether the event of the last crossing is stored.
    pub told: bool,
    /// What the event of the last crossing says.
    pub params: Map<String, Value>,
    /// When it was raised, or taken back.
    pub at: crate::clock::Timestamp,
}

impl Alert {
    /// The event that tells the last crossing, the same whenever it is asked for.
    pub fn event(&self, installation: &str) -> Event {
        let Subject { kind, lane, level } = &self.subject;
        let name = safe(&lane.code_type);
        let id = format!(
            "{ID_PREFIX}{installation}:{}:{}:{}:{}:{name}",
            kind.name(),
            lane.discount,
            level.name(),
            self.crossing
        );
        let mut event = Event::new(level.event_type(), format!("{name} {}", lane.discount));
        event.id = Some(id);
        event.params = self.params.clone();
        event
    }
}

/// Refuses an event that comes from outside and would be taken for that of an alert: it would start
/// what is meant for the operator, or have a crossing pass for told.
pub fn check_foreign(event: &Event) -> Result<(), EventError> {
    let same = |level: &Level| {
        let reserved = level.event_type();
        event.event_type.trim().eq_ignore_ascii_case(reserved)
    };
    if Level::ALL.iter().any(same) {
        return Err(EventError::new(
            "eventTypeKey",
            format!(
                "`{}` is a type of alerts, which promoflow sends itself; expected another one, or a \
                 test run",
                event.event_type.trim()
            ),
        ));
    }
    let id = event.id.as_deref().unwrap_or_default();
    if id.trim_start().to_ascii_lowercase().starts_with(ID_PREFIX) {
        let message = format!("`{ID_PREFIX}` begins ids of alerts; expected another id");
        return Err(EventError::new("id", message));
    }
    Ok(())
}

/// The event that says that a workflow was paused, because its blocks were stopped again and again.
/// `config` makes each pause another one.
pub fn workflow_paused(installation: &str, workflow: &str, reason: &str, config: i64) -> Event {
    let level = Level::Alarm;
    let mut event = Event::new(level.event_type(), safe(workflow));
    let id = format!("{ID_PREFIX}{installation}:{WORKFLOW_PAUSED}:{config}:{workflow}");
    event.id = Some(id);
    for (name, value) in [
        ("kind", WORKFLOW_PAUSED),
        ("level", level.name()),
        ("workflow", workflow),
        ("reason", reason),
    ] {
        event.params.insert(name.to_owned(), json!(value));
    }
    event
}

/// What the event of a crossing says. Values are text, as those of every event of version 1.
pub fn params(
    rule: &Rule,
    subject: &Subject,
    counted: u64,
    days_left: Option<f64>,
) -> Map<String, Value> {
    let mut params = Map::new();
    let mut put = |name: &str, value: String| params.insert(name.to_owned(), json!(value));
    put("kind", rule.kind.name().to_owned());
    put("level", subject.level.name().to_owned());
    put("type", subject.lane.code_type.clone());
    put("discount", subject.lane.discount.to_string());
    put("threshold", rule.threshold(subject.level).to_string());
    put("count", counted.to_string());
    match rule.kind {
        Kind::Left => {}
        Kind::RunsDry => {
            put("daysLeft", format!("{:.1}", days_left.unwrap_or_default()));
        }
        Kind::Expiring => {
            put("withinDays", rule.within_days.to_string());
        }
    }
    params
}

/// A type as the key of an event may hold it.
fn safe(code_type: &str) -> String {
    let safe = |c: char| !c.is_control() && !event::FORBIDDEN_IN_KEYS.contains(&c);
    code_type
        .chars()
        .map(|c| if safe(c) { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn rule(kind: Kind, warning: u32, alarm: u32) -> Rule {
        Rule {
            kind,
            code_type: None,
            discount: None,
            warning,
            alarm,
            within_days: 7,
            webhooks: Vec::new(),
        }
    }

    #[test]
    fn a_level_is_raised_at_its_threshold_and_taken_back_clear_of_it() {
        let left = rule(Kind::Left, 500, 50);
        let mut raised = false;
        let mut crossings = 0;
        for (counted, is) in [
            (501, false),
            (500, true),
            (501, true),
            (550, true),
            (499, true),
            (551, false),
            (501, false),
            (500, true),
        ] {
            let now = left.is_raised(500, counted, raised);
            assert_eq!(now, is, "{counted}");
            crossings += u32::from(now && !raised);
            raised = now;
            assert!(left.enough(500) >= 551, "a count that ends there tells all");
        }
        assert_eq!(crossings, 2);
    }

    #[test]
    fn small_and_odd_thresholds_do_what_they_say() {
        let left = rule(Kind::Left, 1, 0);
        assert!(left.is_raised(0, 0, false) && !left.is_raised(0, 1, false));
        assert!(left.is_raised(0, 1, true) && !left.is_raised(0, 2, true));
        let expiring = rule(Kind::Expiring, 1, 10);
        assert!(expiring.is_raised(1, 1, false) && !expiring.is_raised(1, 0, true));
        assert!(expiring.is_raised(10, 9, true) && !expiring.is_raised(10, 8, true));
        let dry = rule(Kind::RunsDry, 7, 2);
        assert_eq!(dry.codes(Level::Warning, 10.5), 74);
        assert!(dry.is_raised(74, 74, false) && !dry.is_raised(74, 75, false));
        // Nobody claims: it never runs dry, empty as it is.
        assert!(!dry.is_raised(dry.codes(Level::Alarm, 0.0), 0, true));
    }

    #[test]
    fn nobody_else_sends_events_of_alerts_or_takes_their_ids() {
        let field = |event: Event| check_foreign(&event).err().map(|error| error.field);
        for level in Level::ALL {
            let own = level.event_type();
            for odd in [own.to_owned(), own.to_uppercase(), format!(" {own} ")] {
                assert_eq!(field(Event::new(odd, "a")).as_deref(), Some("eventTypeKey"));
            }
        }
        let event = |id: &str| field(Event::new("e", "a").with_id(id));
        assert_eq!(event("promoflow-alert:x y").as_deref(), Some("id"));
        assert_eq!(event("Promoflow-Alert:").as_deref(), Some("id"));
        assert_eq!(event("order-promoflow-alert:1"), None);
        assert_eq!(field(Event::new("alertSettings", "a")), None);
    }

    #[test]
    fn the_event_of_a_crossing_may_be_sent_whatever_the_type_is() {
        let odd = "a/b <'\u{7}`; ’,>".repeat(6);
        let alert = Alert {
            subject: Subject {
                kind: Kind::Expiring,
                lane: Lane {
                    code_type: odd.clone(),
                    discount: 99,
                },
                level: Level::Warning,
            },
            raised: true,
            crossing: i64::MAX,
            told: false,
            params: params(
                &rule(Kind::Expiring, 5, 9),
                &Subject {
                    kind: Kind::Expiring,
                    lane: Lane {
                        code_type: odd.clone(),
                        discount: 99,
                    },
                    level: Level::Warning,
                },
                6,
                None,
            ),
            at: crate::clock::Timestamp(0),
        };
        let event = alert.event("0123456789abcdef").checked().unwrap();
        assert_eq!(event.params["type"], odd);
        assert_eq!(event.params["count"], "6");
        assert_eq!(event, alert.event("0123456789abcdef").checked().unwrap());
    }
}
