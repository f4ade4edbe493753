//! Workers: the threads that execute segments and submit them to the committer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::completion::{EventCompletion, SegmentCompletion};
use super::engine::{EventCallback, MAX_CONFLICTS, Shared, SubmitError};
use super::segment::{Conflict, SegmentInput, execute, positions, retry_or_fail};
use super::workflow_cache::Configuration;
use crate::committer::Reservation;
use promoflow_model::event::{CheckedEvent, Event};
use promoflow_model::pool::CodeGroup;
use promoflow_store::{
    AcceptEvent, CommitUnit, ConfigVersion, DueRun, FailureKind, Segment, Start,
};

/// A job for a worker.
pub(super) struct Job {
    pub(super) task: Task,
    /// Number of earlier tries that ended in a conflict.
    tries: u32,
    /// Announces to the committer that a commit request will follow.
    reservation: Reservation,
}

pub(super) enum Task {
    Event {
        event: Box<CheckedEvent>,
        answer: EventCallback,
    },
    Run(Box<DueRun>),
}

impl Job {
    /// Creates a job for its first try.
    pub(super) fn new(task: Task, reservation: Reservation) -> Job {
        Job {
            task,
            tries: 0,
            reservation,
        }
    }

    pub(super) fn is_event(&self) -> bool {
        matches!(self.task, Task::Event { .. })
    }

    /// Reports to the sender of an event that the engine has stopped. A run continues in the next
    /// process.
    pub(super) fn reject(self) {
        if let Task::Event { answer, .. } = self.task {
            answer(Err(SubmitError::Unavailable("the engine was stopped")));
        }
    }
}

/// Returns true if a segment depends on an earlier start of the same commit request, which may
/// still be dropped: both take a code for their contact to keep, or this one found a code group
/// exhausted from which the other took a code. The segment then runs again after the commit.
fn depends_on(starts: &[Start], segment: &Segment) -> bool {
    fn keeps(segment: &Segment) -> impl Iterator<Item = &CodeGroup> {
        let taken = segment.reuses.iter();
        taken
            .filter(|reuse| reuse.replaced_by.is_some())
            .map(|reuse| &reuse.code_group)
    }
    let mut others = starts.iter().filter_map(|start| start.segment.as_ref());
    others.any(|other| {
        let mut missed = segment.exhausted.iter().map(|one| &one.code_group);
        keeps(segment).any(|code_group| keeps(other).any(|one| one == code_group))
            || missed.any(|code_group| {
                other
                    .claims
                    .iter()
                    .any(|claim| claim.code_group == *code_group)
            })
    })
}

impl Shared {
    /// Queues a task for a worker; blocks while the queue is full.
    pub(super) fn submit(&self, task: Task) {
        let reservation = self.parts.committer.reserve();
        if let Err(rejected) = self.jobs.push(Job::new(task, reservation)) {
            rejected.reject();
        }
    }

    /// Processes an event on the calling thread.
    pub(super) fn process_inline(
        self: &Arc<Self>,
        event: Box<CheckedEvent>,
        answer: EventCallback,
    ) {
        let reservation = self.parts.committer.reserve();
        self.process_event(event, 0, reservation, answer);
    }

    /// Stores an event that starts nothing in this configuration, without a worker. For threads
    /// that must not wait for the disk.
    pub(super) fn store_only(
        self: &Arc<Self>,
        event: CheckedEvent,
        config: ConfigVersion,
        answer: EventCallback,
    ) {
        let accept = AcceptEvent {
            event,
            config,
            starts: Vec::new(),
        };
        let completion = EventCompletion {
            shared: Arc::clone(self),
            tries: 0,
            answer,
        };
        let committer = &self.parts.committer;
        committer.submit_deferred(
            CommitUnit::Accept(Box::new(accept)),
            committer.reserve(),
            Box::new(completion),
        );
    }

    /// Queues a task for a worker without blocking.
    pub(super) fn submit_unbounded(&self, task: Task) {
        self.push_job(task, 0);
    }

    /// Queues a task again after a conflict, without blocking.
    pub(super) fn resubmit(&self, task: Task, tries: u32) {
        self.push_job(task, tries + 1);
    }

    fn push_job(&self, task: Task, tries: u32) {
        let reservation = self.parts.committer.reserve();
        if let Err(rejected) = self.jobs.push_unbounded(Job {
            task,
            tries,
            reservation,
        }) {
            rejected.reject();
        }
    }

    pub(super) fn run_worker(self: &Arc<Self>) {
        self.parts.sandboxes.warm_up_thread();
        while let Some((job, ticket)) = self.jobs.take() {
            self.process_job(job);
            self.jobs.done(ticket);
        }
    }

    /// Executes late jobs while all workers are busy.
    pub(super) fn run_reserve_worker(self: &Arc<Self>) {
        self.parts.sandboxes.warm_up_thread();
        while let Some((job, ticket)) = self.jobs.take_for_reserve() {
            self.process_job(job);
            self.jobs.done(ticket);
        }
    }

    /// Stores late events; their runs become due afterwards.
    pub(super) fn store_late_events(self: &Arc<Self>) {
        while let Some(late) = self.jobs.take_late_events() {
            for job in late {
                if let Task::Event { event, answer } = job.task {
                    let (tries, reservation) = (job.tries, job.reservation);
                    self.process_event_with(event, tries, reservation, answer, false);
                }
            }
        }
    }

    fn process_job(self: &Arc<Self>, job: Job) {
        let Job {
            task,
            tries,
            reservation,
        } = job;
        if tries > 1 {
            // Gives the cause of the conflict a moment to settle.
            thread::sleep(Duration::from_millis(1));
        }
        let run = match &task {
            Task::Run(run) => Some(run.id),
            Task::Event { .. } => None,
        };
        let done = catch_unwind(AssertUnwindSafe(|| match task {
            Task::Event { event, answer } => self.process_event(event, tries, reservation, answer),
            Task::Run(run) => self.process_run(*run, tries, reservation),
        }));
        if done.is_err() {
            // The staged codes, and the sender's callback, were lost in the panic.
            self.context.leases.forget_all();
            run.into_iter().for_each(|run| self.back_off(run));
        }
    }

    fn process_event(
        self: &Arc<Self>,
        event: Box<CheckedEvent>,
        tries: u32,
        reservation: Reservation,
        answer: EventCallback,
    ) {
        let executes = self.executes.load(Ordering::SeqCst);
        self.process_event_with(event, tries, reservation, answer, executes);
    }

    /// Processes an event. With `executes`, the first segments of its runs are executed before the
    /// commit; otherwise its runs become due after it.
    fn process_event_with(
        self: &Arc<Self>,
        event: Box<CheckedEvent>,
        tries: u32,
        reservation: Reservation,
        answer: EventCallback,
        executes: bool,
    ) {
        if tries > MAX_CONFLICTS {
            return answer(Err(SubmitError::Unavailable(
                "too many concurrent changes; retry later",
            )));
        }
        let configuration = match self.parts.workflow_cache.current() {
            Ok(configuration) => configuration,
            Err(error) => {
                return answer(Err(error.into()));
            }
        };
        let starts = self.start_runs(&event, &configuration, executes);
        let accept = AcceptEvent {
            event: *event,
            config: configuration.id,
            starts,
        };
        let completion = EventCompletion {
            shared: Arc::clone(self),
            tries,
            answer,
        };
        let unit = CommitUnit::Accept(Box::new(accept));
        self.parts
            .committer
            .submit(unit, Some(reservation), Box::new(completion));
    }

    /// Returns the runs that an event starts, with their first segments if this process executes. A
    /// segment that depends on uncommitted segments is executed after the event is stored.
    fn start_runs(
        &self,
        event: &Event,
        configuration: &Configuration,
        executes: bool,
    ) -> Vec<Start> {
        let mut starts: Vec<Start> = Vec::new();
        for plan in configuration.plans_for(event) {
            let (workflow, rule) = (plan.workflow, plan.rule.clone());
            let mut segment = None;
            if executes {
                let mut input = SegmentInput::of_event(plan, event, configuration.contacts);
                input.claimed_in_batch = starts
                    .iter()
                    .flat_map(|start| &start.segment)
                    .flat_map(positions)
                    .collect();
                match execute(&mut input, &self.context) {
                    Ok(executed) if depends_on(&starts, &executed) => {
                        self.context.leases.give_back(&executed.claims);
                    }
                    Ok(executed) => segment = Some(executed),
                    Err(Conflict) => {}
                }
            }
            starts.push(Start {
                workflow,
                rule,
                segment,
            });
        }
        starts
    }

    fn process_run(self: &Arc<Self>, run: DueRun, tries: u32, reservation: Reservation) {
        let plan = match self.parts.workflow_cache.plan(run.workflow, run.config) {
            Ok(plan) => plan,
            Err(error) => {
                // Not an error of the run: an operator may restore what is missing.
                tracing::error!(run = run.id.0, "the run cannot continue: {error}");
                return self.retry_later(run, reservation, error.to_string());
            }
        };
        let contacts = match self.parts.workflow_cache.current() {
            Ok(configuration) => configuration.contacts,
            Err(error) => {
                tracing::error!(run = run.id.0, "the run cannot continue: {error}");
                return self.retry_later(run, reservation, error.to_string());
            }
        };
        let mut input = SegmentInput::of_run(plan, &run, contacts);
        match execute(&mut input, &self.context) {
            Ok(segment) => self.submit_segment(run, tries, reservation, segment),
            Err(Conflict) => {
                self.resubmit(Task::Run(Box::new(run)), tries);
            }
        }
    }

    fn retry_later(self: &Arc<Self>, run: DueRun, reservation: Reservation, error: String) {
        let (kind, now) = (FailureKind::Unavailable, self.parts.clock.now());
        let end = retry_or_fail(error, String::new(), kind, &run.retry_states, now);
        let (itself, attempt) = ((run.id, run.segment), run.attempt + 1);
        let segment = Segment::without_effects(Some(itself), attempt, run.resumed.clone(), end);
        self.submit_segment(run, 0, reservation, segment);
    }

    fn submit_segment(
        self: &Arc<Self>,
        run: DueRun,
        tries: u32,
        reservation: Reservation,
        segment: Segment,
    ) {
        let completion = SegmentCompletion {
            shared: Arc::clone(self),
            run,
            tries,
        };
        let unit = CommitUnit::Segment(Box::new(segment));
        self.parts
            .committer
            .submit(unit, Some(reservation), Box::new(completion));
    }
}
