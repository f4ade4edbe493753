//! The committer: a thread that commits all waiting units in one transaction (group commit), or
//! several if the store gains from several commits at once.
//!
//! A durable commit costs a write to disk, and a page that many units change is written only once
//! for all of them. So everything that is waiting when a commit begins shares it. If more units are
//! announced, the commit waits a moment for those too. A unit that is alone is committed by the
//! thread that submits it, so a single client never waits for another thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use crate::observer::Observers;
use crate::sync::lock;
use promoflow_model::clock::Clock;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_store::{CommitReply, CommitStore, CommitUnit, StoreError};

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

/// A unit after its transaction.
pub struct Committed {
    /// The unit, as it was submitted.
    pub unit: CommitUnit,
    /// The reply of the store, or the error of the whole transaction.
    pub reply: Result<CommitReply, CommitError>,
    /// The transaction, which other units may share.
    pub transaction: Transaction,
}

/// A transaction of the committer.
#[derive(Clone, Copy, Debug)]
pub struct Transaction {
    /// The number of units in it.
    pub units: usize,
    /// Its beginning.
    pub began: Instant,
    /// Its duration.
    pub duration: Duration,
}

/// What follows the transaction of a unit.
///
/// [`complete`](Self::complete) is called once, on the thread that committed the unit: usually one
/// of the committer's, but the submitter's own, within [`Committer::submit`], if no other unit was
/// waiting. That thread commits nothing else before it returns, so it must not block, and must not
/// submit a unit itself. It is dropped without a call if the committer stops first.
pub trait Completion: Send {
    /// Continues after the transaction, successful or not.
    fn complete(self: Box<Self>, committed: Committed);
}

/// Passes the unit to a thread that waits for it.
struct WakeWaiter(SyncSender<Committed>);

impl Completion for WakeWaiter {
    fn complete(self: Box<Self>, committed: Committed) {
        // The channel has room for it. The receiver may be gone; the unit is committed all the
        // same.
        let _gone = self.0.try_send(committed);
    }
}

struct PendingUnit {
    unit: CommitUnit,
    completion: Box<dyn Completion>,
}

/// Commits units in groups.
pub struct Committer {
    context: Arc<CommitContext>,
    queue: Arc<CommitQueue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a commit uses.
struct CommitContext {
    store: Arc<dyn CommitStore>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    observers: Arc<Observers>,
}

/// The queue of submitted units.
struct CommitQueue {
    state: Mutex<State>,
    /// Maximum number of commits at a time.
    commits_at_once: usize,
    /// Wakes an idle committer thread.
    filled: Condvar,
    /// Wakes the committer thread that waits for announced units.
    complete: Condvar,
    /// Wakes submitters that wait for room.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<PendingUnit>,
    /// Number of units that are announced and not submitted yet.
    reserved: usize,
    /// Number of committer threads that wait for a first unit.
    idle: usize,
    /// A committer thread is waiting for announced units, which join its batch.
    is_lingering: bool,
    /// Number of commits in progress, by committer threads or by submitters of lone units.
    commits: usize,
    is_closed: bool,
}

impl State {
    /// Returns true if a lingering commit need not wait any longer.
    fn is_complete(&self) -> bool {
        self.reserved == 0 || self.waiting.len() >= MAX_BATCH_UNITS || self.is_closed
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

    /// Returns true if a submitter with `own` reserved units has nothing to share a commit with.
    fn is_sole(&self, state: &State, own: usize) -> bool {
        self.has_room(state)
            && !state.is_closed
            && state.waiting.is_empty()
            && state.reserved == own
    }

    /// Returns true if another commit may begin.
    fn has_room(&self, state: &State) -> bool {
        state.commits < self.commits_at_once
    }

    /// Wakes the committer thread that has something to do.
    fn wake(&self, state: &State) {
        if state.is_lingering {
            if state.is_complete() {
                self.complete.notify_one();
            }
        } else if state.is_closed {
            self.filled.notify_all();
        } else if state.idle > 0 && !state.waiting.is_empty() && self.has_room(state) {
            self.filled.notify_one();
        }
    }

    /// Ends a commit, for the thread that counted it.
    fn end_commit(&self) {
        let mut state = self.state();
        state.commits -= 1;
        self.wake(&state);
    }

    /// Returns the next batch, or an empty one once the queue is closed and drained.
    fn next_batch(&self) -> Vec<PendingUnit> {
        let mut state = self.state();
        while state.is_lingering
            || !self.has_room(&state)
            || (state.waiting.is_empty() && !state.is_closed)
        {
            state.idle += 1;
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        let until = Instant::now() + MAX_LINGER;
        state.is_lingering = true;
        while !state.is_complete() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.complete.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_lingering = false;
        let batch = state.waiting.len().min(MAX_BATCH_UNITS);
        let rest = state.waiting.split_off(batch);
        let batch = std::mem::replace(&mut state.waiting, rest);
        state.commits += usize::from(!batch.is_empty());
        self.wake(&state);
        self.drained.notify_all();
        batch
    }
}

impl Committer {
    /// Starts the committer's threads.
    pub fn start(
        store: Arc<dyn CommitStore>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        observers: Arc<Observers>,
    ) -> std::io::Result<Committer> {
        let queue = Arc::new(CommitQueue {
            state: Mutex::default(),
            commits_at_once: store.commits_at_once().max(1),
            filled: Condvar::new(),
            complete: Condvar::new(),
            drained: Condvar::new(),
        });
        let context = Arc::new(CommitContext {
            store,
            clock,
            metrics,
            observers,
        });
        let committer = Committer {
            context,
            queue,
            threads: Mutex::default(),
        };
        for _ in 0..committer.queue.commits_at_once {
            let (context, queue) = (Arc::clone(&committer.context), Arc::clone(&committer.queue));
            let thread = thread::Builder::new()
                .name("committer".into())
                .spawn(move || run_committer(&context, &queue))?;
            lock(&committer.threads).push(thread);
        }
        Ok(committer)
    }

    /// Announces a unit, so that a commit that could begin waits for it for a moment.
    pub fn reserve(&self) -> Reservation {
        self.queue.state().reserved += 1;
        Reservation(Arc::clone(&self.queue))
    }

    /// Submits a unit. Blocks while too many units are waiting and, if there is nothing else to
    /// commit, until this thread has committed it and run its completion. Once the committer is
    /// stopped, drops the unit and its completion.
    pub fn submit(
        &self,
        unit: CommitUnit,
        reservation: Option<Reservation>,
        completion: Box<dyn Completion>,
    ) {
        let queue = &self.queue;
        let mut state = queue.state();
        if queue.is_sole(&state, usize::from(reservation.is_some())) {
            state.commits += 1;
            drop(state);
            let batch = vec![PendingUnit { unit, completion }];
            self.context.commit_batch(batch);
            queue.end_commit();
            return;
        }
        self.enqueue(state, unit, reservation, completion);
    }

    /// Submits a unit from a thread that must not wait for a disk: a thread of the committer always
    /// commits it. Otherwise the same as [`submit`](Committer::submit).
    pub fn submit_deferred(
        &self,
        unit: CommitUnit,
        reservation: Reservation,
        completion: Box<dyn Completion>,
    ) {
        self.enqueue(self.queue.state(), unit, Some(reservation), completion);
    }

    fn enqueue(
        &self,
        mut state: MutexGuard<'_, State>,
        unit: CommitUnit,
        reservation: Option<Reservation>,
        completion: Box<dyn Completion>,
    ) {
        let queue = &self.queue;
        while state.waiting.len() >= MAX_WAITING && !state.is_closed {
            state = queue
                .drained
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_closed {
            state.waiting.push(PendingUnit { unit, completion });
            queue.wake(&state);
        }
        drop(state);
        drop(reservation);
    }

    /// Submits a unit and blocks until it is committed; `None` if the committer was stopped.
    pub fn commit(&self, unit: CommitUnit) -> Option<Committed> {
        let (waiter, woken) = sync_channel(1);
        self.submit(unit, None, Box::new(WakeWaiter(waiter)));
        woken.recv().ok()
    }

    /// Returns the number of waiting units.
    pub fn waiting(&self) -> usize {
        self.queue.state().waiting.len()
    }

    /// Commits the waiting units, then ends the threads.
    pub fn stop(&self) {
        let mut state = self.queue.state();
        state.is_closed = true;
        self.queue.wake(&state);
        drop(state);
        self.queue.drained.notify_all();
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("the committer panicked");
            }
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

/// Runs a completion. A panic in it ends neither the thread nor the other completions.
fn complete(completion: Box<dyn Completion>, committed: Committed) {
    if catch_unwind(AssertUnwindSafe(|| completion.complete(committed))).is_err() {
        tracing::error!("commit completion panicked");
    }
}

impl CommitContext {
    /// Commits these units. A panic is an error of the commit: it must not end the thread, since no
    /// other commit could begin and no completion would run.
    fn commit(&self, units: &[CommitUnit]) -> Result<Vec<CommitReply>, StoreError> {
        let commit = AssertUnwindSafe(|| {
            self.clock.before_commit();
            failpoint::pass(Failpoint::BeforeCommit);
            self.store.commit(units, &*self.clock)
        });
        catch_unwind(commit)
            .unwrap_or_else(|_| Err(StoreError::Unknown("the store panicked".into())))
    }

    fn commit_batch(&self, batch: Vec<PendingUnit>) {
        let (units, completions): (Vec<CommitUnit>, Vec<Box<dyn Completion>>) = batch
            .into_iter()
            .map(|waiting| (waiting.unit, waiting.completion))
            .unzip();
        let began = Instant::now();
        let committed = self.commit(&units);
        let transaction = Transaction {
            units: units.len(),
            began,
            duration: began.elapsed(),
        };
        let pending = units.into_iter().zip(completions);
        match committed {
            Ok(replies) => {
                failpoint::pass(Failpoint::AfterCommit);
                let Transaction {
                    units, duration, ..
                } = transaction;
                self.metrics.commits.record(units, duration);
                for ((unit, completion), reply) in pending.zip(replies) {
                    self.observers.committed(&unit, &reply);
                    let committed = Committed {
                        unit,
                        reply: Ok(reply),
                        transaction,
                    };
                    complete(completion, committed);
                }
            }
            Err(error) => {
                self.metrics.commits.record_failure();
                match &error {
                    StoreError::Unknown(_) => {
                        tracing::error!(units = transaction.units, "commit failed: {error}");
                    }
                    _ => tracing::error!(
                        units = transaction.units,
                        "commit failed, nothing was stored: {error}"
                    ),
                }
                let error = CommitError(Arc::new(error));
                for (unit, completion) in pending {
                    let committed = Committed {
                        unit,
                        reply: Err(error.clone()),
                        transaction,
                    };
                    complete(completion, committed);
                }
                thread::sleep(FAILURE_PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests;
