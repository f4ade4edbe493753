//! The groups of metrics, one for each part of the host.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Result,
};

use super::Maker;

/// Seconds: from a commit to a fast disk to one that waits for a slow one.
const COMMIT_SECONDS: [f64; 12] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];
/// Units in one commit, up to the largest batch.
const COMMIT_UNITS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];
/// Seconds: from a block that only decides to one that uses up its time.
const BLOCK_SECONDS: [f64; 11] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0,
];
/// Seconds: from an answer out of memory to a long upload.
const REQUEST_SECONDS: [f64; 10] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Events by what became of them.
pub struct Events {
    /// Stored.
    pub accepted: IntCounter,
    /// Stored before under the same id.
    pub duplicate: IntCounter,
    /// Malformed, or another event has its id.
    pub refused: IntCounter,
    /// Not stored, through no fault of its own.
    pub failed: IntCounter,
}

impl Events {
    pub(super) fn new(maker: &Maker) -> Result<Events> {
        let help = "Events by what became of them.";
        let events = maker.counters("promoflow_events_total", help, &["outcome"])?;
        let of = |outcome| events.with_label_values(&[outcome]);
        Ok(Events {
            accepted: of("accepted"),
            duplicate: of("duplicate"),
            refused: of("refused"),
            failed: of("failed"),
        })
    }
}

/// Commits of the committer.
pub struct Commits {
    units: Histogram,
    seconds: Histogram,
    failed: IntCounter,
    /// The last one: how many units, and for how many nanoseconds.
    last: (AtomicUsize, AtomicU64),
}

impl Commits {
    pub(super) fn new(maker: &Maker) -> Result<Commits> {
        Ok(Commits {
            units: maker.histogram(
                "promoflow_commit_units",
                "Units (events, segments, attempts) that shared a commit.",
                &COMMIT_UNITS,
            )?,
            seconds: maker.histogram(
                "promoflow_commit_seconds",
                "How long a commit took, its write to the disk included.",
                &COMMIT_SECONDS,
            )?,
            failed: maker.counter(
                "promoflow_commits_failed_total",
                "Commits that failed as a whole: a full disk, a busy database.",
            )?,
            last: Default::default(),
        })
    }

    /// So many units were committed together.
    pub fn committed(&self, units: usize, took: Duration) {
        #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
        self.units.observe(units as f64);
        self.seconds.observe(took.as_secs_f64());
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.last.0.store(units, Ordering::Relaxed);
        self.last.1.store(nanos, Ordering::Relaxed);
    }

    /// The last commit: how many units shared it, and how long it took. For those whom it tells
    /// what became of their units, before the next begins.
    pub fn last(&self) -> (usize, Duration) {
        let nanos = self.last.1.load(Ordering::Relaxed);
        (
            self.last.0.load(Ordering::Relaxed),
            Duration::from_nanos(nanos),
        )
    }

    /// A commit failed.
    pub fn failed(&self) {
        self.failed.inc();
    }
}

/// Segments of runs by how they ended.
pub struct Segments {
    /// The run is done.
    pub completed: IntCounter,
    /// The run failed for good.
    pub failed: IntCounter,
    /// It is tried again.
    pub retried: IntCounter,
    /// The run waits.
    pub waiting: IntCounter,
}

impl Segments {
    pub(super) fn new(maker: &Maker) -> Result<Segments> {
        let help = "Segments of runs (the parts between two waits) by how they ended.";
        let segments = maker.counters("promoflow_segments_total", help, &["end"])?;
        let of = |end| segments.with_label_values(&[end]);
        Ok(Segments {
            completed: of("completed"),
            failed: of("failed"),
            retried: of("retried"),
            waiting: of("waiting"),
        })
    }
}

/// Calls of blocks.
pub struct Blocks {
    seconds: HistogramVec,
    calls: IntCounterVec,
}

impl Blocks {
    pub(super) fn new(maker: &Maker) -> Result<Blocks> {
        Ok(Blocks {
            seconds: maker.histograms(
                "promoflow_block_seconds",
                "How long a call of a block took, its sandbox included.",
                &["block"],
                &BLOCK_SECONDS,
            )?,
            calls: maker.counters(
                "promoflow_block_calls_total",
                "Calls of blocks by how they ended; trapped: the sandbox stopped it.",
                &["block", "outcome"],
            )?,
        })
    }

    /// What counts the calls of a block. To be kept: looking it up takes longer than counting.
    pub fn meter(&self, block: &str) -> BlockMeter {
        BlockMeter {
            seconds: self.seconds.with_label_values(&[block]),
            calls: CallEnd::ALL.map(|end| self.calls.with_label_values(&[block, end.name()])),
        }
    }
}

/// Counts the calls of one block.
pub struct BlockMeter {
    seconds: Histogram,
    calls: [IntCounter; CallEnd::ALL.len()],
}

impl BlockMeter {
    /// The block was called.
    pub fn called(&self, end: CallEnd, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        if let Some(calls) = self.calls.get(end as usize) {
            calls.inc();
        }
    }
}

/// How a call of a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It left by a port.
    Port,
    /// Its run waits.
    Wait,
    /// The author must change something.
    Invalid,
    /// This run cannot go on.
    Rejected,
    /// Something is out of reach.
    Unavailable,
    /// Its sandbox stopped it.
    Trapped,
}

impl CallEnd {
    /// All of them, in order.
    pub const ALL: [CallEnd; 6] = [
        CallEnd::Port,
        CallEnd::Wait,
        CallEnd::Invalid,
        CallEnd::Rejected,
        CallEnd::Unavailable,
        CallEnd::Trapped,
    ];

    /// As a label has it.
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

/// Attempts to deliver.
pub struct Deliveries {
    attempts: IntCounterVec,
}

impl Deliveries {
    pub(super) fn new(maker: &Maker) -> Result<Deliveries> {
        Ok(Deliveries {
            attempts: maker.counters(
                "promoflow_delivery_attempts_total",
                "Attempts to deliver by channel and by what came of them.",
                &["channel", "outcome"],
            )?,
        })
    }

    /// An attempt has ended.
    pub fn attempted(&self, channel: &str, outcome: &str) {
        self.attempts.with_label_values(&[channel, outcome]).inc();
    }
}

/// HTTP requests.
pub struct Requests {
    seconds: HistogramVec,
    answers: IntCounterVec,
}

impl Requests {
    pub(super) fn new(maker: &Maker) -> Result<Requests> {
        Ok(Requests {
            seconds: maker.histograms(
                "promoflow_http_request_seconds",
                "How long a request took until its answer began.",
                &["route"],
                &REQUEST_SECONDS,
            )?,
            answers: maker.counters(
                "promoflow_http_requests_total",
                "HTTP requests by method, route and status.",
                &["method", "route", "status"],
            )?,
        })
    }

    /// A request was answered. `route` is one of the service's own, never the path as it came.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.seconds
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
        self.answers
            .with_label_values(&[method, route, &status.to_string()])
            .inc();
    }
}

/// What the database holds, and what waits in this process.
pub struct State {
    /// Codes by type, discount and state.
    pub codes: IntGaugeVec,
    /// Codes that expire soon, by type and discount.
    pub expiring: IntGaugeVec,
    /// Codes that were claimed in the last day, by type and discount.
    pub claimed: IntGaugeVec,
    /// Days until a type and discount runs dry.
    pub dry: GaugeVec,
    /// Whether an alert is raised, by what it watches, type, discount and level.
    pub raised: IntGaugeVec,
    /// Runs by state.
    pub runs: IntGaugeVec,
    /// What waits, by queue.
    pub waiting: IntGaugeVec,
    /// Whether this process executes.
    pub executes: IntGauge,
    /// Held by whoever sets them and reads them.
    turn: Mutex<()>,
}

impl State {
    pub(super) fn new(maker: &Maker) -> Result<State> {
        let lane = ["type", "discount"];
        Ok(State {
            codes: maker.gauges(
                "promoflow_codes",
                "Promo codes by type, discount and state.",
                &["type", "discount", "state"],
            )?,
            expiring: maker.gauges(
                "promoflow_codes_expiring",
                "Unused promo codes that expire within the next 7 days.",
                &lane,
            )?,
            claimed: maker.gauges(
                "promoflow_codes_claimed_last_day",
                "Promo codes that were claimed in the last 24 hours.",
                &lane,
            )?,
            dry: maker.register(GaugeVec::new(
                Opts::new(
                    "promoflow_codes_days_left",
                    "Days until no code is left, at the rate of the last 24 hours.",
                ),
                &lane,
            )?)?,
            raised: maker.gauges(
                "promoflow_alerts_raised",
                "Alerts that were ever raised; 1: now as well.",
                &["kind", "type", "discount", "level"],
            )?,
            runs: maker.gauges("promoflow_runs", "Runs by state.", &["state"])?,
            waiting: maker.gauges(
                "promoflow_queue_depth",
                "What waits: jobs for a worker, units for a commit, deliveries for their turn.",
                &["queue"],
            )?,
            executes: maker.register(IntGauge::new(
                "promoflow_executes",
                "Whether this process is the one that executes runs and deliveries.",
            )?)?,
            turn: Mutex::default(),
        })
    }

    /// Forgets what was set of the pool, for somebody who sets all of it: what is there no more
    /// leaves nothing behind. Nobody else does until he has read it, and lets go of the turn.
    pub fn anew(&self) -> MutexGuard<'_, ()> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for gauges in [&self.codes, &self.expiring, &self.claimed, &self.raised] {
            gauges.reset();
        }
        self.dry.reset();
        turn
    }
}
