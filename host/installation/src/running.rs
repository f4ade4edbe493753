//! An installation that executes.

use anyhow::Result;

use promoflow_engine::run::{Engine, Receipt, SendError};
use promoflow_model::event::Event;
use promoflow_store::RunId;

/// An installation whose threads run. They end when this is dropped; what is under way is
/// finished first, and what is due later goes on with the next start.
pub struct Running {
    pub(super) engine: Engine,
}

impl Running {
    /// Sends an event: returns when it is stored durably, with the runs that it started.
    pub fn send(&self, event: Event) -> Result<Receipt, SendError> {
        self.engine.send(event)
    }

    /// Hands in an event and goes on; `answer` is told what became of it, on a thread of the
    /// engine, and must not block. Waits where too many wait already.
    pub fn submit(
        &self,
        event: Event,
        answer: impl FnOnce(Result<Receipt, SendError>) + Send + 'static,
    ) {
        self.engine.submit(event, answer);
    }

    /// The same without waiting, for who bounds how many are on their way.
    pub fn submit_at_once(
        &self,
        event: Event,
        answer: impl FnOnce(Result<Receipt, SendError>) + Send + 'static,
    ) {
        self.engine.submit_at_once(event, answer);
    }

    /// Waits until these runs rest: none may go on now, and no delivery is due.
    pub fn rest(&self, runs: &[RunId]) -> Result<()> {
        Ok(self.engine.rest(runs)?)
    }

    /// Waits until nothing of the whole database may go on now.
    pub fn rest_all(&self) -> Result<()> {
        Ok(self.engine.rest_all()?)
    }

    /// Has the alerts judged, and returns once the events of those that are raised are stored. Does
    /// nothing where none are watched, or another process executes.
    pub fn judge_alerts(&self) {
        self.engine.judge_alerts();
    }

    /// Whether this process is the one that executes.
    pub fn executes(&self) -> bool {
        self.engine.executes()
    }

    /// Whether it is known which process executes. It is not where the lock beside the database
    /// cannot be asked: nobody may be executing then.
    pub fn knows_executor(&self) -> bool {
        self.engine.knows_executor()
    }

    /// The same for those who share it: events that come later are refused.
    pub fn finish(&self) {
        self.engine.stop();
    }

    /// Ends the threads after what is under way.
    pub fn stop(self) {
        self.engine.stop();
    }
}
