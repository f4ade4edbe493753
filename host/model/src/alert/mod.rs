//! Alerts: the pool runs low, will run dry, or expires unused.
//!
//! A [`Rule`] watches code groups at two [`Level`]s. A level is raised when the count crosses its
//! threshold, and cleared only when the count is a tenth beyond it, so that a count that fluctuates
//! around the threshold raises one alert. Each time a level is raised, an event is created, which
//! can start workflows like any other event.

mod events;
mod notification;
mod rules;

pub use events::{event_params, workflow_paused};
pub use notification::{event_json, summary};
pub use rules::Rules;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event;
use crate::event::{Event, EventError};
use crate::pool::CodeGroup;

/// The prefix of the event ids of alerts.
const ID_PREFIX: &str = "promoflow-alert:";

/// Kind of an alert: the quantity that its rule watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = AlertKind))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The number of available codes.
    Available,
    /// The number of days until no code is available, at the current rate.
    Exhaustion,
    /// The number of codes that expire soon without having been used.
    Expiring,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Available, Kind::Exhaustion, Kind::Expiring];

    /// Returns the name used in configuration and events.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Available => "available",
            Kind::Exhaustion => "exhaustion",
            Kind::Expiring => "expiring",
        }
    }
}

/// The severity of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// There is time to act.
    Warning,
    /// Immediate action is needed.
    Alarm,
}

impl Level {
    /// Both levels, the milder first.
    pub const ALL: [Level; 2] = [Level::Warning, Level::Alarm];

    /// Returns the name used in events.
    pub fn name(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::Alarm => "alarm",
        }
    }

    /// Returns the type of the event for this level.
    pub fn event_type(self) -> &'static str {
        match self {
            Level::Warning => "alertSettingsWarningTriggerEvent",
            Level::Alarm => "alertSettingsAlarmTriggerEvent",
        }
    }
}

/// A rule: the quantity to watch and the thresholds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The watched quantity.
    pub kind: Kind,
    /// The type; `None` matches every type that no other rule names.
    #[serde(rename = "type")]
    pub code_type: Option<String>,
    /// The discount; `None` matches every discount that no other rule names.
    pub discount: Option<u8>,
    /// The threshold of the warning: a number of codes, or of days for [`Kind::Exhaustion`].
    pub warning: u32,
    /// The threshold of the alarm.
    pub alarm: u32,
    /// [`Kind::Expiring`]: the number of days within which codes expire.
    pub within_days: u32,
    /// The names of the webhooks to notify.
    pub webhooks: Vec<String>,
}

impl Rule {
    /// Returns the threshold of a level.
    pub fn threshold(&self, level: Level) -> u32 {
        match level {
            Level::Warning => self.warning,
            Level::Alarm => self.alarm,
        }
    }

    /// Returns true if the rule applies to a code group.
    pub fn applies_to(&self, code_group: &CodeGroup) -> bool {
        self.code_type
            .as_ref()
            .is_none_or(|one| *one == code_group.code_type)
            && self.discount.is_none_or(|one| one == code_group.discount)
    }

    /// Returns the number of codes at which a level is raised; `claims_per_day` is the number of claims per
    /// day.
    pub fn codes_at(&self, level: Level, claims_per_day: f64) -> u64 {
        let threshold = self.threshold(level);
        match self.kind {
            Kind::Available | Kind::Expiring => threshold.into(),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the value is not negative, and the cast saturates"
            )]
            Kind::Exhaustion => (f64::from(threshold) * claims_per_day).ceil() as u64,
        }
    }

    /// Returns the maximum number of codes that must be counted to decide on a level with this
    /// threshold.
    pub fn count_limit(&self, codes: u64) -> u64 {
        match self.kind {
            Kind::Available | Kind::Exhaustion => reset_threshold(codes).saturating_add(1),
            // The event reports the count; far beyond the threshold it need not be exact.
            Kind::Expiring => codes.saturating_mul(4).saturating_add(10_000),
        }
    }

    /// Returns true if a level is raised at this count; `before`: whether it was raised already.
    pub fn is_raised(&self, codes: u64, counted: u64, before: bool) -> bool {
        match self.kind {
            Kind::Exhaustion if codes == 0 => false,
            Kind::Available | Kind::Exhaustion if before => counted <= reset_threshold(codes),
            Kind::Available | Kind::Exhaustion => counted <= codes,
            Kind::Expiring if before => counted >= codes - codes / 10,
            Kind::Expiring => counted >= codes,
        }
    }
}

/// Returns the count above which a level with this threshold is cleared.
fn reset_threshold(codes: u64) -> u64 {
    codes.saturating_add((codes / 10).max(1))
}

/// The subject of an alert; unique for each alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The watched quantity.
    pub kind: Kind,
    /// The code group.
    pub code_group: CodeGroup,
    /// The severity.
    pub level: Level,
}

/// An alert that is or was raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The subject.
    pub subject: Subject,
    /// True if it is raised now.
    pub raised: bool,
    /// The number of times it was raised. It is part of the event id, so that each event is sent
    /// once.
    pub sequence: i64,
    /// True if the event for the last crossing is stored.
    pub notified: bool,
    /// The parameters of the event for the last crossing.
    pub params: Map<String, Value>,
    /// The time at which it was raised or cleared.
    pub at: crate::clock::Timestamp,
}

impl Alert {
    /// Returns the event for the last crossing; repeated calls return the same event.
    pub fn event(&self, installation: &str) -> Event {
        let Subject {
            kind,
            code_group,
            level,
        } = &self.subject;
        let name = replace_forbidden(&code_group.code_type);
        let id = format!(
            "{ID_PREFIX}{installation}:{}:{}:{}:{}:{name}",
            kind.name(),
            code_group.discount,
            level.name(),
            self.sequence
        );
        let mut event = Event::new(
            level.event_type(),
            format!("{name} {}", code_group.discount),
        );
        event.id = Some(id);
        event.params = self.params.clone();
        event
    }
}

/// Rejects an external event that looks like an alert's event: it would start workflows meant for
/// the operator, or suppress a real alert with the same id.
pub fn check_external(event: &Event) -> Result<(), EventError> {
    let same = |level: &Level| {
        let reserved = level.event_type();
        event.event_type.trim().eq_ignore_ascii_case(reserved)
    };
    if Level::ALL.iter().any(same) {
        return Err(EventError::new(
            "eventTypeKey",
            format!(
                "`{}` is reserved for alerts, which promoflow sends itself; use another type, or a \
                 test run",
                event.event_type.trim()
            ),
        ));
    }
    let id = event.id.as_deref().unwrap_or_default();
    if id.trim_start().to_ascii_lowercase().starts_with(ID_PREFIX) {
        let message =
            format!("ids that start with `{ID_PREFIX}` are reserved for alerts; use another id");
        return Err(EventError::new("id", message));
    }
    Ok(())
}

/// Replaces the characters of a type that are not allowed in an event key.
fn replace_forbidden(code_type: &str) -> String {
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
    fn raises_at_the_threshold_and_clears_well_beyond_it() {
        let left = rule(Kind::Available, 500, 50);
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
            assert!(left.count_limit(500) >= 551, "the count is sufficient");
        }
        assert_eq!(crossings, 2);
    }

    #[test]
    fn handles_small_thresholds() {
        let left = rule(Kind::Available, 1, 0);
        assert!(left.is_raised(0, 0, false) && !left.is_raised(0, 1, false));
        assert!(left.is_raised(0, 1, true) && !left.is_raised(0, 2, true));
        let expiring = rule(Kind::Expiring, 1, 10);
        assert!(expiring.is_raised(1, 1, false) && !expiring.is_raised(1, 0, true));
        assert!(expiring.is_raised(10, 9, true) && !expiring.is_raised(10, 8, true));
        let dry = rule(Kind::Exhaustion, 7, 2);
        assert_eq!(dry.codes_at(Level::Warning, 10.5), 74);
        assert!(dry.is_raised(74, 74, false) && !dry.is_raised(74, 75, false));
        // No claims: the pool never runs dry, even if it is empty.
        assert!(!dry.is_raised(dry.codes_at(Level::Alarm, 0.0), 0, true));
    }

    #[test]
    fn rejects_external_events_that_imitate_alerts() {
        let field = |event: Event| check_external(&event).err().map(|error| error.field);
        for level in Level::ALL {
            let own = level.event_type();
            for unusual in [own.to_owned(), own.to_uppercase(), format!(" {own} ")] {
                assert_eq!(
                    field(Event::new(unusual, "a")).as_deref(),
                    Some("eventTypeKey")
                );
            }
        }
        let event = |id: &str| field(Event::new("e", "a").with_id(id));
        assert_eq!(event("promoflow-alert:x y").as_deref(), Some("id"));
        assert_eq!(event("Promoflow-Alert:").as_deref(), Some("id"));
        assert_eq!(event("order-promoflow-alert:1"), None);
        assert_eq!(field(Event::new("alertSettings", "a")), None);
    }

    #[test]
    fn alert_events_are_valid_for_any_type() {
        let unusual = "a/b <'\u{7}`; ’,>".repeat(6);
        let alert = Alert {
            subject: Subject {
                kind: Kind::Expiring,
                code_group: CodeGroup {
                    code_type: unusual.clone(),
                    discount: 99,
                },
                level: Level::Warning,
            },
            raised: true,
            sequence: i64::MAX,
            notified: false,
            params: event_params(
                &rule(Kind::Expiring, 5, 9),
                &Subject {
                    kind: Kind::Expiring,
                    code_group: CodeGroup {
                        code_type: unusual.clone(),
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
        assert_eq!(event.params["type"], unusual);
        assert_eq!(event.params["count"], "6");
        assert_eq!(event, alert.event("0123456789abcdef").checked().unwrap());
    }
}
