//! The job queue, fair between workflows.
//!
//! Jobs wait in sub-queues: one for each workflow with due runs and one for each event type.
//! Workers serve the sub-queues round-robin, so that a workflow with thousands of runs delays
//! another one by a single job. A sub-queue whose jobs take long counts as slow for a while; slow
//! sub-queues together never occupy the last worker. Two more threads limit the delay of waiting
//! jobs: the reserve worker executes a late job of a sub-queue that no worker serves, and late
//! events are stored before they are executed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::worker::{Job, Task};
use promoflow_store::WorkflowVersionId;

/// Maximum number of waiting events before senders block.
const MAX_WAITING_EVENTS: usize = 256;
/// Maximum number of due runs of one workflow in memory; further ones stay in the store.
const MAX_WAITING_RUNS: usize = 256;
/// Maximum number of due runs in memory of a slow workflow.
const MAX_WAITING_SLOW_RUNS: usize = 4;
/// Number of waiting jobs at which no more due runs are fetched.
const MAX_WAITING: usize = 4_096;
/// Duration of a job that makes its sub-queue slow.
const SLOW_JOB: Duration = Duration::from_millis(250);
/// Time for which a sub-queue stays slow after such a job.
const SLOW_PERIOD: Duration = Duration::from_secs(10);
/// Age at which an event is stored before it is executed, if workers did not serve its sub-queue
/// meanwhile.
const LATE_EVENT: Duration = Duration::from_millis(250);
/// The same age if workers do serve its sub-queue: storing it separately would only delay the
/// events behind it.
const LATEST_EVENT: Duration = Duration::from_secs(1);
/// Age at which a job goes to the reserve worker.
const LATE_JOB: Duration = Duration::from_millis(20);
/// Interval at which the reserve worker and the storer of late events check the queue.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The jobs that wait for a worker.
pub(super) struct JobQueue {
    state: Mutex<State>,
    /// Wakes the workers.
    job_added: Condvar,
    /// Wakes the threads that wait for room.
    room_made: Condvar,
    /// Wakes the reserve worker and the storer of late events when the queue closes.
    closing: Condvar,
    /// Maximum number of workers that slow sub-queues may occupy together.
    slow_workers: usize,
}

#[derive(Default)]
struct State {
    sub_queues: HashMap<SubQueueKey, SubQueue>,
    /// The sub-queues that have waiting jobs, in round-robin order.
    round_robin: VecDeque<SubQueueKey>,
    waiting: usize,
    waiting_events: usize,
    /// Number of workers that execute jobs of slow sub-queues.
    slow_running: usize,
    /// Number of workers that wait for a job.
    waiting_workers: usize,
    /// Number of threads that wait for room.
    waiting_senders: usize,
    closed: bool,
}

/// The key of a sub-queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SubQueueKey {
    Workflow(WorkflowVersionId),
    EventType(String),
}

impl SubQueueKey {
    fn for_job(job: &Job) -> SubQueueKey {
        match &job.task {
            Task::Event { event, .. } => SubQueueKey::EventType(event.event_type.clone()),
            Task::Run(run) => SubQueueKey::Workflow(run.workflow),
        }
    }
}

#[derive(Default)]
struct SubQueue {
    jobs: VecDeque<(Job, Instant)>,
    /// Number of its jobs that are executing.
    running: usize,
    slow_until: Option<Instant>,
    /// Time at which a worker took its last job.
    last_taken: Option<Instant>,
}

impl SubQueue {
    fn is_slow(&self, now: Instant) -> bool {
        self.slow_until.is_some_and(|until| now < until)
    }

    fn is_unused(&self, now: Instant) -> bool {
        self.jobs.is_empty() && self.running == 0 && !self.is_slow(now)
    }

    /// Returns how long an event may wait in this sub-queue before it is stored first.
    fn max_event_wait(&self, now: Instant) -> Duration {
        let served = |taken: Instant| now.saturating_duration_since(taken) < LATE_EVENT;
        match self.last_taken.is_some_and(served) {
            _ if self.is_slow(now) => POLL_INTERVAL,
            true => LATEST_EVENT,
            false => LATE_EVENT,
        }
    }

    fn front_age(&self, now: Instant) -> Option<Duration> {
        let (_, since) = self.jobs.front()?;
        Some(now.saturating_duration_since(*since))
    }
}

/// A job in execution; pass it to [`JobQueue::done`] when the job ends.
pub(super) struct JobTicket {
    sub_queue: SubQueueKey,
    began: Instant,
    slow: bool,
}

impl JobQueue {
    /// Creates a queue for this number of workers.
    pub(super) fn new(workers: usize) -> JobQueue {
        JobQueue {
            state: Mutex::default(),
            job_added: Condvar::new(),
            room_made: Condvar::new(),
            closing: Condvar::new(),
            slow_workers: workers.saturating_sub(1).max(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job; blocks while too many events wait. Returns the job if the queue is closed.
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        let mut state = self.state();
        while state.waiting_events >= MAX_WAITING_EVENTS && !state.closed {
            state.waiting_senders += 1;
            state = self
                .room_made
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting_senders -= 1;
        }
        self.add(state, job)
    }

    /// Adds a job without waiting for room, for threads that must not block.
    pub(super) fn push_unbounded(&self, job: Job) -> Result<(), Job> {
        self.add(self.state(), job)
    }

    fn add(&self, mut state: MutexGuard<'_, State>, job: Job) -> Result<(), Job> {
        if state.closed {
            return Err(job);
        }
        let key = SubQueueKey::for_job(&job);
        state.waiting += 1;
        state.waiting_events += usize::from(job.is_event());
        let sub_queue = state.sub_queues.entry(key.clone()).or_default();
        let first = sub_queue.jobs.is_empty();
        sub_queue.jobs.push_back((job, Instant::now()));
        if first {
            state.round_robin.push_back(key);
        }
        if state.waiting_workers > 0 {
            self.job_added.notify_one();
        }
        Ok(())
    }

    /// Takes the next job and blocks until there is one. `None` once the queue is closed and
    /// empty.
    pub(super) fn take(&self) -> Option<(Job, JobTicket)> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let most = match state.closed {
                true => usize::MAX,
                false => self.slow_workers,
            };
            let may =
                |sub_queue: &SubQueue, slow_running| !sub_queue.is_slow(now) || slow_running < most;
            if let Some(taken) = self.next(&mut state, now, may) {
                return Some(taken);
            }
            if state.closed && state.waiting == 0 {
                return None;
            }
            state.waiting_workers += 1;
            // A slow sub-queue that was skipped stops being slow after a while.
            let waited = match state.waiting {
                0 => self
                    .job_added
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                _ => {
                    let waited = self.job_added.wait_timeout(state, LATE_EVENT);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state = waited;
            state.waiting_workers -= 1;
        }
    }

    /// Takes a late job whose sub-queue no worker serves. Blocks until there is one; `None` once
    /// the queue is closed.
    pub(super) fn take_for_reserve(&self) -> Option<(Job, JobTicket)> {
        let mut state = self.state();
        while !state.closed {
            let now = Instant::now();
            let may = |sub_queue: &SubQueue, _| {
                let late = sub_queue.front_age(now).is_some_and(|age| age >= LATE_JOB);
                late && sub_queue.running == 0 && !sub_queue.is_slow(now)
            };
            if state.waiting_workers == 0
                && let Some(taken) = self.next(&mut state, now, may)
            {
                return Some(taken);
            }
            let waited = self.closing.wait_timeout(state, POLL_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// Takes the late events: old ones, and those of slow sub-queues. Blocks until there are some;
    /// `None` once the queue is closed and no event waits.
    pub(super) fn take_late_events(&self) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let mut late = Vec::new();
            let State {
                sub_queues,
                round_robin,
                ..
            } = &mut *state;
            for (key, sub_queue) in sub_queues.iter_mut() {
                if matches!(key, SubQueueKey::Workflow(_)) {
                    continue;
                }
                let max_event_wait = sub_queue.max_event_wait(now);
                while sub_queue
                    .front_age(now)
                    .is_some_and(|age| age >= max_event_wait)
                {
                    late.extend(sub_queue.jobs.pop_front().map(|(job, _)| job));
                }
            }
            if !late.is_empty() {
                round_robin.retain(|key| {
                    sub_queues
                        .get(key)
                        .is_some_and(|sub_queue| !sub_queue.jobs.is_empty())
                });
                sub_queues.retain(|_, sub_queue| !sub_queue.is_unused(now));
                state.waiting -= late.len();
                state.waiting_events -= late.len();
                self.wake_senders(&state);
                return Some(late);
            }
            if state.closed && state.waiting_events == 0 {
                return None;
            }
            let waited = self.closing.wait_timeout(state, POLL_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the next job of the first sub-queue in round-robin order that `may` accepts.
    fn next(
        &self,
        state: &mut State,
        now: Instant,
        may: impl Fn(&SubQueue, usize) -> bool,
    ) -> Option<(Job, JobTicket)> {
        for _ in 0..state.round_robin.len() {
            let key = state.round_robin.pop_front()?;
            let slow_running = state.slow_running;
            let Some(sub_queue) = state.sub_queues.get_mut(&key) else {
                continue;
            };
            if !may(sub_queue, slow_running) {
                state.round_robin.push_back(key);
                continue;
            }
            let Some((job, _)) = sub_queue.jobs.pop_front() else {
                continue;
            };
            sub_queue.running += 1;
            sub_queue.last_taken = Some(now);
            let slow = sub_queue.is_slow(now);
            let ticket = JobTicket {
                sub_queue: key.clone(),
                began: now,
                slow,
            };
            if !sub_queue.jobs.is_empty() {
                state.round_robin.push_back(key);
            }
            state.slow_running += usize::from(slow);
            state.waiting -= 1;
            state.waiting_events -= usize::from(job.is_event());
            self.wake_senders(state);
            return Some((job, ticket));
        }
        None
    }

    /// Wakes the threads that wait for room only when there is room for many: one wake-up per job
    /// costs more than the job.
    fn wake_senders(&self, state: &State) {
        if state.waiting_senders > 0 && state.waiting_events <= MAX_WAITING_EVENTS / 2 {
            self.room_made.notify_all();
        }
    }

    /// Records that a job has ended.
    pub(super) fn done(&self, ticket: JobTicket) {
        let now = Instant::now();
        let mut state = self.state();
        state.slow_running -= usize::from(ticket.slow);
        if let Some(sub_queue) = state.sub_queues.get_mut(&ticket.sub_queue) {
            sub_queue.running -= 1;
            if now.saturating_duration_since(ticket.began) >= SLOW_JOB {
                sub_queue.slow_until = Some(now + SLOW_PERIOD);
            }
            if sub_queue.is_unused(now) {
                state.sub_queues.remove(&ticket.sub_queue);
            }
        }
        if ticket.slow {
            // Removes sub-queues that are no longer slow and that no job will visit again.
            state
                .sub_queues
                .retain(|_, sub_queue| !sub_queue.is_unused(now));
            if state.waiting > 0 && state.waiting_workers > 0 {
                self.job_added.notify_one();
            }
        }
    }

    /// Returns the workflows with enough runs in memory; `None` if no more runs should be fetched
    /// at all.
    pub(super) fn full_workflows(&self) -> Option<Vec<WorkflowVersionId>> {
        let now = Instant::now();
        let state = self.state();
        if state.waiting >= MAX_WAITING {
            return None;
        }
        let full = state.sub_queues.iter().filter_map(|(key, sub_queue)| {
            let most = match sub_queue.is_slow(now) {
                true => MAX_WAITING_SLOW_RUNS,
                false => MAX_WAITING_RUNS,
            };
            match key {
                SubQueueKey::Workflow(workflow) if sub_queue.jobs.len() >= most => Some(*workflow),
                _ => None,
            }
        });
        Some(full.collect())
    }

    /// Returns true if a worker is waiting and no job is: a job added now starts at once.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.waiting == 0 && state.waiting_workers > 0 && !state.closed
    }

    /// Returns the number of waiting jobs.
    pub(super) fn len(&self) -> usize {
        self.state().waiting
    }

    /// Rejects new jobs. Jobs already in the queue are still taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.job_added.notify_all();
        self.room_made.notify_all();
        self.closing.notify_all();
    }
}

#[cfg(test)]
mod tests;
