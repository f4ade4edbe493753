//! The metrics of an installation.

use std::collections::HashSet;
use std::sync::Arc;

use super::{EngineHandle, GroupForecast, Promoflow};
use super::{Error, Result};
use promoflow_engine::metrics::Metrics;
use promoflow_model::alert::Alert;
use promoflow_model::pool::CodeGroup;

/// Maximum number of code groups with metrics of their own, since types are arbitrary text.
const MAX_GROUPS: usize = 1_000;
/// The type under which the remaining code groups are summed up.
const OTHERS: &str = "(others)";

impl Promoflow {
    /// Returns the counters of this process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the metrics of this process and of the database, in the text format of Prometheus.
    pub fn metrics_text(&self, running: &EngineHandle) -> Result<String> {
        let state = &self.metrics.state;
        let (code_groups, alerts, run_statistics) = (
            self.forecast()?,
            self.store.alerts()?,
            self.store.run_statistics()?,
        );
        let code_groups = sum_up_rest(code_groups);
        let _guard = state.reset();
        for code_group in &code_groups {
            let discount = code_group.count.code_group.discount.to_string();
            let label = [
                code_group.count.code_group.code_type.as_str(),
                discount.as_str(),
            ];
            for (name, count) in [
                ("available", code_group.count.available),
                ("used", code_group.count.used),
                ("retired", code_group.count.retired),
                ("expired", code_group.count.expired),
            ] {
                let codes = state.codes.with_label_values(&[label[0], label[1], name]);
                // Added, not set: a real type may have the name of the sum.
                codes.add(gauge(count));
            }
            let expiring = state.expiring.with_label_values(&label);
            expiring.add(gauge(code_group.count.expiring));
            let claimed = state.claimed.with_label_values(&label);
            claimed.add(gauge(code_group.claimed_last_day));
            // Without a rate there is no value.
            if let Some(days) = code_group.days_left {
                state.days_left.with_label_values(&label).set(days);
            }
        }
        let own: HashSet<&CodeGroup> = code_groups
            .iter()
            .map(|code_group| &code_group.count.code_group)
            .collect();
        let others = others();
        for Alert {
            subject, raised, ..
        } in &alerts
        {
            let code_group = match own.contains(&subject.code_group) {
                true => &subject.code_group,
                false => &others,
            };
            let (kind, level) = (subject.kind.name(), subject.level.name());
            let label = [
                kind,
                &code_group.code_type,
                &code_group.discount.to_string(),
                level,
            ];
            // An alert without a rule is not raised, whatever is stored.
            let raised = *raised && self.settings.alerts.rule_for(subject).is_some();
            let count = state.raised.with_label_values(&label);
            count.add(i64::from(raised));
        }
        for (name, count) in [
            ("running", run_statistics.running),
            ("waiting", run_statistics.waiting),
            ("completed", run_statistics.completed),
            ("failed", run_statistics.failed),
            ("cancelled", run_statistics.cancelled),
        ] {
            state.runs.with_label_values(&[name]).set(gauge(count));
        }
        let (jobs, units) = running.engine.waiting();
        for (name, count) in [
            ("jobs", jobs as u64),
            ("commits", units as u64),
            ("deliveries", run_statistics.deliveries),
        ] {
            state.waiting.with_label_values(&[name]).set(gauge(count));
        }
        state.executes.set(i64::from(running.is_executor()));
        self.metrics
            .text()
            .map_err(|error| Error::Invalid(error.to_string()))
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns the code group that sums up those without metrics of their own.
fn others() -> CodeGroup {
    CodeGroup {
        code_type: OTHERS.to_owned(),
        discount: 0,
    }
}

/// Returns the first code groups, and the sum of the rest.
fn sum_up_rest(mut code_groups: Vec<GroupForecast>) -> Vec<GroupForecast> {
    let rest = code_groups.split_off(code_groups.len().min(MAX_GROUPS));
    let sum = rest.into_iter().reduce(|mut sum, one| {
        sum.count.available += one.count.available;
        sum.count.used += one.count.used;
        sum.count.retired += one.count.retired;
        sum.count.expired += one.count.expired;
        sum.count.expiring += one.count.expiring;
        sum.claimed_last_day += one.claimed_last_day;
        sum.claims_per_day += one.claims_per_day;
        sum
    });
    code_groups.extend(sum.map(|mut sum| {
        sum.count.code_group = others();
        sum.days_left = None;
        sum
    }));
    code_groups
}
