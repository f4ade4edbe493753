//! The alerts of an installation, as users see them.

use std::collections::HashMap;

use anyhow::Result;

use super::{LaneOutlook, Promoflow};
use promoflow_model::alert::{Alert, Kind, Level, Rule, Rules, Subject};
use promoflow_model::clock::Timestamp;
use promoflow_store::{DeliveryState, Notice, NoticeId, Store};

/// Maximum number of codes to count for a list of alerts.
const MOST_COUNTED: u64 = 1_000_000;

/// A code group and a rule that watches it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The rule.
    pub rule: Rule,
    /// The forecast of the code group.
    pub outlook: LaneOutlook,
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
        &self.parts.alerts
    }

    /// Returns each code group that a rule watches, with its raised level.
    pub fn alerts(&self) -> Result<Vec<Watched>> {
        let rules = &self.parts.alerts;
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.store.alerts()?.into_iter();
        let stored: HashMap<Subject, Alert> =
            stored.map(|one| (one.subject.clone(), one)).collect();
        let mut watched = Vec::new();
        for outlook in self.outlook()? {
            for rule in rules.of(&outlook.count.lane) {
                watched.push(self.watched(rule, &outlook, &stored)?);
            }
        }
        Ok(watched)
    }

    /// Returns up to `limit` notifications to webhooks before that one, the newest first.
    pub fn notices(
        &self,
        state: Option<DeliveryState>,
        before: Option<NoticeId>,
        limit: usize,
    ) -> Result<Vec<Notice>> {
        Ok(self.store.notices(state, before, limit)?)
    }

    fn watched(
        &self,
        rule: &Rule,
        outlook: &LaneOutlook,
        stored: &HashMap<Subject, Alert>,
    ) -> Result<Watched> {
        let lane = &outlook.count.lane;
        let of = |level| {
            stored.get(&Subject {
                kind: rule.kind,
                lane: lane.clone(),
                level,
            })
        };
        let count = match rule.kind {
            Kind::Left | Kind::RunsDry => outlook.count.available,
            Kind::Expiring => {
                let now = self.now();
                let until = self.calendar()?.expiry_needed(now, rule.within_days);
                let until = until.plus_millis(-1);
                self.store.free_between(lane, now, until, MOST_COUNTED)?
            }
        };
        // Evaluated here as well: the stored level is what the executing process saw last, and it
        // may not have run since the pool was changed.
        let is_raised = |level: &Level| {
            let before = of(*level).is_some_and(|alert| alert.raised);
            rule.is_raised(rule.codes(*level, outlook.a_day), count, before)
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
        Ok(Watched {
            rule: rule.clone(),
            outlook: outlook.clone(),
            count,
            level,
            since,
        })
    }
}
