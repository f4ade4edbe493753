//! The engine: the threads of a process, and the path of an event through them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::alert_monitor::{AlertMonitor, MonitorControl};
use super::job_queue::JobQueue;
use super::leases::Leases;
use super::segment::EngineContext;
use super::trap_monitor::TrapMonitor;
use super::wakeup::Wakeup;
use super::worker::Task;
use super::workflow_cache::WorkflowCache;
use crate::committer::{CommitError, Committer};
use crate::metrics::Metrics;
use crate::observer::Observers;
use crate::outbox::Dispatcher;
use crate::sync::lock;
use promoflow_block_host::SandboxPool;
use promoflow_model::alert;
use promoflow_model::alert::Rules;
use promoflow_model::clock::Clock;
use promoflow_model::event::{CheckedEvent, EventError};
use promoflow_store::{LeaseStore, Member, RunId, Store, StoreError};
use promoflow_trace::Tracer;

/// Time that running segments have to finish when the engine stops. Later ones are interrupted and
/// run again in the next process.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Minimum interval between two checks for due runs, and the interval of tries to become the
/// executor.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(4);
/// Maximum time between two checks whether runs are idle.
const MAX_IDLE_WAIT: Duration = Duration::from_secs(1);
/// Number of conflicts after which an event is rejected as busy. Only a writer that never pauses
/// causes that many.
pub(super) const MAX_CONFLICTS: u32 = 100;

/// The dependencies of an engine.
pub struct EngineParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The sandboxes in which blocks run.
    pub sandboxes: Arc<SandboxPool>,
    /// The cache of workflows and messages.
    pub workflow_cache: Arc<WorkflowCache>,
    /// The process's only committer.
    pub committer: Arc<Committer>,
    /// Delivers the outbox; `None` if this process does not deliver.
    pub dispatcher: Option<Arc<Dispatcher>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The observers of what is committed.
    pub observers: Arc<Observers>,
    /// Records spans; `None` if traces are not exported.
    pub tracer: Option<Arc<Tracer>>,
    /// The alert rules on the pool.
    pub alerts: Rules,
    /// Number of worker threads.
    pub workers: usize,
}

/// An engine that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store failed; [`StoreError`] says whether a retry helps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused a thread. A retry may help.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// The confirmation that an event is stored durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id, or its row number if it has no id.
    pub event: String,
    /// True if the same event had been accepted before.
    pub duplicate: bool,
    /// The runs that the event started.
    pub runs: Vec<RunId>,
}

/// The reason why an event was rejected or not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The event is invalid.
    #[error(transparent)]
    Invalid(#[from] EventError),
    /// A different event with this id was accepted before.
    #[error("id: an event with id `{0}` and different content was already accepted")]
    Conflict(String),
    /// A workflow that the event starts cannot run.
    #[error("{0}")]
    Configuration(String),
    /// The commit failed. Nothing of the event is stored; sending it again is safe if it has an id.
    #[error("the event was not stored: {0}")]
    Store(CommitError),
    /// The commit was interrupted, and it is unknown whether the event is stored. Sending it again
    /// is safe if it has an id.
    #[error("it is unknown whether the event was stored; send it again with the same id: {0}")]
    Unknown(CommitError),
    /// The engine has stopped or is overloaded.
    #[error("the event was not stored: {0}")]
    Unavailable(&'static str),
}

impl From<Infallible> for SubmitError {
    fn from(never: Infallible) -> SubmitError {
        match never {}
    }
}

impl From<CommitError> for SubmitError {
    fn from(error: CommitError) -> SubmitError {
        match *error.0 {
            StoreError::Unknown(_) => SubmitError::Unknown(error),
            _ => SubmitError::Store(error),
        }
    }
}

/// The callback that receives the result of an event.
pub(super) type EventCallback = Box<dyn FnOnce(Result<Receipt, SubmitError>) + Send>;

/// Runs workflows for the events of one database.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    alert_monitor: Mutex<Option<JoinHandle<()>>>,
}

/// The state that an engine's threads share.
pub(super) struct Shared {
    pub(super) parts: EngineParts,
    pub(super) context: EngineContext,
    pub(super) jobs: JobQueue,
    /// Runs that a worker or the committer is processing; the poller skips them.
    pub(super) in_flight: Mutex<HashSet<RunId>>,
    /// Runs whose segment failed to commit, with the time of the next try.
    pub(super) backing_off: Mutex<HashMap<RunId, Instant>>,
    /// True if this process is the executor.
    pub(super) executes: AtomicBool,
    /// True if the last attempt to acquire the executor lock failed with an error.
    pub(super) executor_lock_failed: AtomicBool,
    /// The executor lock. Released last: the process that acquires it treats every due delivery as
    /// idle, including one whose attempt is still running here.
    pub(super) executor: Mutex<Option<Box<dyn Member>>>,
    /// Wakes the poller.
    pub(super) poller_wakeup: Wakeup,
    /// Wakes the threads that wait for runs to become idle.
    pub(super) progress: Wakeup,
    pub(super) stopping: AtomicBool,
    pub(super) monitor_control: MonitorControl,
    /// Counts the workflows whose blocks trap repeatedly.
    pub(super) traps: TrapMonitor,
}

impl Engine {
    /// Starts the threads: workers, the poller and the dispatcher.
    pub fn start(parts: EngineParts) -> Result<Engine, EngineError> {
        let leased: Arc<dyn LeaseStore> = parts.store.clone();
        let context = EngineContext {
            store: Arc::clone(&parts.store),
            leases: Arc::new(Leases::new(leased)),
            clock: Arc::clone(&parts.clock),
            calendar: parts.workflow_cache.calendar(),
            contact_overlay: None,
            metrics: Some(Arc::clone(&parts.metrics)),
            interrupt: Some(Arc::default()),
        };
        let workers = parts.workers.max(1);
        let shared = Arc::new(Shared {
            parts,
            context,
            jobs: JobQueue::new(workers),
            in_flight: Mutex::default(),
            backing_off: Mutex::default(),
            executes: AtomicBool::new(false),
            executor_lock_failed: AtomicBool::new(false),
            executor: Mutex::default(),
            poller_wakeup: Wakeup::default(),
            progress: Wakeup::default(),
            stopping: AtomicBool::new(false),
            monitor_control: MonitorControl::default(),
            traps: TrapMonitor::default(),
        });
        let engine = Engine {
            shared,
            threads: Mutex::default(),
            alert_monitor: Mutex::default(),
        };
        // Before the first event arrives, so that a sole process executes it at once.
        engine.shared.try_execute()?;
        for number in 0..workers {
            let shared = Arc::clone(&engine.shared);
            engine.spawn(format!("worker-{number}"), move || shared.run_worker())?;
        }
        let shared = Arc::clone(&engine.shared);
        engine.spawn("reserve".into(), move || shared.run_reserve_worker())?;
        let shared = Arc::clone(&engine.shared);
        engine.spawn("late-events".into(), move || shared.store_late_events())?;
        let shared = Arc::clone(&engine.shared);
        engine.spawn("poller".into(), move || shared.poll())?;
        if !engine.shared.parts.alerts.is_empty() {
            let shared = Arc::clone(&engine.shared);
            let alert_monitor = AlertMonitor::new(&shared)?;
            let thread = thread::Builder::new().name("alert-monitor".into());
            let thread = thread
                .spawn(move || alert_monitor.run(&shared))
                .map_err(EngineError::Thread)?;
            *lock(&engine.alert_monitor) = Some(thread);
        }
        Ok(engine)
    }

    fn spawn(&self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), EngineError> {
        let thread = thread::Builder::new().name(name).spawn(work);
        lock(&self.threads).push(thread.map_err(EngineError::Thread)?);
        Ok(())
    }

    /// Sends an event and blocks until it is stored durably. Returns the runs that it started.
    pub fn send<E>(&self, event: E) -> Result<Receipt, SubmitError>
    where
        E: TryInto<CheckedEvent>,
        SubmitError: From<E::Error>,
    {
        let event = self.check(event)?;
        let (answer, answered) = channel();
        let answer = move |receipt| {
            // The receiver may be gone; the event is stored all the same.
            let _gone = answer.send(receipt);
        };
        if self.shared.jobs.is_idle() {
            // This thread would only wait for an idle worker. Waking the worker and being woken by
            // it takes as long as processing the event.
            self.shared.parts.sandboxes.warm_up_thread();
            self.shared
                .process_inline(Box::new(event), Box::new(answer));
        } else {
            self.submit_checked(event, Box::new(answer), Shared::submit);
        }
        answered
            .recv()
            .unwrap_or(Err(SubmitError::Unavailable("the engine was stopped")))
    }

    /// Queues an event. Blocks only while the queue is full. `answer` receives the result on an
    /// engine thread and must not block.
    pub fn submit<E>(
        &self,
        event: E,
        answer: impl FnOnce(Result<Receipt, SubmitError>) + Send + 'static,
    ) where
        E: TryInto<CheckedEvent>,
        SubmitError: From<E::Error>,
    {
        match self.check(event) {
            Ok(event) => self.submit_checked(event, Box::new(answer), Shared::submit),
            Err(error) => answer(Err(error)),
        }
    }

    /// Like [`submit`](Engine::submit), but never waits for room; the caller must bound how many
    /// events are in flight.
    pub fn submit_unbounded<E>(
        &self,
        event: E,
        answer: impl FnOnce(Result<Receipt, SubmitError>) + Send + 'static,
    ) where
        E: TryInto<CheckedEvent>,
        SubmitError: From<E::Error>,
    {
        match self.check(event) {
            Ok(event) => self.submit_checked(event, Box::new(answer), Shared::submit_unbounded),
            Err(error) => answer(Err(error)),
        }
    }

    /// Checks an event from outside, which must not have a type that is reserved for alerts.
    fn check<E>(&self, event: E) -> Result<CheckedEvent, SubmitError>
    where
        E: TryInto<CheckedEvent>,
        SubmitError: From<E::Error>,
    {
        let checked = event.try_into().map_err(SubmitError::from);
        let checked = checked.and_then(|event| {
            alert::check_external(&event)?;
            Ok(event)
        });
        checked.inspect_err(|_| self.shared.parts.metrics.events.rejected.inc())
    }

    fn submit_checked(
        &self,
        event: CheckedEvent,
        answer: EventCallback,
        submit: impl FnOnce(&Shared, Task),
    ) {
        let workflow_cache = &self.shared.parts.workflow_cache;
        match workflow_cache.config_without_listener(&event) {
            Some(config) => self.shared.store_only(event, config, answer),
            None => {
                let event = Box::new(event);
                submit(&self.shared, Task::Event { event, answer });
            }
        }
    }

    /// Blocks until these runs are idle: no segment of them can run now, and no delivery is due.
    pub fn wait_idle(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.wait_until_idle(Some(runs))
    }

    fn wait_until_idle(&self, runs: Option<&[RunId]>) -> Result<(), StoreError> {
        let shared = &self.shared;
        let mut seen = 0;
        let mut watch = shared.parts.store.watch();
        loop {
            let now = shared.parts.clock.now();
            if shared.parts.store.are_idle(runs, now)? {
                return Ok(());
            }
            watch.wait(MAX_IDLE_WAIT, &mut |most| {
                shared.progress.wait(&mut seen, most)
            })?;
        }
    }

    /// Blocks until the whole database is idle.
    pub fn wait_all_idle(&self) -> Result<(), StoreError> {
        self.wait_until_idle(None)
    }

    /// Evaluates the alert rules and returns after the events of raised alerts are stored. Does
    /// nothing if no rules are configured or another process is the executor.
    pub fn evaluate_alerts(&self) {
        let watches = lock(&self.alert_monitor).is_some();
        if watches && self.is_executor() {
            self.shared.monitor_control.evaluate_now();
        }
    }

    /// Returns true if this process is the executor.
    pub fn is_executor(&self) -> bool {
        self.shared.executes.load(Ordering::SeqCst)
    }

    /// Returns true if it is known which process is the executor.
    pub fn is_executor_known(&self) -> bool {
        !self.shared.executor_lock_failed.load(Ordering::SeqCst)
    }

    /// Returns the number of jobs waiting for a worker and of requests waiting for a commit.
    pub fn waiting(&self) -> (usize, usize) {
        (
            self.shared.jobs.len(),
            self.shared.parts.committer.waiting(),
        )
    }

    /// Finishes the running segments and stops the threads. Due work stays stored for the next
    /// process.
    pub fn stop(&self) {
        // First, while alert events are still accepted.
        if let Some(alert_monitor) = lock(&self.alert_monitor).take() {
            self.shared.monitor_control.end();
            if alert_monitor.join().is_err() {
                tracing::error!("the alert monitor panicked");
            }
        }
        if self.shared.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        self.shared.jobs.close();
        self.shared.poller_wakeup.notify();
        if let Some(dispatcher) = &self.shared.parts.dispatcher {
            dispatcher.stop();
        }
        let until = Instant::now() + STOP_GRACE;
        for thread in lock(&self.threads).drain(..) {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            self.shared.context.interrupt();
            if thread.join().is_err() {
                tracing::error!("an engine thread panicked");
            }
        }
        self.shared.parts.committer.stop();
        if let Some(tracer) = &self.shared.parts.tracer {
            tracer.stop();
        }
        drop(lock(&self.shared.executor).take());
        self.shared.parts.observers.stop();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}
