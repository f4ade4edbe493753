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
    fn commit_batch(&self, batch: Vec<PendingUnit>) {
        let (units, completions): (Vec<CommitUnit>, Vec<Box<dyn Completion>>) = batch
            .into_iter()
            .map(|waiting| (waiting.unit, waiting.completion))
            .unzip();
        self.clock.before_commit();
        failpoint::pass(Failpoint::BeforeCommit);
        let began = Instant::now();
        let committed = self.store.commit(&units, &*self.clock);
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::ThreadId;

    use super::*;
    use crate::run::SubmitError;
    use promoflow_model::clock::SystemClock;
    use promoflow_store::AttemptBatch;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A store whose commits end when the test lets them.
    struct SlowStore {
        commits_at_once: usize,
        began: Sender<usize>,
        ends: Mutex<Receiver<Result<(), StoreError>>>,
    }

    impl CommitStore for SlowStore {
        fn commit(
            &self,
            units: &[CommitUnit],
            _: &dyn Clock,
        ) -> Result<Vec<CommitReply>, StoreError> {
            self.began.send(units.len()).unwrap();
            lock(&self.ends).recv().unwrap()?;
            Ok(vec![CommitReply::Done; units.len()])
        }

        fn commits_at_once(&self) -> usize {
            self.commits_at_once
        }
    }

    /// Sends the reply of the store.
    struct SendReply(Sender<Result<CommitReply, CommitError>>);

    impl Completion for SendReply {
        fn complete(self: Box<Self>, committed: Committed) {
            self.0.send(committed.reply).unwrap();
        }
    }

    struct Bench {
        committer: Committer,
        began: Receiver<usize>,
        end: Sender<Result<(), StoreError>>,
        replies: Receiver<Result<CommitReply, CommitError>>,
        reply: Sender<Result<CommitReply, CommitError>>,
    }

    impl Bench {
        fn new(commits_at_once: usize) -> Bench {
            let (has_begun, began) = channel();
            let (end, ends) = channel();
            let (reply, replies) = channel();
            let store = SlowStore {
                commits_at_once,
                began: has_begun,
                ends: Mutex::new(ends),
            };
            let metrics = Arc::new(Metrics::new().unwrap());
            let clock = Arc::new(SystemClock);
            let committer =
                Committer::start(Arc::new(store), clock, metrics, Arc::default()).unwrap();
            Bench {
                committer,
                began,
                end,
                replies,
                reply,
            }
        }

        /// Submits a unit that a thread of the committer commits.
        fn submit(&self) {
            let unit = CommitUnit::Attempts(Box::<AttemptBatch>::default());
            let completion = Box::new(SendReply(self.reply.clone()));
            let reservation = self.committer.reserve();
            self.committer
                .submit_deferred(unit, reservation, completion);
        }

        fn began(&self) -> usize {
            self.began.recv_timeout(TIMEOUT).unwrap()
        }
    }

    #[test]
    fn as_many_commits_run_at_once_as_the_store_gains_from() {
        for commits_at_once in 1..=3 {
            let bench = Bench::new(commits_at_once);
            for _ in 0..commits_at_once {
                bench.submit();
                assert_eq!(bench.began(), 1);
            }
            // These share the next commit.
            bench.submit();
            bench.submit();
            let more = bench.began.recv_timeout(Duration::from_millis(50));
            assert!(more.is_err(), "{commits_at_once}");
            bench.end.send(Ok(())).unwrap();
            assert_eq!(bench.began(), 2);
            for _ in 0..commits_at_once {
                bench.end.send(Ok(())).unwrap();
            }
            for _ in 0..commits_at_once + 2 {
                let reply = bench.replies.recv_timeout(TIMEOUT).unwrap();
                assert_eq!(reply.unwrap(), CommitReply::Done);
            }
            bench.submit();
            assert_eq!(bench.began(), 1);
            bench.end.send(Ok(())).unwrap();
            bench.committer.stop();
            assert!(bench.replies.recv_timeout(TIMEOUT).unwrap().is_ok());
        }
    }

    #[test]
    fn unknown_result_of_a_commit_is_not_reported_as_a_rejection() {
        let bench = Bench::new(1);
        for (error, is_unknown) in [
            (StoreError::Unknown("connection closed".into()), true),
            (StoreError::Full, false),
        ] {
            bench.submit();
            bench.end.send(Err(error)).unwrap();
            let error = bench.replies.recv_timeout(TIMEOUT).unwrap().unwrap_err();
            let error = SubmitError::from(error);
            assert_eq!(matches!(error, SubmitError::Unknown(_)), is_unknown);
            assert_eq!(error.to_string().contains("not stored"), !is_unknown);
        }
        bench.committer.stop();
    }

    /// A store that commits at once and stores nothing.
    struct NullStore;

    impl CommitStore for NullStore {
        fn commit(
            &self,
            units: &[CommitUnit],
            _: &dyn Clock,
        ) -> Result<Vec<CommitReply>, StoreError> {
            Ok(vec![CommitReply::Done; units.len()])
        }
    }

    fn committer() -> Committer {
        let metrics = Arc::new(Metrics::new().unwrap());
        let (store, clock) = (Arc::new(NullStore), Arc::new(SystemClock));
        Committer::start(store, clock, metrics, Arc::default()).unwrap()
    }

    fn unit() -> CommitUnit {
        CommitUnit::Attempts(Box::default())
    }

    /// Sends the thread on which it was completed, and the number of units of its transaction.
    struct Report(Sender<(ThreadId, usize)>);

    impl Completion for Report {
        fn complete(self: Box<Self>, committed: Committed) {
            assert!(committed.reply.is_ok());
            let thread = thread::current().id();
            self.0.send((thread, committed.transaction.units)).unwrap();
        }
    }

    #[test]
    fn a_lone_unit_is_completed_on_the_submitters_thread() {
        let committer = committer();
        let (report, reports) = channel();
        committer.submit(unit(), None, Box::new(Report(report)));
        assert_eq!(reports.try_recv(), Ok((thread::current().id(), 1)));
    }

    #[test]
    fn other_units_are_completed_on_the_committers_thread() {
        let committer = committer();
        let (report, reports) = channel();
        // Another unit is announced, so this one is not alone.
        let other = committer.reserve();
        committer.submit(unit(), None, Box::new(Report(report.clone())));
        committer.submit_deferred(unit(), other, Box::new(Report(report)));
        let (first, second) = (reports.recv().unwrap(), reports.recv().unwrap());
        assert_eq!(first.0, second.0);
        assert_ne!(first.0, thread::current().id());
    }

    #[test]
    fn a_panic_in_a_completion_stops_neither_the_others_nor_the_committer() {
        struct Panic;
        impl Completion for Panic {
            fn complete(self: Box<Self>, _: Committed) {
                panic!("a completion fails");
            }
        }
        let committer = committer();
        let (report, reports) = channel();
        let (first, second) = (committer.reserve(), committer.reserve());
        committer.submit_deferred(unit(), first, Box::new(Panic));
        committer.submit_deferred(unit(), second, Box::new(Report(report)));
        assert!(reports.recv().is_ok());
        assert!(committer.commit(unit()).is_some());
    }

    #[test]
    fn a_stopped_committer_drops_completions() {
        let committer = committer();
        committer.stop();
        let (report, reports) = channel();
        committer.submit(unit(), None, Box::new(Report(report)));
        assert!(reports.recv().is_err());
        assert!(committer.commit(unit()).is_none());
    }
}
