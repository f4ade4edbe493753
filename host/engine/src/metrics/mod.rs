//! Metrics for operators: counters, gauges and histograms, in the format of Prometheus.
//!
//! Each part of the host counts in its own group; counting uses atomics and takes no lock that is
//! held for long. Without the feature `metrics` nothing is counted. This module knows nothing of the rest of the host. Values that only the database
//! knows, such as the state of the pool and of runs, are set when the text is requested.

mod definitions;
#[cfg(not(feature = "metrics"))]
#[path = "disabled.rs"]
mod instruments;
#[cfg(feature = "metrics")]
mod instruments;

pub use definitions::{
    BlockMetrics, Blocks, CallEnd, Commits, Deliveries, Events, Requests, Segments, State,
};

use instruments::{MetricFactory, Result};
#[cfg(feature = "metrics")]
pub use prometheus::Registry;

/// The media type of [`Metrics::text`].
#[cfg(feature = "metrics")]
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics of one installation in this process.
pub struct Metrics {
    #[cfg(feature = "metrics")]
    registry: Registry,
    /// Events by outcome.
    pub events: Events,
    /// Commits of the committer.
    pub commits: Commits,
    /// Segments of runs by end.
    pub segments: Segments,
    /// Calls of blocks.
    pub blocks: Blocks,
    /// Delivery attempts.
    pub deliveries: Deliveries,
    /// HTTP requests.
    pub requests: Requests,
    /// The state of the database and of the queues.
    pub state: State,
}

impl Metrics {
    /// Creates all metrics with the value zero. Fails only if two metrics have the same name.
    pub fn new() -> Result<Metrics> {
        let factory: MetricFactory = Default::default();
        // Memory, processor time, files: of the process, so not in a registry of somebody else.
        factory.process()?;
        Metrics::build(factory)
    }

    /// Registers all metrics in this registry. Fails if it has one of these names already.
    #[cfg(feature = "metrics")]
    pub fn with_registry(registry: Registry) -> Result<Metrics> {
        Metrics::build(MetricFactory::new(registry))
    }

    fn build(factory: MetricFactory) -> Result<Metrics> {
        let build = factory.gauges(
            "promoflow_build_info",
            "The running version; always 1.",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Metrics {
            events: Events::new(&factory)?,
            commits: Commits::new(&factory)?,
            segments: Segments::new(&factory)?,
            blocks: Blocks::new(&factory)?,
            deliveries: Deliveries::new(&factory)?,
            requests: Requests::new(&factory)?,
            state: State::new(&factory)?,
            #[cfg(feature = "metrics")]
            registry: factory.into_registry(),
        })
    }

    /// Returns all metrics in the text format of Prometheus.
    #[cfg(feature = "metrics")]
    pub fn text(&self) -> Result<String> {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::time::Duration;

    use super::*;

    #[test]
    fn text_contains_what_was_counted() {
        let metrics = Metrics::new().unwrap();
        metrics.events.accepted.inc();
        metrics.commits.record(7, Duration::from_millis(3));
        metrics
            .blocks
            .for_block("get-promocode")
            .record_call(CallEnd::Port, Duration::from_micros(15));
        metrics.deliveries.record_attempt("email", "delivered");
        let text = metrics.text().unwrap();
        for line in [
            "promoflow_events_total{outcome=\"accepted\"} 1",
            "promoflow_events_total{outcome=\"duplicate\"} 0",
            "promoflow_commit_units_sum 7",
            "promoflow_commit_seconds_bucket{le=\"0.005\"} 1",
            "promoflow_block_seconds_count{block=\"get-promocode\"} 1",
            "promoflow_block_calls_total{block=\"get-promocode\",outcome=\"port\"} 1",
            "promoflow_delivery_attempts_total{channel=\"email\",outcome=\"delivered\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }
}
