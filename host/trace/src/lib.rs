//! Traces: the way of an event, from its acceptance to the attempts to deliver, as OpenTelemetry spans.
//!
//! Off unless the configuration names a collector. A trace is found again from the event's row: its
//! ids are digests of that and of the installation, so that a run that goes on after a restart, or in
//! another process, goes on in its trace without anything being stored. Only where the request
//! brought a trace of its own (`traceparent`) a row is stored beside the event.
//!
//! What happened is told to a thread that looks up what it lacks and makes the spans; whoever
//! tells it never waits. Spans hold names and numbers, and no key, address, code or text.

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
use promoflow_store::{DeliveryId, EventRow, RunId, StepRecord, Store};

/// What waits to become spans; beyond that it is left out.
const WAITING: usize = 8_192;
/// How long the last spans may take to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// A commit that several units may have shared.
#[derive(Clone, Copy, Debug)]
pub struct CommitSpan {
    pub began: SystemTime,
    pub ended: SystemTime,
    pub units: usize,
}

/// A part of a run between two waits.
#[derive(Clone, Debug)]
pub struct SegmentSpan {
    pub run: RunId,
    pub number: u32,
    pub attempt: u32,
    pub end: &'static str,
    pub steps: Vec<StepSpan>,
}

/// A step of it.
#[derive(Clone, Debug)]
pub struct StepSpan {
    pub step: String,
    pub block: String,
    pub port: Option<String>,
    pub began: SystemTime,
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

/// What happened.
pub enum Happened {
    /// An event was accepted, with what it started.
    Event {
        row: EventRow,
        kind: String,
        origin: Origin,
        segments: Vec<SegmentSpan>,
        commit: CommitSpan,
    },
    /// A run went on.
    Segment {
        segment: SegmentSpan,
        commit: CommitSpan,
    },
    /// A delivery was tried.
    Attempt {
        delivery: DeliveryId,
        channel: &'static str,
        outcome: &'static str,
        began: SystemTime,
        ended: SystemTime,
    },
}

/// Makes spans of what happens.
pub struct Tracer {
    told: Mutex<Option<SyncSender<Happened>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Tracer {
    /// Exports to the collector of that configuration.
    pub fn start(config: &TraceConfig, store: Arc<dyn Store>) -> Result<Tracer> {
        let processor = exporter::processor(config)?;
        let installation = store.installation()?;
        let sample = config.sample;
        let (told, heard) = sync_channel(WAITING);
        let thread = thread::Builder::new()
            .name("traces".into())
            .spawn(move || {
                let spans = spans::Spans::new(processor, store, installation, sample);
                listen(&heard, &spans);
                spans.finish(FLUSH);
            })
            .context("cannot start the thread of traces")?;
        Ok(Tracer {
            told: Mutex::new(Some(told)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Takes note of something, if there is room.
    pub fn tell(&self, happened: Happened) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = &*told
            && let Err(TrySendError::Full(_)) = told.try_send(happened)
        {
            tracing::debug!("the collector of traces is too slow: spans are left out");
        }
    }

    /// Sends what is left, for some seconds at most.
    pub fn stop(&self) {
        drop(
            self.told
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
            tracing::error!("the thread of traces ended by a panic");
        }
    }
}

fn listen(heard: &Receiver<Happened>, spans: &spans::Spans) {
    while let Ok(happened) = heard.recv() {
        if let Err(error) = spans.make(happened) {
            tracing::warn!("spans are left out: {error}");
        }
    }
}
