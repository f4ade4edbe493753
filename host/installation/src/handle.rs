//! The handle of an installation that executes.

use std::sync::Arc;

use super::EventSender;
use super::Result;
use promoflow_engine::run::{Engine, Receipt, SubmitError};
use promoflow_model::event::CheckedEvent;
use promoflow_store::RunId;

/// An installation with running threads. Dropping it ends them: work in progress is finished first,
/// and work that is due later continues after the next start.
pub struct EngineHandle {
    pub(super) engine: Arc<Engine>,
}

impl EngineHandle {
    /// Returns a sender of events for asynchronous code.
    pub fn sender(&self) -> EventSender {
        EventSender::new(Arc::clone(&self.engine))
    }

    /// Sends an event, checking it unless it is a [`CheckedEvent`]. Returns when it is stored
    /// durably, with the runs that it started.
    pub fn send<E>(&self, event: E) -> Result<Receipt, SubmitError>
    where
        E: TryInto<CheckedEvent>,
        SubmitError: From<E::Error>,
    {
        self.engine.send(event)
    }

    /// Queues an event and returns; `answer` is called with the result on a thread of the engine,
    /// and must not block. Blocks while the queue is full.
    pub fn submit<E>(
        &self,
        event: E,
        answer: impl FnOnce(Result<Receipt, SubmitError>) + Send + 'static,
    ) where
        E: TryInto<CheckedEvent>,
        SubmitError: From<E::Error>,
    {
        self.engine.submit(event, answer);
    }

    /// Like [`submit`](Self::submit), but never blocks, for callers that bound the number of events
    /// in flight.
    pub fn submit_unbounded<E>(
        &self,
        event: E,
        answer: impl FnOnce(Result<Receipt, SubmitError>) + Send + 'static,
    ) where
        E: TryInto<CheckedEvent>,
        SubmitError: From<E::Error>,
    {
        self.engine.submit_unbounded(event, answer);
    }

    /// Waits until no run of these can continue now, and none of their deliveries is due.
    pub fn wait_idle(&self, runs: &[RunId]) -> Result<()> {
        Ok(self.engine.wait_idle(runs)?)
    }

    /// Waits until nothing in the whole database can continue now.
    pub fn wait_all_idle(&self) -> Result<()> {
        Ok(self.engine.wait_all_idle()?)
    }

    /// Evaluates the alerts; returns once the events of those that are raised are stored. Does
    /// nothing if no rule is configured or another process executes.
    pub fn evaluate_alerts(&self) {
        self.engine.evaluate_alerts();
    }

    /// Returns true if this process is the one that executes.
    pub fn is_executor(&self) -> bool {
        self.engine.is_executor()
    }

    /// Returns true if the executing process is known. It is unknown if the lock next to the
    /// database cannot be checked: possibly no process executes.
    pub fn is_executor_known(&self) -> bool {
        self.engine.is_executor_known()
    }

    /// Stops the threads like [`stop`](Self::stop), for shared handles; later events are rejected.
    pub fn shut_down(&self) {
        self.engine.stop();
    }

    /// Stops the threads after they finish the work in progress.
    pub fn stop(self) {
        self.engine.stop();
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        // Senders may still exist.
        self.engine.stop();
    }
}
