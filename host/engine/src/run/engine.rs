//! The engine: the threads of a process, and the way of an event through them.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::configuration::Configurations;
use super::job_queue::JobQueue;
use super::leases::Leases;
use super::segment::Surroundings;
use super::trap_watch::TrapWatch;
use super::watch::{Watch, WatchEnd};
use super::worker::Task;
use crate::committer::{CommitError, Committer};
use crate::metrics::Metrics;
use crate::outbox::Dispatcher;
use promoflow_block_host::Sandboxes;
use promoflow_model::alert;
use promoflow_model::alert::Rules;
use promoflow_model::clock::Clock;
use promoflow_model::event::{Event, EventError};
use promoflow_store::{ExecutorLock, RunId, Store, StoreError};
use promoflow_trace::Tracer;

/// How long what is executed has to come to its end when the engine stops; what has not is
/// interrupted, and goes on in the next process.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How often the scout looks whether another process has committed. A look costs microseconds.
pub(super) const LOOK: Duration = Duration::from_millis(4);
/// After so many answers that something has changed meanwhile, an event is refused as busy: only
/// a writer that never pauses gets there.
pub(super) const MOST_TRIES: u32 = 100;

/// What an engine is made of.
pub struct EngineParts {
    /// Where state lives.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where blocks run.
    pub sandboxes: Arc<Sandboxes>,
    /// Workflows and messages.
    pub configurations: Arc<Configurations>,
    /// The one committer of the process.
    pub committer: Arc<Committer>,
    /// Who delivers, if this process does.
    pub dispatcher: Option<Arc<Dispatcher>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The database's file, beside which the executor lock stands; `None`: this process alone
    /// uses the database.
    pub database: Option<PathBuf>,
    /// Who makes spans of what happens, where traces are exported.
    pub tracer: Option<Arc<Tracer>>,
    /// What of the pool is watched.
    pub alerts: Rules,
    /// Threads that execute.
    pub workers: usize,
}

/// That an event was accepted: it is stored, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id, or its number where it has none.
    pub event: String,
    /// Whether the same event had been accepted before.
    pub duplicate: bool,
    /// The runs that it started.
    pub runs: Vec<RunId>,
}

/// Why an event was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The event is wrong.
    #[error(transparent)]
    Invalid(#[from] EventError),
    /// Another event has its id.
    #[error("id: an event with id `{0}` and another content was accepted before")]
    Conflict(String),
    /// A workflow that it starts cannot run.
    #[error("{0:#}")]
    Configuration(anyhow::Error),
    /// It could not be committed. Nothing of it is stored; sending it again is safe if it has
    /// an id.
    #[error("the event was not stored: {0}")]
    Store(CommitError),
    /// The engine was stopped, or could not keep up.
    #[error("the event was not stored: {0}")]
    Unavailable(&'static str),
}

/// Told what became of an event.
pub(super) type Answer = Box<dyn FnOnce(Result<Receipt, SendError>) + Send>;

/// Runs workflows for the events of one database.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    watch: Mutex<Option<JoinHandle<()>>>,
}

/// What the threads of an engine share.
pub(super) struct Shared {
    pub(super) parts: EngineParts,
    pub(super) around: Surroundings,
    pub(super) jobs: JobQueue,
    /// Runs that a worker or the committer has: the scout leaves them alone.
    pub(super) in_flight: Mutex<HashSet<RunId>>,
    /// Runs whose segment could not be committed, and when they are tried again.
    pub(super) resting: Mutex<HashMap<RunId, Instant>>,
    /// Whether this process executes.
    pub(super) executes: AtomicBool,
    /// The executor lock could not be asked.
    pub(super) lost: AtomicBool,
    /// What it executes by. Given up last of all: whoever gets it takes what is due for idle, also
    /// a letter that is being handed over.
    pub(super) executor: Mutex<Option<ExecutorLock>>,
    /// Wakes the scout.
    pub(super) look: Bell,
    /// Wakes those who wait for runs to rest.
    pub(super) went_on: Bell,
    pub(super) stopping: AtomicBool,
    pub(super) watch_end: WatchEnd,
    /// The workflows whose blocks are stopped again and again.
    pub(super) traps: TrapWatch,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Starts the threads: workers, the scout, and with them the dispatcher.
    pub fn start(parts: EngineParts) -> anyhow::Result<Engine> {
        let around = Surroundings {
            store: Arc::clone(&parts.store),
            leases: Arc::new(Leases::new(Arc::clone(&parts.store))),
            clock: Arc::clone(&parts.clock),
            calendar: parts.configurations.calendar(),
            aside: None,
            metrics: Some(Arc::clone(&parts.metrics)),
            interrupt: Some(Arc::default()),
        };
        let workers = parts.workers.max(1);
        let shared = Arc::new(Shared {
            parts,
            around,
            jobs: JobQueue::new(workers),
            in_flight: Mutex::default(),
            resting: Mutex::default(),
            executes: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            executor: Mutex::default(),
            look: Bell::default(),
            went_on: Bell::default(),
            stopping: AtomicBool::new(false),
            watch_end: WatchEnd::default(),
            traps: TrapWatch::default(),
        });
        let engine = Engine {
            shared,
            threads: Mutex::default(),
            watch: Mutex::default(),
        };
        // Before the first event comes, so that a process that is alone executes it at once.
        engine.shared.try_execute()?;
        for number in 0..workers {
            let shared = Arc::clone(&engine.shared);
            engine.spawn(format!("worker-{number}"), move || shared.work())?;
        }
        let shared = Arc::clone(&engine.shared);
        engine.spawn("reserve".into(), move || shared.work_in_reserve())?;
        let shared = Arc::clone(&engine.shared);
        engine.spawn("late-events".into(), move || shared.store_late_events())?;
        let shared = Arc::clone(&engine.shared);
        engine.spawn("scout".into(), move || shared.scout())?;
        if !engine.shared.parts.alerts.is_empty() {
            let shared = Arc::clone(&engine.shared);
            let watch = Watch::new(&shared)?;
            let thread = thread::Builder::new().name("watch".into());
            *lock(&engine.watch) = Some(thread.spawn(move || watch.run(&shared))?);
        }
        Ok(engine)
    }

    fn spawn(&self, name: String, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
        lock(&self.threads).push(thread::Builder::new().name(name).spawn(work)?);
        Ok(())
    }

    /// Accepts an event: returns when it is stored durably, with what it started.
    pub fn send(&self, event: Event) -> Result<Receipt, SendError> {
        let (answer, answered) = channel();
        let answer = move |receipt| {
            // Nobody waits any more: the event stands all the same.
            let _gone = answer.send(receipt);
        };
        if self.shared.jobs.is_idle() {
            // This thread would wait for a worker that does nothing else: waking it, and being
            // woken by it, takes as long as the event itself.
            self.shared.parts.sandboxes.prepare_thread();
            let event =
                foreign(event).inspect_err(|_| self.shared.parts.metrics.events.refused.inc())?;
            self.shared.here(Box::new(event), Box::new(answer));
        } else {
            self.submit(event, answer);
        }
        answered
            .recv()
            .unwrap_or(Err(SendError::Unavailable("the engine was stopped")))
    }

    /// Hands in an event and returns at once, or as soon as there is room; `answer` is told what
    /// became of it, on a thread of the engine: it must not block.
    pub fn submit(
        &self,
        event: Event,
        answer: impl FnOnce(Result<Receipt, SendError>) + Send + 'static,
    ) {
        self.give(event, answer, Shared::bring);
    }

    /// The same without waiting for room: whoever asks bounds how many are on their way.
    pub fn submit_at_once(
        &self,
        event: Event,
        answer: impl FnOnce(Result<Receipt, SendError>) + Send + 'static,
    ) {
        self.give(event, answer, Shared::bring_at_once);
    }

    fn give(
        &self,
        event: Event,
        answer: impl FnOnce(Result<Receipt, SendError>) + Send + 'static,
        bring: impl FnOnce(&Shared, Task),
    ) {
        match foreign(event) {
            Ok(event) => {
                let answer = Box::new(answer);
                match self.shared.parts.configurations.ignores(&event) {
                    Some(config) => self.shared.only_store(event, config, answer),
                    None => {
                        let event = Box::new(event);
                        bring(&self.shared, Task::Event { event, answer });
                    }
                }
            }
            Err(error) => {
                self.shared.parts.metrics.events.refused.inc();
                answer(Err(error.into()));
            }
        }
    }

    /// Waits until these runs rest: none may go on now, and no delivery is due.
    pub fn rest(&self, runs: &[RunId]) -> Result<(), StoreError> {
        let (Some(&first), Some(&last)) = (runs.iter().min(), runs.iter().max()) else {
            return Ok(());
        };
        let shared = &self.shared;
        let mut heard = 0;
        loop {
            let now = shared.parts.clock.now();
            if shared.parts.store.rested(first, last, now)? {
                return Ok(());
            }
            shared.went_on.wait(&mut heard, LOOK);
        }
    }

    /// Waits until nothing of the whole database may go on now.
    pub fn rest_all(&self) -> Result<(), StoreError> {
        self.rest(&[RunId(i64::MIN), RunId(i64::MAX)])
    }

    /// Has the alerts judged, and returns once the events of those that are raised are stored. Does
    /// nothing where none are watched, or another process executes.
    pub fn judge_alerts(&self) {
        let watches = lock(&self.watch).is_some();
        if watches && self.executes() {
            self.shared.watch_end.judge();
        }
    }

    /// Whether this process is the one that executes.
    pub fn executes(&self) -> bool {
        self.shared.executes.load(Ordering::SeqCst)
    }

    /// Whether it is known which process executes.
    pub fn knows_executor(&self) -> bool {
        !self.shared.lost.load(Ordering::SeqCst)
    }

    /// How many jobs wait for a worker, and how many units for a commit.
    pub fn waiting(&self) -> (usize, usize) {
        (
            self.shared.jobs.len(),
            self.shared.parts.committer.waiting(),
        )
    }

    /// Looks at once for workflows, codes and runs that came into the database another way.
    pub fn look(&self) {
        self.shared.look.ring();
    }

    /// Finishes what is under way and ends the threads. What is stored and due goes on in the
    /// next process.
    pub fn stop(&self) {
        // First, while the events of alerts are still taken.
        if let Some(watch) = lock(&self.watch).take() {
            self.shared.watch_end.end();
            if watch.join().is_err() {
                tracing::error!("the watch ended by a panic");
            }
        }
        if self.shared.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        self.shared.jobs.close();
        self.shared.look.ring();
        if let Some(dispatcher) = &self.shared.parts.dispatcher {
            dispatcher.stop();
        }
        let until = Instant::now() + STOP_GRACE;
        for thread in lock(&self.threads).drain(..) {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            self.shared.around.interrupt();
            if thread.join().is_err() {
                tracing::error!("a thread of the engine ended by a panic");
            }
        }
        self.shared.parts.committer.stop();
        if let Some(tracer) = &self.shared.parts.tracer {
            tracer.stop();
        }
        drop(lock(&self.shared.executor).take());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An event that somebody sends, checked.
fn foreign(event: Event) -> Result<Event, EventError> {
    alert::check_foreign(&event)?;
    event.checked()
}
