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

mod exporter;
mod ids;
mod spans;

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use promoflow_config::TraceConfig;
use promoflow_model::trace_context::Origin;
use promoflow_store::{DeliveryId, EventRowId, RunId, StepRecord, Store};

/// Maximum number of queued records; further ones are dropped.
const MAX_QUEUED: usize = 8_192;
/// Maximum time for exporting the last spans on shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Creates spans from records.
pub struct Tracer {
    sender: Mutex<Option<SyncSender<TraceRecord>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Tracer {
    /// Starts the export to the collector of that configuration.
    pub fn start(config: &TraceConfig, store: Arc<dyn Store>) -> Result<Tracer> {
        let processor = exporter::processor(config)?;
        let installation = store.installation()?;
        let sample = config.sample;
        let (sender, receiver) = sync_channel(MAX_QUEUED);
        let thread = thread::Builder::new()
            .name("traces".into())
            .spawn(move || {
                let spans = spans::Spans::new(processor, store, installation, sample);
                listen(&receiver, &spans);
                spans.finish(FLUSH_TIMEOUT);
            })
            .context("cannot start the trace thread")?;
        Ok(Tracer {
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues a record; drops it if the queue is full.
    pub fn record(&self, record: TraceRecord) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender
            && let Err(TrySendError::Full(_)) = sender.try_send(record)
        {
            tracing::debug!("the trace collector is too slow: spans were dropped");
        }
    }

    /// Exports the remaining spans, within a few seconds.
    pub fn stop(&self) {
        drop(
            self.sender
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the trace thread panicked");
        }
    }
}

fn listen(receiver: &Receiver<TraceRecord>, spans: &spans::Spans) {
    while let Ok(happened) = receiver.recv() {
        if let Err(error) = spans.create(happened) {
            tracing::warn!("spans were dropped: {error}");
        }
    }
}
