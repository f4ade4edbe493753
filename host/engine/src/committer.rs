//! The committer: one thread that commits all waiting units in one transaction (group commit).
//!
//! A durable commit costs a write to disk, and a page that many units change is written only once
//! for all of them. So everything that is waiting when a commit begins shares it. If more units are
//! announced, the commit waits a moment for those too. A unit that is alone is committed by the
//! thread that submits it, so a single client never waits for another thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use crate::observer::Observers;
use promoflow_model::clock::Clock;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_store::{CommitReply, CommitUnit, Store, StoreError};

/// Maximum number of waiting units; further submitters block. Enough for a few full commits.
const MAX_WAITING: usize = 4_096;
/// Maximum number of units in one transaction. More gains little (the disk is a small part of the
/// cost by then) and delays the first units of the batch.
const MAX_BATCH_UNITS: usize = 1_024;
/// The maximum time a commit waits for announced units.
const MAX_LINGER: Duration = Duration::from_millis(10);
/// The pause after a failed commit, so that a full disk is not retried at once.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// The reason why a unit was not committed, shared by all units of the batch.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CommitError(pub Arc<StoreError>);

/// Callback with the result of a unit, on the thread that committed it. It must not block.
type Callback = Box<dyn FnOnce(Result<CommitReply, CommitError>, CommitUnit) + Send>;

struct PendingUnit {
    unit: CommitUnit,
    done: Callback,
}

/// Commits units in groups.
pub struct Committer {
    context: Arc<CommitContext>,
    queue: Arc<CommitQueue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a commit uses.
struct CommitContext {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    observers: Arc<Observers>,
}

/// The queue of submitted units.
struct CommitQueue {
    state: Mutex<State>,
    /// Wakes the committer.
    filled: Condvar,
    /// Wakes submitters that wait for room.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<PendingUnit>,
    /// Number of units that are announced and not submitted yet.
    reserved: usize,
    /// The committer is waiting for a first unit. `is_lingering`: it is waiting for announced units.
    is_idle: bool,
    is_lingering: bool,
    /// A commit is in progress, by the committer or by the submitter of a lone unit.
    is_committing: bool,
    is_closed: bool,
}

impl State {
    /// Returns true if a lingering commit need not wait any longer.
    fn is_complete(&self) -> bool {
        self.reserved == 0 || self.waiting.len() >= MAX_BATCH_UNITS || self.is_closed
    }

    /// Returns true if a submitter with `own` reserved units has nothing to share a commit
    /// with.
    fn is_sole(&self, own: usize) -> bool {
        !self.is_committing && !self.is_closed && self.waiting.is_empty() && self.reserved == own
    }
}

/// Announces a unit that is about to be submitted. Dropped with or without submitting it.
pub struct Reservation(Arc<CommitQueue>);

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.reserved -= 1;
        self.0.wake(&state);
    }
}

impl CommitQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, state: &State) {
        let begins = state.is_idle && !state.waiting.is_empty() && !state.is_committing;
        if begins || (state.is_lingering && state.is_complete()) {
            self.filled.notify_one();
        }
    }

    /// Ends a commit, for the thread that set `is_committing`.
    fn end_commit(&self) {
        let mut state = self.state();
        state.is_committing = false;
        self.wake(&state);
        if state.is_closed {
            self.filled.notify_all();
        }
    }

    /// Returns the next batch, or an empty one once the queue is closed and drained.
    fn next_batch(&self) -> Vec<PendingUnit> {
        let mut state = self.state();
        while state.is_committing || (state.waiting.is_empty() && !state.is_closed) {
            state.is_idle = true;
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.is_idle = false;
        let until = Instant::now() + MAX_LINGER;
        state.is_lingering = true;
        while !state.is_complete() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_lingering = false;
        let batch = state.waiting.len().min(MAX_BATCH_UNITS);
        let rest = state.waiting.split_off(batch);
        let batch = std::mem::replace(&mut state.waiting, rest);
        state.is_committing = !batch.is_empty();
        self.drained.notify_all();
        batch
    }
}

impl Committer {
    /// Starts the committer's thread.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        observers: Arc<Observers>,
    ) -> std::io::Result<Committer> {
        let queue = Arc::new(CommitQueue {
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let context = Arc::new(CommitContext {
            store,
            clock,
            metrics,
            observers,
        });
        let for_thread = (Arc::clone(&context), Arc::clone(&queue));
        let thread = thread::Builder::new()
            .name("committer".into())
            .spawn(move || run_committer(&for_thread.0, &for_thread.1))?;
        Ok(Committer {
            context,
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Announces a unit, so that a commit that could begin waits for it for a moment.
    pub fn reserve(&self) -> Reservation {
        self.queue.state().reserved += 1;
        Reservation(Arc::clone(&self.queue))
    }

    /// Submits a unit. Blocks while too many units are waiting and, if there is nothing else to
    /// commit, until the commit ends. Once the committer is stopped, drops the unit and its `done`
    /// callback.
    pub fn submit(
        &self,
        unit: CommitUnit,
        reservation: Option<Reservation>,
        done: impl FnOnce(Result<CommitReply, CommitError>, CommitUnit) + Send + 'static,
    ) {
        let queue = &self.queue;
        let mut state = queue.state();
        if state.is_sole(usize::from(reservation.is_some())) {
            state.is_committing = true;
            drop(state);
            let done = Box::new(done);
            let batch = vec![PendingUnit { unit, done }];
            self.context.commit_batch(batch);
            queue.end_commit();
            return;
        }
        self.enqueue(state, unit, reservation, Box::new(done));
    }

    /// Submits a unit from a thread that must not wait for a disk: the committer's thread always
    /// commits it. Otherwise the same as [`submit`](Committer::submit).
    pub fn submit_deferred(
        &self,
        unit: CommitUnit,
        reservation: Reservation,
        done: impl FnOnce(Result<CommitReply, CommitError>, CommitUnit) + Send + 'static,
    ) {
        self.enqueue(self.queue.state(), unit, Some(reservation), Box::new(done));
    }

    fn enqueue(
        &self,
        mut state: MutexGuard<'_, State>,
        unit: CommitUnit,
        reservation: Option<Reservation>,
        done: Callback,
    ) {
        let queue = &self.queue;
        while state.waiting.len() >= MAX_WAITING && !state.is_closed {
            state = queue
                .drained
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_closed {
            state.waiting.push(PendingUnit { unit, done });
            queue.wake(&state);
        }
        drop(state);
        drop(reservation);
    }

    /// Submits a unit and waits for its commit; `None` if the committer was stopped.
    pub fn commit(&self, unit: CommitUnit) -> Option<Result<CommitReply, CommitError>> {
        let (answer, answered) = std::sync::mpsc::channel();
        self.submit(unit, None, move |reply, _| {
            // The receiver may be gone; the unit is committed all the same.
            let _gone = answer.send(reply);
        });
        answered.recv().ok()
    }

    /// Returns the number of waiting units.
    pub fn waiting(&self) -> usize {
        self.queue.state().waiting.len()
    }

    /// Commits the waiting units, then ends the thread.
    pub fn stop(&self) {
        self.queue.state().is_closed = true;
        self.queue.filled.notify_all();
        self.queue.drained.notify_all();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the committer panicked");
        }
    }
}

fn run_committer(context: &CommitContext, queue: &CommitQueue) {
    loop {
        let batch = queue.next_batch();
        if batch.is_empty() {
            return;
        }
        context.commit_batch(batch);
        queue.end_commit();
    }
}

/// Runs a callback. A panic in it ends neither the thread nor the other callbacks.
fn notify(done: Callback, reply: Result<CommitReply, CommitError>, unit: CommitUnit) {
    if catch_unwind(AssertUnwindSafe(|| done(reply, unit))).is_err() {
        tracing::error!("commit callback panicked");
    }
}

impl CommitContext {
    fn commit_batch(&self, batch: Vec<PendingUnit>) {
        let (units, callbacks): (Vec<CommitUnit>, Vec<Callback>) = batch
            .into_iter()
            .map(|waiting| (waiting.unit, waiting.done))
            .unzip();
        self.clock.before_commit();
        failpoint::pass(Failpoint::BeforeCommit);
        let began = Instant::now();
        match self.store.commit(&units, &*self.clock) {
            Ok(replies) => {
                failpoint::pass(Failpoint::AfterCommit);
                self.metrics.commits.record(units.len(), began.elapsed());
                for ((unit, done), reply) in units.into_iter().zip(callbacks).zip(replies) {
                    self.observers.committed(&unit, &reply);
                    notify(done, Ok(reply), unit);
                }
            }
            Err(error) => {
                self.metrics.commits.record_failure();
                tracing::error!(
                    units = units.len(),
                    "commit failed, nothing was stored: {error}"
                );
                let error = CommitError(Arc::new(error));
                for (unit, done) in units.into_iter().zip(callbacks) {
                    notify(done, Err(error.clone()), unit);
                }
                thread::sleep(FAILURE_PAUSE);
            }
        }
    }
}
