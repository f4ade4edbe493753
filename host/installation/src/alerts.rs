//! The alerts of an installation, as users see them.

use std::collections::HashMap;

use super::Result;
use super::{GroupForecast, Promoflow};
use promoflow_model::alert::{Alert, Kind, Level, Rule, Rules, Subject};
use promoflow_model::clock::Timestamp;
use promoflow_store::{DeliveryState, Notification, NotificationId};

/// Maximum number of codes to count for a list of alerts.
const MAX_COUNTED: u64 = 1_000_000;

/// A code group and a rule that watches it.
#[derive(Clone, Debug)]
pub struct WatchedGroup {
    /// The rule.
    pub rule: Rule,
    /// The forecast of the code group.
    pub forecast: GroupForecast,
    /// The number that the rule compares: codes that are left, or that expire within its days.
    pub count: u64,
    /// The raised level, in the current state of the pool.
    pub level: Option<Level>,
    /// The time since which the level is in effect; `None` if nothing was ever raised, or if the
    /// executing process has not seen it yet.
    pub since: Option<Timestamp>,
}

impl Promoflow {
    /// Returns the rules that watch the pool.
    pub fn alert_rules(&self) -> &Rules {
        &self.settings.alerts
    }

    /// Returns each code group that a rule watches, with its raised level.
    pub fn alerts(&self) -> Result<Vec<WatchedGroup>> {
        let rules = &self.settings.alerts;
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.store.alerts()?.into_iter();
        let stored: HashMap<Subject, Alert> =
            stored.map(|one| (one.subject.clone(), one)).collect();
        let mut watched = Vec::new();
        for forecast in self.forecast()? {
            for rule in rules.of(&forecast.count.code_group) {
                watched.push(self.evaluate(rule, &forecast, &stored)?);
            }
        }
        Ok(watched)
    }

    /// Returns up to `limit` notifications to webhooks before that one, the newest first.
    pub fn notifications(
        &self,
        state: Option<DeliveryState>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Notification>> {
        Ok(self.store.notifications(state, before, limit)?)
    }

    fn evaluate(
        &self,
        rule: &Rule,
        forecast: &GroupForecast,
        stored: &HashMap<Subject, Alert>,
    ) -> Result<WatchedGroup> {
        let code_group = &forecast.count.code_group;
        let of = |level| {
            stored.get(&Subject {
                kind: rule.kind,
                code_group: code_group.clone(),
                level,
            })
        };
        let count = match rule.kind {
            Kind::Available | Kind::Exhaustion => forecast.count.available,
            Kind::Expiring => {
                let now = self.now();
                let until = self.calendar()?.expiry_needed(now, rule.within_days);
                let until = until.plus_millis(-1);
                self.store
                    .count_available_between(code_group, now, until, MAX_COUNTED)?
            }
        };
        // Evaluated here as well: the stored level is what the executing process saw last, and it
        // may not have run since the pool was changed.
        let is_raised = |level: &Level| {
            let before = of(*level).is_some_and(|alert| alert.raised);
            rule.is_raised(
                rule.codes_at(*level, forecast.claims_per_day),
                count,
                before,
            )
        };
        let level = Level::ALL.into_iter().rev().find(is_raised);
        let since = match level {
            Some(level) => of(level).filter(|alert| alert.raised).map(|alert| alert.at),
            None => {
                let known = || Level::ALL.into_iter().filter_map(of);
                let seen = known().all(|alert| !alert.raised);
                known().filter(|_| seen).map(|alert| alert.at).max()
            }
        };
        Ok(WatchedGroup {
            rule: rule.clone(),
            forecast: forecast.clone(),
            count,
            level,
            since,
        })
    }
}
