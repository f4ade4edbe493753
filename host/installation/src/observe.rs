//! The metrics of an installation.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Result;

use super::{LaneOutlook, Promoflow, Running};
use promoflow_engine::metrics::Metrics;
use promoflow_model::alert::Alert;
use promoflow_model::pool::Lane;
use promoflow_store::Store;

/// Maximum number of code groups with metrics of their own, since types are arbitrary text.
const MOST_LANES: usize = 1_000;
/// The type under which the remaining code groups are summed up.
const OTHERS: &str = "(others)";

impl Promoflow {
    /// Returns the counters of this process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the state and the forecast of each code group.
    pub fn outlook(&self) -> Result<Vec<LaneOutlook>> {
        Ok(self.outlook.lanes(&*self.store, self.now())?)
    }

    /// Returns the metrics of this process and of the database, in the text format of Prometheus.
    pub fn metrics_text(&self, running: &Running) -> Result<String> {
        let state = &self.metrics.state;
        let (lanes, alerts, tally) = (self.outlook()?, self.store.alerts()?, self.store.tally()?);
        let lanes = summed_up(lanes);
        let _turn = state.anew();
        for lane in &lanes {
            let discount = lane.count.lane.discount.to_string();
            let label = [lane.count.lane.code_type.as_str(), discount.as_str()];
            for (name, count) in [
                ("available", lane.count.available),
                ("used", lane.count.used),
                ("retired", lane.count.retired),
                ("expired", lane.count.expired),
            ] {
                let codes = state.codes.with_label_values(&[label[0], label[1], name]);
                // Added, not set: a real type may have the name of the sum.
                codes.add(gauge(count));
            }
            let expiring = state.expiring.with_label_values(&label);
            expiring.add(gauge(lane.count.expiring));
            let claimed = state.claimed.with_label_values(&label);
            claimed.add(gauge(lane.claimed_last_day));
            // Without a rate there is no value.
            if let Some(days) = lane.days_left {
                state.dry.with_label_values(&label).set(days);
            }
        }
        let own: HashSet<&Lane> = lanes.iter().map(|lane| &lane.count.lane).collect();
        let others = others();
        for Alert {
            subject, raised, ..
        } in &alerts
        {
            let lane = match own.contains(&subject.lane) {
                true => &subject.lane,
                false => &others,
            };
            let (kind, level) = (subject.kind.name(), subject.level.name());
            let label = [kind, &lane.code_type, &lane.discount.to_string(), level];
            // An alert without a rule is not raised, whatever is stored.
            let raised = *raised && self.parts.alerts.judging(subject).is_some();
            let count = state.raised.with_label_values(&label);
            count.add(i64::from(raised));
        }
        for (name, count) in [
            ("running", tally.running),
            ("waiting", tally.waiting),
            ("completed", tally.completed),
            ("failed", tally.failed),
            ("cancelled", tally.cancelled),
        ] {
            state.runs.with_label_values(&[name]).set(gauge(count));
        }
        let (jobs, units) = running.engine.waiting();
        for (name, count) in [
            ("jobs", jobs as u64),
            ("commits", units as u64),
            ("deliveries", tally.deliveries),
        ] {
            state.waiting.with_label_values(&[name]).set(gauge(count));
        }
        state.executes.set(i64::from(running.executes()));
        Ok(self.metrics.text()?)
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns the code group that sums up those without metrics of their own.
fn others() -> Lane {
    Lane {
        code_type: OTHERS.to_owned(),
        discount: 0,
    }
}

/// Returns the first code groups, and the sum of the rest.
fn summed_up(mut lanes: Vec<LaneOutlook>) -> Vec<LaneOutlook> {
    let rest = lanes.split_off(lanes.len().min(MOST_LANES));
    let sum = rest.into_iter().reduce(|mut sum, one| {
        sum.count.available += one.count.available;
        sum.count.used += one.count.used;
        sum.count.retired += one.count.retired;
        sum.count.expired += one.count.expired;
        sum.count.expiring += one.count.expiring;
        sum.claimed_last_day += one.claimed_last_day;
        sum.a_day += one.a_day;
        sum
    });
    lanes.extend(sum.map(|mut sum| {
        sum.count.lane = others();
        sum.days_left = None;
        sum
    }));
    lanes
}
