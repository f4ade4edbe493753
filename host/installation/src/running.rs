//! The handle of an installation that executes.

use anyhow::Result;

use promoflow_engine::run::{Engine, Receipt, SendError};
use promoflow_model::event::Event;
use promoflow_store::RunId;

/// An installation with running threads. Dropping it ends them: work in progress is finished first,
/// and work that is due later continues after the next start.
pub struct Running {
    pub(super) engine: Engine,
}

impl Running {
    /// Sends an event; returns when it is stored durably, with the runs that it started.
    pub fn send(&self, event: Event) -> Result<Receipt, SendError> {
        self.engine.send(event)
    }

    /// Queues an event and returns; `answer` is called with the result on a thread of the engine,
    /// and must not block. Blocks while the queue is full.
    pub fn submit(
        &self,
        event: Event,
        answer: impl FnOnce(Result<Receipt, SendError>) + Send + 'static,
    ) {
        self.engine.submit(event, answer);
    }

    /// Like [`submit`](Self::submit), but never blocks, for callers that bound the number of events
    /// in flight.
    pub fn submit_at_once(
        &self,
        event: Event,
        answer: impl FnOnce(Result<Receipt, SendError>) + Send + 'static,
    ) {
        self.engine.submit_at_once(event, answer);
    }

    /// Waits until no run of these can continue now, and none of their deliveries is due.
    pub fn rest(&self, runs: &[RunId]) -> Result<()> {
        Ok(self.engine.rest(runs)?)
    }

    /// Waits until nothing in the whole database can continue now.
    pub fn rest_all(&self) -> Result<()> {
        Ok(self.engine.rest_all()?)
    }

    /// Evaluates the alerts; returns once the events of those that are raised are stored. Does
    /// nothing if no rule is configured or another process executes.
    pub fn judge_alerts(&self) {
        self.engine.judge_alerts();
    }

    /// Returns true if this process is the one that executes.
    pub fn executes(&self) -> bool {
        self.engine.executes()
    }

    /// Returns true if the executing process is known. It is unknown if the lock next to the
    /// database cannot be checked: possibly no process executes.
    pub fn knows_executor(&self) -> bool {
        self.engine.knows_executor()
    }

    /// Stops the threads like [`stop`](Self::stop), for shared handles; later events are rejected.
    pub fn finish(&self) {
        self.engine.stop();
    }

    /// Stops the threads after they finish the work in progress.
    pub fn stop(self) {
        self.engine.stop();
    }
}
