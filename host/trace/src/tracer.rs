//! The thread that creates spans from records.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{TraceError, TraceRecord, exporter, spans};
use promoflow_config::TraceConfig;
use promoflow_store::Store;

/// Maximum number of queued records; further ones are dropped.
const MAX_QUEUED: usize = 8_192;
/// Maximum time for exporting the last spans on shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Creates spans from records.
pub struct Tracer {
    sender: Mutex<Option<SyncSender<TraceRecord>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Tracer {
    /// Starts the export to the collector of that configuration.
    pub fn start(config: &TraceConfig, store: Arc<dyn Store>) -> Result<Tracer, TraceError> {
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
            .map_err(TraceError::Thread)?;
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
