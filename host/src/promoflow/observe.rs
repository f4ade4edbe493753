//! What an operator sees of an installation.

use std::sync::Arc;

use anyhow::Result;

use super::{LaneOutlook, Promoflow, Running};
use crate::alert::Subject;
use crate::metrics::Metrics;
use crate::pool::Lane;
use crate::store::Store;

/// Lanes that have metrics of their own; types are any text, and there may be very many.
const MOST_LANES: usize = 1_000;
/// The type under which the others are summed up.
const OTHERS: &str = "(others)";

impl Promoflow {
    /// What this process counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Each type and discount of the pool as it stands, and how long it lasts.
    pub fn outlook(&self) -> Result<Vec<LaneOutlook>> {
        Ok(self.outlook.lanes(&*self.store, self.now())?)
    }

    /// The metrics of this process and of the database, in the text format of Prometheus.
    pub fn metrics_text(&self, running: &Running) -> Result<String> {
        let state = &self.metrics.state;
        for lane in summed_up(self.outlook()?) {
            let discount = lane.count.lane.discount.to_string();
            let label = [lane.count.lane.code_type.as_str(), discount.as_str()];
            for (name, count) in [
                ("available", lane.count.available),
                ("used", lane.count.used),
                ("retired", lane.count.retired),
                ("expired", lane.count.expired),
            ] {
                let codes = state.codes.with_label_values(&[label[0], label[1], name]);
                codes.set(gauge(count));
            }
            let expiring = state.expiring.with_label_values(&label);
            expiring.set(gauge(lane.count.expiring));
            let claimed = state.claimed.with_label_values(&label);
            claimed.set(gauge(lane.claimed_last_day));
            match lane.days_left {
                Some(days) => state.dry.with_label_values(&label).set(days),
                // A rate that is over says nothing; there may be no such metric anyway.
                None => drop(state.dry.remove_label_values(&label)),
            }
        }
        for alert in self.store.alerts()? {
            let Subject { kind, lane, level } = alert.subject;
            let discount = lane.discount.to_string();
            let label = [kind.name(), &lane.code_type, &discount, level.name()];
            let raised = state.raised.with_label_values(&label);
            raised.set(i64::from(alert.raised));
        }
        let tally = self.store.tally()?;
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

/// The first lanes, and the sum of the rest.
fn summed_up(mut lanes: Vec<LaneOutlook>) -> Vec<LaneOutlook> {
    let rest = lanes.split_off(lanes.len().min(MOST_LANES));
    let sum = rest.into_iter().reduce(|mut sum, one| {
        sum.count.available += one.count.available;
        sum.count.used += one.count.used;
        sum.count.retired += one.count.retired;
        sum.count.expired += one.count.expired;
        sum.count.expiring += one.count.expiring;
        sum.claimed_last_day += one.claimed_last_day;
        sum
    });
    lanes.extend(sum.map(|mut sum| {
        sum.count.lane = Lane {
            code_type: OTHERS.to_owned(),
            discount: 0,
        };
        sum.days_left = None;
        sum
    }));
    lanes
}
