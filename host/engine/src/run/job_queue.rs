//! The queue of jobs, fair by workflow.
//!
//! Jobs wait in lines: one for each workflow that has due runs, one for each type of event. Workers
//! serve the lines in turn, so that a workflow with thousands of runs delays another one by a single
//! job. A line whose jobs take long is slow for a while; slow lines together never hold the last
//! worker. What a worker has not taken in time goes to others: the reserve executes a job of a line
//! that nobody serves, and late events are stored before they are executed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::worker::{Job, Task};
use promoflow_store::WorkflowRow;

/// Events that wait before those who bring more wait as well.
const MAX_WAITING_EVENTS: usize = 256;
/// Due runs of one workflow that wait in memory; the others stay in the store.
const MAX_WAITING_RUNS: usize = 256;
/// The same of a slow workflow.
const MAX_WAITING_SLOW_RUNS: usize = 4;
/// Jobs that wait before no more due runs are fetched at all.
const MAX_WAITING: usize = 4_096;
/// A job that takes that long makes its line slow.
const SLOW: Duration = Duration::from_millis(250);
/// How long a line stays slow after such a job.
const STAYS_SLOW: Duration = Duration::from_secs(10);
/// An event that waits that long is stored first, where no job of its line was taken meanwhile.
const LATE_EVENT: Duration = Duration::from_millis(250);
/// The same where workers come to its line: storing it apart would only delay those behind it.
const LATEST_EVENT: Duration = Duration::from_secs(1);
/// A job that waits that long is one for the reserve.
const LATE_JOB: Duration = Duration::from_millis(20);
/// How often the reserve, and who stores late events, look.
const LOOK: Duration = Duration::from_millis(10);

/// Jobs on their way to the workers.
pub(super) struct JobQueue {
    state: Mutex<State>,
    /// Wakes the workers.
    filled: Condvar,
    /// Wakes those who wait for room.
    drained: Condvar,
    /// Wakes the reserve and who stores late events, at the end.
    closing: Condvar,
    /// How many workers slow lines may hold together.
    slow_workers: usize,
}

#[derive(Default)]
struct State {
    lines: HashMap<LineKey, Line>,
    /// The lines in which jobs wait, in the order of their turns.
    turns: VecDeque<LineKey>,
    waiting: usize,
    waiting_events: usize,
    /// Workers that execute jobs of slow lines.
    slow_running: usize,
    /// Workers that wait for a job.
    takers: usize,
    /// Threads that wait for room.
    givers: usize,
    closed: bool,
}

/// What a line is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum LineKey {
    Workflow(WorkflowRow),
    EventType(String),
}

impl LineKey {
    fn of(job: &Job) -> LineKey {
        match &job.task {
            Task::Event { event, .. } => LineKey::EventType(event.event_type.clone()),
            Task::Run(run) => LineKey::Workflow(run.workflow),
        }
    }
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<(Job, Instant)>,
    /// Jobs of it that are executed now.
    running: usize,
    slow_until: Option<Instant>,
    /// When a worker took the last job of it.
    taken: Option<Instant>,
}

impl Line {
    fn is_slow(&self, now: Instant) -> bool {
        self.slow_until.is_some_and(|until| now < until)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.jobs.is_empty() && self.running == 0 && !self.is_slow(now)
    }

    /// How long an event of it may wait before it is stored first.
    fn patience(&self, now: Instant) -> Duration {
        let served = |taken: Instant| now.saturating_duration_since(taken) < LATE_EVENT;
        match self.taken.is_some_and(served) {
            _ if self.is_slow(now) => LOOK,
            true => LATEST_EVENT,
            false => LATE_EVENT,
        }
    }

    fn front_age(&self, now: Instant) -> Option<Duration> {
        let (_, since) = self.jobs.front()?;
        Some(now.saturating_duration_since(*since))
    }
}

/// That a job is executed; given back when it is done.
pub(super) struct Turn {
    line: LineKey,
    began: Instant,
    slow: bool,
}

impl JobQueue {
    /// A queue that so many workers serve.
    pub(super) fn new(workers: usize) -> JobQueue {
        JobQueue {
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
            closing: Condvar::new(),
            slow_workers: workers.saturating_sub(1).max(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job; waits while too many events wait. Gives the job back once the queue is closed.
    pub(super) fn put(&self, job: Job) -> Result<(), Job> {
        let mut state = self.state();
        while state.waiting_events >= MAX_WAITING_EVENTS && !state.closed {
            state.givers += 1;
            state = self
                .drained
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.givers -= 1;
        }
        self.add(state, job)
    }

    /// Adds a job whether there is room or not, for threads that must not wait.
    pub(super) fn put_at_once(&self, job: Job) -> Result<(), Job> {
        self.add(self.state(), job)
    }

    fn add(&self, mut state: MutexGuard<'_, State>, job: Job) -> Result<(), Job> {
        if state.closed {
            return Err(job);
        }
        let key = LineKey::of(&job);
        state.waiting += 1;
        state.waiting_events += usize::from(job.is_event());
        let line = state.lines.entry(key.clone()).or_default();
        let first = line.jobs.is_empty();
        line.jobs.push_back((job, Instant::now()));
        if first {
            state.turns.push_back(key);
        }
        if state.takers > 0 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes the job whose turn it is. Waits for one; `None` once the queue is closed and drained.
    pub(super) fn take(&self) -> Option<(Job, Turn)> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let most = match state.closed {
                true => usize::MAX,
                false => self.slow_workers,
            };
            let may = |line: &Line, slow_running| !line.is_slow(now) || slow_running < most;
            if let Some(taken) = self.next(&mut state, now, may) {
                return Some(taken);
            }
            if state.closed && state.waiting == 0 {
                return None;
            }
            state.takers += 1;
            // A line that is passed over is slow no more after a while.
            let waited = match state.waiting {
                0 => self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                _ => {
                    let waited = self.filled.wait_timeout(state, LATE_EVENT);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state = waited;
            state.takers -= 1;
        }
    }

    /// Takes a job that is late and whose line nobody serves, whatever holds the workers. Waits for
    /// one; `None` once the queue is closed.
    pub(super) fn take_for_reserve(&self) -> Option<(Job, Turn)> {
        let mut state = self.state();
        while !state.closed {
            let now = Instant::now();
            let may = |line: &Line, _| {
                let late = line.front_age(now).is_some_and(|age| age >= LATE_JOB);
                late && line.running == 0 && !line.is_slow(now)
            };
            if state.takers == 0
                && let Some(taken) = self.next(&mut state, now, may)
            {
                return Some(taken);
            }
            let waited = self.closing.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// Takes the events that are late: those that wait long, and those of slow lines. Waits for
    /// some; `None` once the queue is closed and no event waits.
    pub(super) fn take_late_events(&self) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let mut late = Vec::new();
            let State { lines, turns, .. } = &mut *state;
            for (key, line) in lines.iter_mut() {
                if matches!(key, LineKey::Workflow(_)) {
                    continue;
                }
                let patience = line.patience(now);
                while line.front_age(now).is_some_and(|age| age >= patience) {
                    late.extend(line.jobs.pop_front().map(|(job, _)| job));
                }
            }
            if !late.is_empty() {
                turns.retain(|key| lines.get(key).is_some_and(|line| !line.jobs.is_empty()));
                lines.retain(|_, line| !line.is_over(now));
                state.waiting -= late.len();
                state.waiting_events -= late.len();
                self.has_room(&state);
                return Some(late);
            }
            if state.closed && state.waiting_events == 0 {
                return None;
            }
            let waited = self.closing.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the next job of the first line that may have its turn.
    fn next(
        &self,
        state: &mut State,
        now: Instant,
        may: impl Fn(&Line, usize) -> bool,
    ) -> Option<(Job, Turn)> {
        for _ in 0..state.turns.len() {
            let key = state.turns.pop_front()?;
            let slow_running = state.slow_running;
            let Some(line) = state.lines.get_mut(&key) else {
                continue;
            };
            if !may(line, slow_running) {
                state.turns.push_back(key);
                continue;
            }
            let Some((job, _)) = line.jobs.pop_front() else {
                continue;
            };
            line.running += 1;
            line.taken = Some(now);
            let slow = line.is_slow(now);
            let turn = Turn {
                line: key.clone(),
                began: now,
                slow,
            };
            if !line.jobs.is_empty() {
                state.turns.push_back(key);
            }
            state.slow_running += usize::from(slow);
            state.waiting -= 1;
            state.waiting_events -= usize::from(job.is_event());
            self.has_room(state);
            return Some((job, turn));
        }
        None
    }

    /// Wakes those who wait for room, once there is room for many: a wake for each job costs more
    /// than the job.
    fn has_room(&self, state: &State) {
        if state.givers > 0 && state.waiting_events <= MAX_WAITING_EVENTS / 2 {
            self.drained.notify_all();
        }
    }

    /// A job is done.
    pub(super) fn done(&self, turn: Turn) {
        let now = Instant::now();
        let mut state = self.state();
        state.slow_running -= usize::from(turn.slow);
        if let Some(line) = state.lines.get_mut(&turn.line) {
            line.running -= 1;
            if now.saturating_duration_since(turn.began) >= SLOW {
                line.slow_until = Some(now + STAYS_SLOW);
            }
            if line.is_over(now) {
                state.lines.remove(&turn.line);
            }
        }
        if turn.slow {
            // Lines whose time is over, and that nobody asks for again.
            state.lines.retain(|_, line| !line.is_over(now));
            if state.waiting > 0 && state.takers > 0 {
                self.filled.notify_one();
            }
        }
    }

    /// The workflows of which enough runs wait here; `None` where no more are to be fetched at all.
    pub(super) fn full_workflows(&self) -> Option<Vec<WorkflowRow>> {
        let now = Instant::now();
        let state = self.state();
        if state.waiting >= MAX_WAITING {
            return None;
        }
        let full = state.lines.iter().filter_map(|(key, line)| {
            let most = match line.is_slow(now) {
                true => MAX_WAITING_SLOW_RUNS,
                false => MAX_WAITING_RUNS,
            };
            match key {
                LineKey::Workflow(workflow) if line.jobs.len() >= most => Some(*workflow),
                _ => None,
            }
        });
        Some(full.collect())
    }

    /// Whether a worker waits for a job and there is none: what is put now is taken at once.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.waiting == 0 && state.takers > 0 && !state.closed
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.state().waiting
    }

    /// Refuses what comes from now on. What is in the queue is still taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
        self.closing.notify_all();
    }
}

#[cfg(test)]
mod tests;
