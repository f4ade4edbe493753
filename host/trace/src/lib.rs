//! Traces: the path of an event, from its acceptance to the delivery attempts, as OpenTelemetry
//! spans.
//!
//! Off unless the configuration names a collector. The ids of an event's trace are digests of the
//! event's row and of the installation. So a run that continues after a restart, or in another
//! process, continues in its trace without stored state. Only if the request has a trace of its own
//! (`traceparent`) is a row stored with the event.
//!
//! Records are sent to a thread that looks up what they lack and creates the spans; the sender
//! never blocks. Spans contain names and numbers, but no key, address, code or text.
//!
//! Without the feature `otlp` only the records remain, and no [`Tracer`] can be created.
//!
//! | module | contents |
//! | --- | --- |
//! | `tracer` | the thread that takes records |
//! | `spans`, `ids` | spans from records, and their ids |
//! | `exporter`, `error` | export by OTLP |
//! | `disabled` | the tracer of a build without the feature `otlp` |
//!
//! ```
//! use promoflow_trace::SegmentSpan;
//!
//! # use promoflow_store::RunId;
//! let span = SegmentSpan { run: RunId(7), number: 0, attempt: 1, end: "completed", steps: vec![] };
//! assert_eq!(span.attempt, 1);
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

#[cfg(not(feature = "otlp"))]
mod disabled;
#[cfg(feature = "otlp")]
mod error;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod ids;
#[cfg(feature = "otlp")]
mod spans;
#[cfg(feature = "otlp")]
mod tracer;

use std::time::{Duration, SystemTime};

#[cfg(not(feature = "otlp"))]
pub use disabled::Tracer;
#[cfg(feature = "otlp")]
pub use error::TraceError;
#[cfg(feature = "otlp")]
pub use tracer::Tracer;

use promoflow_model::trace_context::Origin;
use promoflow_store::{DeliveryId, EventRowId, RunId, StepRecord};

/// A commit, which several units may share.
#[derive(Clone, Copy, Debug)]
pub struct CommitSpan {
    /// Start of the transaction.
    pub began: SystemTime,
    /// End of the transaction.
    pub ended: SystemTime,
    /// Number of units that the transaction committed.
    pub units: usize,
}

/// A segment: a part of a run between two waits.
#[derive(Clone, Debug)]
pub struct SegmentSpan {
    /// The run.
    pub run: RunId,
    /// Number of the segment in the run, from 0.
    pub number: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// How the segment ended, for the span attribute.
    pub end: &'static str,
    /// The steps, in execution order.
    pub steps: Vec<StepSpan>,
}

/// A step of a segment.
#[derive(Clone, Debug)]
pub struct StepSpan {
    /// Id of the step.
    pub step: String,
    /// Name of its block.
    pub block: String,
    /// The port that it took, if it ended with one.
    pub port: Option<String>,
    /// Start of the step.
    pub began: SystemTime,
    /// End of the step.
    pub ended: SystemTime,
}

impl From<&StepRecord> for StepSpan {
    fn from(record: &StepRecord) -> StepSpan {
        let time = |at: promoflow_model::clock::Timestamp| {
            SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.unsigned_abs())
        };
        StepSpan {
            step: record.step.clone(),
            block: record.block.clone(),
            port: record.port.clone(),
            began: time(record.started_at),
            ended: time(record.finished_at),
        }
    }
}

/// A record of something to trace.
pub enum TraceRecord {
    /// An event was accepted; with the segments it started.
    Event {
        /// The stored event.
        row: EventRowId,
        /// The type of the event.
        kind: String,
        /// The request that brought it.
        origin: Origin,
        /// The segments that it started.
        segments: Vec<SegmentSpan>,
        /// The commit that stored it.
        commit: CommitSpan,
    },
    /// A segment of a run ended.
    Segment {
        /// The segment.
        segment: SegmentSpan,
        /// The commit that stored it.
        commit: CommitSpan,
    },
    /// A delivery attempt ended.
    Attempt {
        /// The delivery.
        delivery: DeliveryId,
        /// Name of the channel.
        channel: &'static str,
        /// Outcome of the attempt, for the span attribute.
        outcome: &'static str,
        /// Start of the attempt.
        began: SystemTime,
        /// End of the attempt.
        ended: SystemTime,
    },
}
