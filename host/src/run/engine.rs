//! The engine: the threads of a process, and the way of an event through them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::configuration::{Configuration, Configurations};
use super::executor::{ExecutorLock, lock_path};
use super::leases::Leases;
use super::segment::{Beginning, Contended, Surroundings, execute};
use crate::backoff::Backoff;
use crate::block::Sandboxes;
use crate::clock::Clock;
use crate::event::{Event, EventError};
use crate::outbox::Dispatcher;
use crate::pool::Lane;
use crate::queue::Queue;
use crate::store::{
    Accept, Announced, CommitError, Committer, DueRun, EventRow, Reply, RunId, Segment, SegmentEnd,
    Stale, Start, Store, StoreError, Unit,
};

/// Jobs that wait for a worker before those who bring more are held up.
const WAITING_JOBS: usize = 256;
/// Jobs that a worker takes from the queue at once. One: what it took besides would wait behind
/// a block that uses up its time, while other workers are idle.
const MOST_TAKEN: usize = 1;
/// How often the scout looks whether another process has committed. A look costs microseconds.
const LOOK: Duration = Duration::from_millis(4);
/// Due runs that are fetched at once.
const FETCH: usize = 128;
/// After so many answers that something has changed meanwhile, an event is refused as busy: only
/// a writer that never pauses gets there.
const MOST_TRIES: u32 = 100;

impl Job {
    /// Tells whoever waits that the engine was stopped; a run goes on in the next process.
    fn refuse(self) {
        if let Task::Event { answer, .. } = self.task {
            answer(Err(SendError::Unavailable("the engine was stopped")));
        }
    }
}

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
    /// The database's file, beside which the executor lock stands; `None`: this process alone
    /// uses the database.
    pub database: Option<PathBuf>,
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

type Answer = Box<dyn FnOnce(Result<Receipt, SendError>) + Send>;

/// Work for a worker.
struct Job {
    task: Task,
    /// How often something had changed meanwhile.
    tries: u32,
    /// Tells the committer that a unit is on its way.
    announced: Announced,
}

enum Task {
    Event { event: Box<Event>, answer: Answer },
    Run(Box<DueRun>),
}

/// Runs workflows for the events of one database.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    parts: EngineParts,
    around: Surroundings,
    jobs: Queue<Job>,
    /// Runs that a worker or the committer has: the scout leaves them alone.
    in_flight: Mutex<HashSet<RunId>>,
    /// Whether this process executes.
    executes: AtomicBool,
    /// What it executes by. Given up last of all: whoever gets it takes what is due for idle, also
    /// a letter that is being handed over.
    executor: Mutex<Option<ExecutorLock>>,
    /// Wakes the scout.
    look: Bell,
    /// Wakes those who wait for runs to rest.
    went_on: Bell,
    stopping: AtomicBool,
}

/// Wakes those who wait for something to happen.
#[derive(Default)]
struct Bell {
    rung: Mutex<Rung>,
    heard: Condvar,
}

#[derive(Default)]
struct Rung {
    times: u64,
    waiting: usize,
}

impl Bell {
    fn ring(&self) {
        let mut rung = lock(&self.rung);
        rung.times += 1;
        if rung.waiting > 0 {
            self.heard.notify_all();
        }
    }

    /// Waits for a ring after the `last` that was heard, at most that long.
    fn wait(&self, last: &mut u64, most: Duration) {
        let mut rung = lock(&self.rung);
        rung.waiting += 1;
        let (mut rung, _) = self
            .heard
            .wait_timeout_while(rung, most, |rung| rung.times == *last)
            .unwrap_or_else(PoisonError::into_inner);
        rung.waiting -= 1;
        *last = rung.times;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Starts the threads: workers, the scout, and with them the dispatcher.
    pub fn start(parts: EngineParts) -> anyhow::Result<Engine> {
        let around = Surroundings {
            store: Arc::clone(&parts.store),
            leases: Arc::new(Leases::new(Arc::clone(&parts.store))),
            clock: Arc::clone(&parts.clock),
            calendar: parts.store.calendar()?,
        };
        let workers = parts.workers.max(1);
        let shared = Arc::new(Shared {
            parts,
            around,
            jobs: Queue::new(WAITING_JOBS),
            in_flight: Mutex::default(),
            executes: AtomicBool::new(false),
            executor: Mutex::default(),
            look: Bell::default(),
            went_on: Bell::default(),
            stopping: AtomicBool::new(false),
        });
        let engine = Engine {
            shared,
            threads: Mutex::default(),
        };
        // Before the first event comes, so that a process that is alone executes it at once.
        engine.shared.try_execute()?;
        for number in 0..workers {
            let shared = Arc::clone(&engine.shared);
            engine.spawn(format!("worker-{number}"), move || shared.work())?;
        }
        let shared = Arc::clone(&engine.shared);
        engine.spawn("scout".into(), move || shared.scout())?;
        Ok(engine)
    }

    fn spawn(&self, name: String, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
        lock(&self.threads).push(thread::Builder::new().name(name).spawn(work)?);
        Ok(())
    }

    /// Accepts an event: returns when it is stored durably, with what it started.
    pub fn send(&self, event: Event) -> Result<Receipt, SendError> {
        let (answer, answered) = channel();
        self.submit(event, move |receipt| {
            // Nobody waits any more: the event stands all the same.
            let _gone = answer.send(receipt);
        });
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
        match event.checked() {
            Ok(event) => {
                let (event, answer) = (Box::new(event), Box::new(answer));
                self.shared.bring(Task::Event { event, answer });
            }
            Err(error) => answer(Err(error.into())),
        }
    }

    /// Waits until these runs rest: none may go on now, and each due delivery was tried once.
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

    /// Whether this process is the one that executes.
    pub fn executes(&self) -> bool {
        self.shared.executes.load(Ordering::SeqCst)
    }

    /// Looks at once for workflows, codes and runs that came into the database another way.
    pub fn look(&self) {
        self.shared.look.ring();
    }

    /// Finishes what is under way and ends the threads. What is stored and due goes on in the
    /// next process.
    pub fn stop(&self) {
        if self.shared.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        self.shared.jobs.close();
        self.shared.look.ring();
        if let Some(dispatcher) = &self.shared.parts.dispatcher {
            dispatcher.stop();
        }
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine ended by a panic");
            }
        }
        self.shared.parts.committer.stop();
        drop(lock(&self.shared.executor).take());
    }
}

/// Whether a segment takes a code for its contact to keep that a start before it in the same unit
/// takes as well. It runs once that is committed, and finds it.
fn clashes(starts: &[Start], segment: &Segment) -> bool {
    let takes = |segment: &Segment| -> Vec<Lane> {
        let taken = segment
            .reuses
            .iter()
            .filter(|one| one.replaced_by.is_some());
        taken.map(|one| one.lane.clone()).collect()
    };
    let lanes = takes(segment);
    let mut others = starts.iter().filter_map(|start| start.segment.as_ref());
    !lanes.is_empty() && others.any(|other| takes(other).iter().any(|lane| lanes.contains(lane)))
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Gives work to a worker; waits while too much waits already.
    fn bring(&self, task: Task) {
        let announced = self.parts.committer.announce();
        if let Err(refused) = self.jobs.put(Job {
            task,
            tries: 0,
            announced,
        }) {
            refused.refuse();
        }
    }

    /// Brings work back, from a thread that must not wait for a worker.
    fn bring_back(&self, task: Task, tries: u32) {
        let announced = self.parts.committer.announce();
        if let Err(refused) = self.jobs.put_at_once(Job {
            task,
            tries: tries + 1,
            announced,
        }) {
            refused.refuse();
        }
    }

    fn work(self: &Arc<Self>) {
        self.parts.sandboxes.prepare_thread();
        loop {
            let jobs = self.jobs.take(MOST_TAKEN, self.parts.workers * 2);
            if jobs.is_empty() {
                return;
            }
            for Job {
                task,
                tries,
                announced,
            } in jobs
            {
                if tries > 1 {
                    // What stood in the way needs a moment to settle.
                    thread::sleep(Duration::from_millis(1));
                }
                match task {
                    Task::Event { event, answer } => self.event(event, tries, announced, answer),
                    Task::Run(run) => self.run(*run, tries, announced),
                }
            }
        }
    }

    fn event(
        self: &Arc<Self>,
        event: Box<Event>,
        tries: u32,
        announced: Announced,
        answer: Answer,
    ) {
        if tries > MOST_TRIES {
            return answer(Err(SendError::Unavailable(
                "the database never comes to rest; try later",
            )));
        }
        let configuration = match self.parts.configurations.present() {
            Ok(configuration) => configuration,
            Err(error) => return answer(Err(SendError::Configuration(error))),
        };
        let executes = self.executes.load(Ordering::SeqCst);
        let Some(starts) = self.starts(&event, &configuration, executes) else {
            return self.bring_back(Task::Event { event, answer }, tries);
        };
        let accept = Accept {
            event: *event,
            config: configuration.id,
            starts,
        };
        let shared = Arc::clone(self);
        let unit = Unit::Accept(Box::new(accept));
        self.parts
            .committer
            .hand_in(unit, Some(announced), move |reply, unit| {
                shared.accepted(reply, unit, tries, answer);
            });
    }

    /// The runs of an event; executed as far as they go where this process executes. `None`
    /// where other runs hold what one of them needs.
    fn starts(
        &self,
        event: &Event,
        configuration: &Configuration,
        executes: bool,
    ) -> Option<Vec<Start>> {
        let mut starts: Vec<Start> = Vec::new();
        for plan in configuration.starts(event) {
            let (workflow, rule) = (plan.workflow, plan.rule.clone());
            let mut segment = None;
            if executes {
                let beginning = Beginning {
                    plan,
                    run: None,
                    step: 0,
                    attempt: 0,
                    data: event.params.clone(),
                    key: event.key.clone(),
                    codes: Vec::new(),
                };
                match execute(&beginning, &self.around) {
                    Ok(executed) if clashes(&starts, &executed) => {
                        self.around.leases.give_back(&executed.claims);
                    }
                    Ok(executed) => segment = Some(executed),
                    Err(Contended) => {
                        for claims in starts.iter().flat_map(|start| &start.segment) {
                            self.around.leases.give_back(&claims.claims);
                        }
                        return None;
                    }
                }
            }
            starts.push(Start {
                workflow,
                rule,
                segment,
            });
        }
        Some(starts)
    }

    /// What became of an event. On the committer's thread.
    fn accepted(
        self: &Arc<Self>,
        reply: Result<Reply, CommitError>,
        unit: Unit,
        tries: u32,
        answer: Answer,
    ) {
        let Unit::Accept(accept) = unit else { return };
        let segments = || accept.starts.iter().flat_map(|start| &start.segment);
        let leases = &self.around.leases;
        let id = |row: EventRow| accept.event.id.clone().unwrap_or_else(|| row.to_string());
        match reply {
            Ok(Reply::Accepted { event, runs }) => {
                for (start, run) in accept.starts.iter().zip(&runs) {
                    match (&start.segment, run) {
                        (Some(segment), Some(_)) => {
                            leases.committed(&segment.claims);
                            self.after_commit(std::iter::once(segment));
                        }
                        // It was executed in case it might start.
                        (Some(segment), None) => leases.give_back(&segment.claims),
                        (None, _) => {}
                    }
                }
                answer(Ok(Receipt {
                    event: id(event),
                    duplicate: false,
                    runs: runs.into_iter().flatten().collect(),
                }));
                self.went_on.ring();
            }
            Ok(Reply::Duplicate { event, runs }) => {
                segments().for_each(|segment| leases.give_back(&segment.claims));
                answer(Ok(Receipt {
                    event: id(event),
                    duplicate: true,
                    runs,
                }));
            }
            Ok(Reply::Stale(stale)) => {
                segments().for_each(|segment| self.stale(stale, segment));
                if stale == Stale::Config {
                    self.refresh();
                }
                let event = Box::new(accept.event);
                self.bring_back(Task::Event { event, answer }, tries);
            }
            Ok(Reply::Conflict) => {
                segments().for_each(|segment| leases.give_back(&segment.claims));
                let id = accept.event.id.clone().unwrap_or_default();
                answer(Err(SendError::Conflict(id)));
            }
            Ok(Reply::Failed(error)) => {
                segments().for_each(|segment| leases.forget(&segment.claims));
                let error = CommitError(Arc::new(StoreError::Engine(error)));
                answer(Err(SendError::Store(error)));
            }
            Ok(Reply::Done | Reply::Started(_)) => {
                answer(Err(SendError::Unavailable(
                    "the store gave an answer to something else",
                )));
            }
            Err(error) => {
                segments().for_each(|segment| leases.forget(&segment.claims));
                answer(Err(SendError::Store(error)));
            }
        }
    }

    fn run(self: &Arc<Self>, run: DueRun, tries: u32, announced: Announced) {
        let plan = match self.parts.configurations.plan(run.workflow, run.config) {
            Ok(plan) => plan,
            Err(error) => {
                // Not the run's fault: an operator may bring back what is missing.
                tracing::error!(run = run.id.0, "cannot go on: {error:#}");
                return self.retry_later(run, announced, format!("{error:#}"));
            }
        };
        let beginning = Beginning {
            plan,
            run: Some((run.id, run.segment)),
            step: usize::try_from(run.step).unwrap_or(usize::MAX),
            attempt: run.attempt,
            data: run.data.clone(),
            key: run.key.clone(),
            codes: Vec::new(),
        };
        match execute(&beginning, &self.around) {
            Ok(segment) => self.hand_in(run, tries, announced, segment),
            Err(Contended) => {
                self.bring_back(Task::Run(Box::new(run)), tries);
            }
        }
    }

    fn retry_later(self: &Arc<Self>, run: DueRun, announced: Announced, error: String) {
        let attempt = run.attempt + 1;
        let due = Backoff::UNAVAILABLE.next(attempt, self.parts.clock.now());
        let end = match due {
            Some(due) => SegmentEnd::Retry { error, due },
            None => SegmentEnd::Failed { error },
        };
        let segment = Segment {
            run: Some((run.id, run.segment)),
            attempt,
            steps: Vec::new(),
            claims: Vec::new(),
            exhausted: Vec::new(),
            reuses: Vec::new(),
            deliveries: Vec::new(),
            end,
        };
        self.hand_in(run, 0, announced, segment);
    }

    fn hand_in(self: &Arc<Self>, run: DueRun, tries: u32, announced: Announced, segment: Segment) {
        let shared = Arc::clone(self);
        let unit = Unit::Segment(Box::new(segment));
        self.parts
            .committer
            .hand_in(unit, Some(announced), move |reply, unit| {
                shared.gone_on(run, tries, reply, unit);
            });
    }

    /// What became of a segment. On the committer's thread.
    fn gone_on(
        self: &Arc<Self>,
        run: DueRun,
        tries: u32,
        reply: Result<Reply, CommitError>,
        unit: Unit,
    ) {
        let Unit::Segment(segment) = unit else { return };
        match reply {
            Ok(Reply::Stale(stale @ (Stale::Code | Stale::NotExhausted | Stale::Reuse)))
                if tries < MOST_TRIES =>
            {
                self.stale(stale, &segment);
                return self.bring_back(Task::Run(Box::new(run)), tries);
            }
            Ok(Reply::Done) => {
                self.around.leases.committed(&segment.claims);
                self.after_commit(std::iter::once(&*segment));
            }
            Ok(Reply::Stale(_)) => self.around.leases.give_back(&segment.claims),
            Ok(_) | Err(_) => self.around.leases.forget(&segment.claims),
        }
        // Where nothing was committed the run is still due, and the scout finds it again.
        lock(&self.in_flight).remove(&run.id);
        self.went_on.ring();
    }

    /// Undoes what a segment holds that was refused because the pool has changed.
    fn stale(&self, stale: Stale, segment: &Segment) {
        match stale {
            Stale::Code => self.around.leases.forget(&segment.claims),
            _ => self.around.leases.give_back(&segment.claims),
        }
        if stale == Stale::NotExhausted
            && let Err(error) = self.around.leases.refresh()
        {
            tracing::warn!("cannot look at the pool: {error}");
        }
    }

    fn after_commit<'s>(&self, mut segments: impl Iterator<Item = &'s Segment>) {
        if let Some(dispatcher) = &self.parts.dispatcher
            && segments.any(|segment| !segment.deliveries.is_empty())
        {
            dispatcher.look();
        }
    }

    fn refresh(&self) {
        if let Err(error) = self.parts.configurations.refresh() {
            tracing::error!("cannot read the workflows: {error:#}");
        }
        if let Err(error) = self.around.leases.refresh() {
            tracing::error!("cannot look at the pool: {error}");
        }
    }

    /// Takes the executor lock if it is free.
    fn try_execute(&self) -> anyhow::Result<()> {
        if let Some(database) = &self.parts.database {
            match ExecutorLock::try_take(&lock_path(database))? {
                None => return Ok(()),
                taken => *lock(&self.executor) = taken,
            }
        }
        self.refresh();
        self.executes.store(true, Ordering::SeqCst);
        if let Some(dispatcher) = &self.parts.dispatcher {
            dispatcher.start()?;
        }
        Ok(())
    }

    /// Looks for work that did not come by an event of this process: of other processes, of a
    /// process that ended, of waits and retries that are due.
    fn scout(self: &Arc<Self>) {
        let mut heard = 0;
        let mut mark = None;
        let mut next = Instant::now();
        while !self.stopping.load(Ordering::SeqCst) {
            self.look.wait(&mut heard, LOOK);
            if !self.executes.load(Ordering::SeqCst) {
                if let Err(error) = self.try_execute() {
                    tracing::error!("cannot take over: {error:#}");
                }
                self.went_on.ring();
                continue;
            }
            let present = self.parts.store.change_mark().ok();
            let changed = present != mark;
            if !changed && Instant::now() < next {
                continue;
            }
            mark = present;
            self.refresh();
            match self.fetch() {
                Ok(wait) => next = Instant::now() + wait,
                Err(error) => {
                    tracing::error!("cannot look for runs that are due: {error}");
                    next = Instant::now() + Duration::from_secs(1);
                }
            }
            if let Some(dispatcher) = &self.parts.dispatcher {
                dispatcher.look();
            }
        }
        self.executes.store(false, Ordering::SeqCst);
    }

    /// Brings due runs to the workers; answers how long to wait until the next are due.
    fn fetch(&self) -> Result<Duration, StoreError> {
        let store = &self.parts.store;
        loop {
            let now = self.parts.clock.now();
            let due = store.due_runs(now, FETCH, &|run| lock(&self.in_flight).contains(&run))?;
            if due.is_empty() {
                let wait = store.next_due(now)?.map_or(i64::MAX, |due| due.0 - now.0);
                let wait = Duration::from_millis(wait.clamp(1, 1_000).unsigned_abs());
                return Ok(wait);
            }
            for run in due {
                if self.stopping.load(Ordering::SeqCst) {
                    return Ok(Duration::ZERO);
                }
                lock(&self.in_flight).insert(run.id);
                self.bring(Task::Run(Box::new(run)));
            }
        }
    }
}
