//! The committer: one thread that drains what waits into one transaction (group commit).
//!
//! A durable commit costs a write to the disk, and a page that many units change is written once
//! for all of them; so everything that waits when a commit begins shares it. While more is known
//! to be on its way it waits a moment for that as well. A unit that is alone is committed by the
//! thread that hands it in: a single client waits for no other thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use promoflow_model::clock::Clock;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_store::{Reply, Store, StoreError, Unit};

/// Units that wait before those who hand in more are held up. Enough for a few full commits.
const WAITING: usize = 4_096;
/// Units in one transaction. More gains little (the disk is a small part by then) and makes
/// those at its front wait.
const LARGEST_BATCH: usize = 1_024;
/// How long a commit waits for units that are on their way.
const LINGER: Duration = Duration::from_millis(10);
/// A pause after a commit that failed as a whole: a full disk is not asked again at once.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Why a unit was not committed, shared by all units of the batch.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CommitError(pub Arc<StoreError>);

/// Told what became of a unit, on the thread that committed it: it must not block.
type Done = Box<dyn FnOnce(Result<Reply, CommitError>, Unit) + Send>;

struct Waiting {
    unit: Unit,
    done: Done,
}

/// Commits units together.
pub struct Committer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where units are handed in.
struct Desk {
    state: Mutex<State>,
    /// Wakes the committer.
    filled: Condvar,
    /// Wakes those who wait for room.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// Units that were announced and are not handed in yet.
    coming: usize,
    /// The committer waits for the first unit, or for those that are coming.
    idle: bool,
    lingers: bool,
    /// Somebody commits: the committer, or the thread of a unit that is alone.
    committing: bool,
    closed: bool,
}

impl State {
    /// Whether a commit that lingers has what it waits for.
    fn complete(&self) -> bool {
        self.coming == 0 || self.waiting.len() >= LARGEST_BATCH || self.closed
    }

    /// Whether there is nothing to share a commit with for who has announced so many.
    fn alone(&self, announced: usize) -> bool {
        !self.committing && !self.closed && self.waiting.is_empty() && self.coming == announced
    }
}

/// That a unit is on its way. Dropped with it, or without it.
pub struct Announced(Arc<Desk>);

impl Drop for Announced {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.coming -= 1;
        self.0.wake(&state);
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, state: &State) {
        let begins = state.idle && !state.waiting.is_empty() && !state.committing;
        if begins || (state.lingers && state.complete()) {
            self.filled.notify_one();
        }
    }

    /// Ends the commit of who set `committing`.
    fn committed(&self) {
        let mut state = self.state();
        state.committing = false;
        self.wake(&state);
        if state.closed {
            self.filled.notify_all();
        }
    }

    /// The next batch; empty once closed and drained.
    fn next(&self) -> Vec<Waiting> {
        let mut state = self.state();
        while state.committing || (state.waiting.is_empty() && !state.closed) {
            state.idle = true;
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        let until = Instant::now() + LINGER;
        state.lingers = true;
        while !state.complete() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.lingers = false;
        let batch = state.waiting.len().min(LARGEST_BATCH);
        let rest = state.waiting.split_off(batch);
        let batch = std::mem::replace(&mut state.waiting, rest);
        state.committing = !batch.is_empty();
        self.drained.notify_all();
        batch
    }
}

impl Committer {
    /// Starts the thread.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Committer> {
        let desk = Arc::new(Desk {
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let of_thread = (
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            Arc::clone(&desk),
        );
        let thread = thread::Builder::new()
            .name("committer".into())
            .spawn(move || commit_all(&*of_thread.0, &*of_thread.1, &of_thread.2, &of_thread.3))?;
        Ok(Committer {
            store,
            clock,
            metrics,
            desk,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Says that a unit is on its way: a commit that could begin waits for it a moment.
    pub fn announce(&self) -> Announced {
        self.desk.state().coming += 1;
        Announced(Arc::clone(&self.desk))
    }

    /// Hands in a unit; waits where too many wait already, and for the commit where nothing else
    /// is to be committed. After the committer was stopped the unit is dropped with its `done`.
    pub fn hand_in(
        &self,
        unit: Unit,
        announced: Option<Announced>,
        done: impl FnOnce(Result<Reply, CommitError>, Unit) + Send + 'static,
    ) {
        let desk = &self.desk;
        let mut state = desk.state();
        if state.alone(usize::from(announced.is_some())) {
            state.committing = true;
            drop(state);
            let done = Box::new(done);
            let alone = vec![Waiting { unit, done }];
            commit_batch(&*self.store, &*self.clock, &self.metrics, alone);
            desk.committed();
            return;
        }
        self.put(state, unit, announced, Box::new(done));
    }

    /// Hands in a unit for a thread that must not wait for a disk: the committer's thread commits
    /// it, also where it is alone. Otherwise as [`hand_in`](Committer::hand_in).
    pub fn hand_over(
        &self,
        unit: Unit,
        announced: Announced,
        done: impl FnOnce(Result<Reply, CommitError>, Unit) + Send + 'static,
    ) {
        self.put(self.desk.state(), unit, Some(announced), Box::new(done));
    }

    fn put(
        &self,
        mut state: MutexGuard<'_, State>,
        unit: Unit,
        announced: Option<Announced>,
        done: Done,
    ) {
        let desk = &self.desk;
        while state.waiting.len() >= WAITING && !state.closed {
            state = desk
                .drained
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closed {
            state.waiting.push(Waiting { unit, done });
            desk.wake(&state);
        }
        drop(state);
        drop(announced);
    }

    /// Hands in a unit and waits for its commit; `None` after the committer was stopped.
    pub fn commit(&self, unit: Unit) -> Option<Result<Reply, CommitError>> {
        let (answer, answered) = std::sync::mpsc::channel();
        self.hand_in(unit, None, move |reply, _| {
            // Nobody waits any more: the unit stands all the same.
            let _gone = answer.send(reply);
        });
        answered.recv().ok()
    }

    /// How many units wait.
    pub fn waiting(&self) -> usize {
        self.desk.state().waiting.len()
    }

    /// Commits what waits, then ends the thread.
    pub fn stop(&self) {
        self.desk.state().closed = true;
        self.desk.filled.notify_all();
        self.desk.drained.notify_all();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the committer ended by a panic");
        }
    }
}

fn commit_all(store: &dyn Store, clock: &dyn Clock, metrics: &Metrics, desk: &Desk) {
    loop {
        let batch = desk.next();
        if batch.is_empty() {
            return;
        }
        commit_batch(store, clock, metrics, batch);
        desk.committed();
    }
}

/// Whoever panics when told ends neither the thread nor what the others are told.
fn tell(done: Done, reply: Result<Reply, CommitError>, unit: Unit) {
    if catch_unwind(AssertUnwindSafe(|| done(reply, unit))).is_err() {
        tracing::error!("who was told of a commit panicked");
    }
}

fn commit_batch(store: &dyn Store, clock: &dyn Clock, metrics: &Metrics, batch: Vec<Waiting>) {
    let (units, dones): (Vec<Unit>, Vec<Done>) = batch
        .into_iter()
        .map(|waiting| (waiting.unit, waiting.done))
        .unzip();
    clock.before_commit();
    failpoint::pass(Failpoint::BeforeCommit);
    let began = Instant::now();
    match store.commit(&units, clock) {
        Ok(replies) => {
            failpoint::pass(Failpoint::AfterCommit);
            metrics.commits.committed(units.len(), began.elapsed());
            for ((unit, done), reply) in units.into_iter().zip(dones).zip(replies) {
                tell(done, Ok(reply), unit);
            }
        }
        Err(error) => {
            metrics.commits.failed();
            tracing::error!(units = units.len(), "nothing was committed: {error}");
            let error = CommitError(Arc::new(error));
            for (unit, done) in units.into_iter().zip(dones) {
                tell(done, Err(error.clone()), unit);
            }
            thread::sleep(AFTER_FAILURE);
        }
    }
}
