//! Sends events from asynchronous code.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use promoflow_engine::run::{Engine, Receipt, SubmitError};
use promoflow_model::event::Event;

/// Sends events without blocking the calling thread, in any asynchronous runtime or none. Clones
/// are cheap, and each may be used from any thread. After the [`EngineHandle`](crate::EngineHandle)
/// is dropped, events are rejected.
#[derive(Clone)]
pub struct EventSender {
    engine: Arc<Engine>,
}

impl EventSender {
    pub(super) fn new(engine: Arc<Engine>) -> EventSender {
        EventSender { engine }
    }

    /// Sends an event; returns when it is stored durably, with the runs that it started.
    pub async fn send(&self, event: Event) -> Result<Receipt, SubmitError> {
        self.submit(event).await
    }

    /// Queues an event at once, and returns a future of the result. Dropping the future does not
    /// withdraw the event. The queue is unbounded: limit how many events are in flight.
    pub fn submit(&self, event: Event) -> Submission {
        let (sender, receiver) = oneshot::async_channel();
        self.engine.submit_unbounded(event, move |receipt| {
            // Nobody may be waiting; the event is stored all the same.
            let _gone = sender.send(receipt);
        });
        Submission(receiver)
    }
}

/// The result of an event that was submitted, as a future.
#[must_use = "the event may be rejected"]
pub struct Submission(oneshot::AsyncReceiver<Result<Receipt, SubmitError>>);

impl Future for Submission {
    type Output = Result<Receipt, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let received = Pin::new(&mut self.0).poll(context);
        received.map(|receipt| receipt.unwrap_or(Err(STOPPED)))
    }
}

/// The result of an event that was queued when the engine stopped.
const STOPPED: SubmitError = SubmitError::Unavailable("the engine was stopped");
