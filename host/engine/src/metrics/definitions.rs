//! The groups of metrics, one per part of the host.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::instruments::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    MetricFactory, Result,
};

/// Buckets in seconds: from a commit on a fast disk to one that waits for a slow disk.
const COMMIT_SECONDS: [f64; 12] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];
/// Buckets in units per commit, up to the largest batch.
const COMMIT_UNITS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];
/// Buckets in seconds: from a block that only decides to one that uses all its time.
const BLOCK_SECONDS: [f64; 11] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0,
];
/// Buckets in seconds: from a response out of memory to a long upload.
const REQUEST_SECONDS: [f64; 10] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Events by outcome.
pub struct Events {
    /// Stored.
    pub accepted: IntCounter,
    /// Stored before, under the same id.
    pub duplicate: IntCounter,
    /// Malformed, or the id belongs to another event.
    pub rejected: IntCounter,
    /// Valid, but not stored.
    pub failed: IntCounter,
}

impl Events {
    pub(super) fn new(factory: &MetricFactory) -> Result<Events> {
        let help = "Events by outcome.";
        let events = factory.counters("promoflow_events_total", help, &["outcome"])?;
        let counter = |outcome| events.with_label_values(&[outcome]);
        Ok(Events {
            accepted: counter("accepted"),
            duplicate: counter("duplicate"),
            rejected: counter("rejected"),
            failed: counter("failed"),
        })
    }
}

/// Commits of the committer.
pub struct Commits {
    units: Histogram,
    seconds: Histogram,
    failed: IntCounter,
}

impl Commits {
    pub(super) fn new(factory: &MetricFactory) -> Result<Commits> {
        Ok(Commits {
            units: factory.histogram(
                "promoflow_commit_units",
                "Units (events, segments, attempts) per commit.",
                &COMMIT_UNITS,
            )?,
            seconds: factory.histogram(
                "promoflow_commit_seconds",
                "Duration of a commit, including its write to disk.",
                &COMMIT_SECONDS,
            )?,
            failed: factory.counter(
                "promoflow_commits_failed_total",
                "Commits that failed as a whole, for example on a full disk or a busy database.",
            )?,
        })
    }

    /// Records a commit of so many units.
    pub fn record(&self, units: usize, took: Duration) {
        #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
        self.units.observe(units as f64);
        self.seconds.observe(took.as_secs_f64());
    }

    /// Records a failed commit.
    pub fn record_failure(&self) {
        self.failed.inc();
    }
}

/// Segments of runs by end.
pub struct Segments {
    /// The run completed.
    pub completed: IntCounter,
    /// The run failed permanently.
    pub failed: IntCounter,
    /// The segment is retried.
    pub retried: IntCounter,
    /// The run waits.
    pub waiting: IntCounter,
}

impl Segments {
    pub(super) fn new(factory: &MetricFactory) -> Result<Segments> {
        let help = "Segments of runs (the parts between two waits) by end.";
        let segments = factory.counters("promoflow_segments_total", help, &["end"])?;
        let counter = |end| segments.with_label_values(&[end]);
        Ok(Segments {
            completed: counter("completed"),
            failed: counter("failed"),
            retried: counter("retried"),
            waiting: counter("waiting"),
        })
    }
}

/// Calls of blocks.
pub struct Blocks {
    seconds: HistogramVec,
    calls: IntCounterVec,
}

impl Blocks {
    pub(super) fn new(factory: &MetricFactory) -> Result<Blocks> {
        Ok(Blocks {
            seconds: factory.histograms(
                "promoflow_block_seconds",
                "Duration of a block call, including its sandbox.",
                &["block"],
                &BLOCK_SECONDS,
            )?,
            calls: factory.counters(
                "promoflow_block_calls_total",
                "Block calls by outcome; trapped: the sandbox stopped the call.",
                &["block", "outcome"],
            )?,
        })
    }

    /// Returns the metrics of one block. Keep the result: the lookup is slower than counting.
    pub fn for_block(&self, block: &str) -> BlockMetrics {
        BlockMetrics {
            seconds: self.seconds.with_label_values(&[block]),
            calls: CallEnd::ALL.map(|end| self.calls.with_label_values(&[block, end.name()])),
        }
    }
}

/// The metrics of one block.
pub struct BlockMetrics {
    seconds: Histogram,
    calls: [IntCounter; CallEnd::ALL.len()],
}

impl BlockMetrics {
    /// Records a call of the block.
    pub fn record_call(&self, end: CallEnd, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        if let Some(calls) = self.calls.get(end as usize) {
            calls.inc();
        }
    }
}

/// The outcome of a block call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// Exited by a port.
    Port,
    /// The run waits.
    Wait,
    /// The author must change something.
    Invalid,
    /// This run cannot continue.
    Rejected,
    /// Something is temporarily unavailable.
    Unavailable,
    /// The sandbox stopped the call.
    Trapped,
}

impl CallEnd {
    /// All outcomes, in order.
    pub const ALL: [CallEnd; 6] = [
        CallEnd::Port,
        CallEnd::Wait,
        CallEnd::Invalid,
        CallEnd::Rejected,
        CallEnd::Unavailable,
        CallEnd::Trapped,
    ];

    /// Returns the value of the label.
    fn name(self) -> &'static str {
        match self {
            CallEnd::Port => "port",
            CallEnd::Wait => "wait",
            CallEnd::Invalid => "invalid",
            CallEnd::Rejected => "rejected",
            CallEnd::Unavailable => "unavailable",
            CallEnd::Trapped => "trapped",
        }
    }
}

/// Delivery attempts.
pub struct Deliveries {
    attempts: IntCounterVec,
}

impl Deliveries {
    pub(super) fn new(factory: &MetricFactory) -> Result<Deliveries> {
        Ok(Deliveries {
            attempts: factory.counters(
                "promoflow_delivery_attempts_total",
                "Delivery attempts by channel and outcome.",
                &["channel", "outcome"],
            )?,
        })
    }

    /// Records an ended attempt.
    pub fn record_attempt(&self, channel: &str, outcome: &str) {
        self.attempts.with_label_values(&[channel, outcome]).inc();
    }
}

/// HTTP requests.
pub struct Requests {
    seconds: HistogramVec,
    responses: IntCounterVec,
}

impl Requests {
    pub(super) fn new(factory: &MetricFactory) -> Result<Requests> {
        Ok(Requests {
            seconds: factory.histograms(
                "promoflow_http_request_seconds",
                "Time from a request to the start of its response.",
                &["route"],
                &REQUEST_SECONDS,
            )?,
            responses: factory.counters(
                "promoflow_http_requests_total",
                "HTTP requests by method, route and status.",
                &["method", "route", "status"],
            )?,
        })
    }

    /// Records a response. `route` is a route of the service, never the path of the request.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.seconds
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
        self.responses
            .with_label_values(&[method, route, &status.to_string()])
            .inc();
    }
}

/// The state of the database and of the queues in this process.
pub struct State {
    /// Codes by type, discount and state.
    pub codes: IntGaugeVec,
    /// Codes that expire soon, by type and discount.
    pub expiring: IntGaugeVec,
    /// Codes claimed in the last day, by type and discount.
    pub claimed: IntGaugeVec,
    /// Days until a code group runs out.
    pub days_left: GaugeVec,
    /// 1 if an alert is raised, by kind, type, discount and level.
    pub raised: IntGaugeVec,
    /// Runs by state.
    pub runs: IntGaugeVec,
    /// Waiting items, by queue.
    pub waiting: IntGaugeVec,
    /// 1 if this process executes.
    pub executes: IntGauge,
    /// Held while the values are set and read.
    guard: Mutex<()>,
}

impl State {
    pub(super) fn new(factory: &MetricFactory) -> Result<State> {
        let code_group = ["type", "discount"];
        Ok(State {
            codes: factory.gauges(
                "promoflow_codes",
                "Promo codes by type, discount and state.",
                &["type", "discount", "state"],
            )?,
            expiring: factory.gauges(
                "promoflow_codes_expiring",
                "Unused promo codes that expire within the next 7 days.",
                &code_group,
            )?,
            claimed: factory.gauges(
                "promoflow_codes_claimed_last_day",
                "Promo codes claimed in the last 24 hours.",
                &code_group,
            )?,
            days_left: factory.float_gauges(
                "promoflow_codes_days_left",
                "Days until no code is left, at the rate of the last 24 hours.",
                &code_group,
            )?,
            raised: factory.gauges(
                "promoflow_alerts_raised",
                "Alerts that were raised at least once; 1 if raised now.",
                &["kind", "type", "discount", "level"],
            )?,
            runs: factory.gauges("promoflow_runs", "Runs by state.", &["state"])?,
            waiting: factory.gauges(
                "promoflow_queue_depth",
                "Waiting items: jobs for a worker, units for a commit, pending deliveries.",
                &["queue"],
            )?,
            executes: factory.gauge(
                "promoflow_executes",
                "1 if this process executes runs and deliveries, else 0.",
            )?,
            guard: Mutex::default(),
        })
    }

    /// Resets the values of the pool, for a caller that sets all of them again: a group that no
    /// longer exists leaves no value. The guard excludes other callers until the text is read.
    pub fn reset(&self) -> MutexGuard<'_, ()> {
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        for gauges in [&self.codes, &self.expiring, &self.claimed, &self.raised] {
            gauges.reset();
        }
        self.days_left.reset();
        guard
    }
}
