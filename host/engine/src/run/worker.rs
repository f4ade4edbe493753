//! Workers: the threads that execute segments and submit them to the committer.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::configuration::Configuration;
use super::engine::{Answer, MOST_TRIES, SendError, Shared};
use super::segment::{Beginning, Contended, again, execute, positions};
use crate::committer::Announced;
use promoflow_model::event::Event;
use promoflow_model::pool::Lane;
use promoflow_store::{Accept, ConfigId, DueRun, Segment, Start, TroubleKind, Unit};

/// A job for a worker.
pub(super) struct Job {
    pub(super) task: Task,
    /// Number of earlier tries that ended in a conflict.
    tries: u32,
    /// Announces to the committer that a commit request will follow.
    announced: Announced,
}

pub(super) enum Task {
    Event { event: Box<Event>, answer: Answer },
    Run(Box<DueRun>),
}

impl Job {
    /// Creates a job for its first try.
    pub(super) fn new(task: Task, announced: Announced) -> Job {
        Job {
            task,
            tries: 0,
            announced,
        }
    }

    pub(super) fn is_event(&self) -> bool {
        matches!(self.task, Task::Event { .. })
    }

    /// Reports to the sender of an event that the engine has stopped. A run continues in the next
    /// process.
    pub(super) fn refuse(self) {
        if let Task::Event { answer, .. } = self.task {
            answer(Err(SendError::Unavailable("the engine was stopped")));
        }
    }
}

/// Returns true if a segment depends on an earlier start of the same commit request, which may
/// still be dropped: both take a code for their contact to keep, or this one found a code group
/// exhausted from which the other took a code. The segment then runs again after the commit.
fn clashes(starts: &[Start], segment: &Segment) -> bool {
    fn keeps(segment: &Segment) -> impl Iterator<Item = &Lane> {
        let taken = segment.reuses.iter();
        taken
            .filter(|reuse| reuse.replaced_by.is_some())
            .map(|reuse| &reuse.lane)
    }
    let mut others = starts.iter().filter_map(|start| start.segment.as_ref());
    others.any(|other| {
        let mut missed = segment.exhausted.iter().map(|one| &one.lane);
        keeps(segment).any(|lane| keeps(other).any(|one| one == lane))
            || missed.any(|lane| other.claims.iter().any(|claim| claim.lane == *lane))
    })
}

impl Shared {
    /// Queues a task for a worker; blocks while the queue is full.
    pub(super) fn bring(&self, task: Task) {
        let announced = self.parts.committer.announce();
        if let Err(refused) = self.jobs.put(Job::new(task, announced)) {
            refused.refuse();
        }
    }

    /// Processes an event on the calling thread.
    pub(super) fn here(self: &Arc<Self>, event: Box<Event>, answer: Answer) {
        let announced = self.parts.committer.announce();
        self.event(event, 0, announced, answer);
    }

    /// Stores an event that starts nothing in this configuration, without a worker. For threads
    /// that must not wait for the disk.
    pub(super) fn only_store(self: &Arc<Self>, event: Event, config: ConfigId, answer: Answer) {
        let accept = Accept {
            event,
            config,
            starts: Vec::new(),
        };
        let shared = Arc::clone(self);
        let committer = &self.parts.committer;
        committer.hand_over(
            Unit::Accept(Box::new(accept)),
            committer.announce(),
            move |reply, unit| shared.accepted(reply, unit, 0, answer),
        );
    }

    /// Queues a task for a worker without blocking.
    pub(super) fn bring_at_once(&self, task: Task) {
        self.queue_at_once(task, 0);
    }

    /// Queues a task again after a conflict, without blocking.
    pub(super) fn bring_back(&self, task: Task, tries: u32) {
        self.queue_at_once(task, tries + 1);
    }

    fn queue_at_once(&self, task: Task, tries: u32) {
        let announced = self.parts.committer.announce();
        if let Err(refused) = self.jobs.put_at_once(Job {
            task,
            tries,
            announced,
        }) {
            refused.refuse();
        }
    }

    pub(super) fn work(self: &Arc<Self>) {
        self.parts.sandboxes.prepare_thread();
        while let Some((job, turn)) = self.jobs.take() {
            self.job(job);
            self.jobs.done(turn);
        }
    }

    /// Executes late jobs while all workers are busy.
    pub(super) fn work_in_reserve(self: &Arc<Self>) {
        self.parts.sandboxes.prepare_thread();
        while let Some((job, turn)) = self.jobs.take_for_reserve() {
            self.job(job);
            self.jobs.done(turn);
        }
    }

    /// Stores late events; their runs become due afterwards.
    pub(super) fn store_late_events(self: &Arc<Self>) {
        while let Some(late) = self.jobs.take_late_events() {
            for job in late {
                if let Task::Event { event, answer } = job.task {
                    let (tries, announced) = (job.tries, job.announced);
                    self.event_with(event, tries, announced, answer, false);
                }
            }
        }
    }

    fn job(self: &Arc<Self>, job: Job) {
        let Job {
            task,
            tries,
            announced,
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
            Task::Event { event, answer } => self.event(event, tries, announced, answer),
            Task::Run(run) => self.run(*run, tries, announced),
        }));
        if done.is_err() {
            // The staged codes, and the sender's callback, were lost in the panic.
            self.around.leases.forget_all();
            run.into_iter().for_each(|run| self.put_to_rest(run));
        }
    }

    fn event(
        self: &Arc<Self>,
        event: Box<Event>,
        tries: u32,
        announced: Announced,
        answer: Answer,
    ) {
        let executes = self.executes.load(Ordering::SeqCst);
        self.event_with(event, tries, announced, answer, executes);
    }

    /// Processes an event. With `executes`, the first segments of its runs are executed before the
    /// commit; otherwise its runs become due after it.
    fn event_with(
        self: &Arc<Self>,
        event: Box<Event>,
        tries: u32,
        announced: Announced,
        answer: Answer,
        executes: bool,
    ) {
        if tries > MOST_TRIES {
            return answer(Err(SendError::Unavailable(
                "too many concurrent changes; retry later",
            )));
        }
        let configuration = match self.parts.configurations.present() {
            Ok(configuration) => configuration,
            Err(error) => return answer(Err(SendError::Configuration(error))),
        };
        let starts = self.starts(&event, &configuration, executes);
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

    /// Returns the runs that an event starts, with their first segments if this process executes. A
    /// segment that depends on uncommitted segments is executed after the event is stored.
    fn starts(&self, event: &Event, configuration: &Configuration, executes: bool) -> Vec<Start> {
        let mut starts: Vec<Start> = Vec::new();
        for plan in configuration.starts(event) {
            let (workflow, rule) = (plan.workflow, plan.rule.clone());
            let mut segment = None;
            if executes {
                let mut beginning = Beginning {
                    plan,
                    run: None,
                    step: 0,
                    attempt: 0,
                    troubles: Vec::new(),
                    data: event.params.clone(),
                    set: BTreeSet::new(),
                    key: event.key.clone(),
                    contacts: configuration.contacts,
                    codes: Vec::new(),
                    beside: starts
                        .iter()
                        .flat_map(|start| &start.segment)
                        .flat_map(positions)
                        .collect(),
                    visits: HashMap::new(),
                    resumed: None,
                };
                match execute(&mut beginning, &self.around) {
                    Ok(executed) if clashes(&starts, &executed) => {
                        self.around.leases.give_back(&executed.claims);
                    }
                    Ok(executed) => segment = Some(executed),
                    Err(Contended) => {}
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

    fn run(self: &Arc<Self>, run: DueRun, tries: u32, announced: Announced) {
        let plan = match self.parts.configurations.plan(run.workflow, run.config) {
            Ok(plan) => plan,
            Err(error) => {
                // Not an error of the run: an operator may restore what is missing.
                tracing::error!(run = run.id.0, "the run cannot continue: {error:#}");
                return self.retry_later(run, announced, format!("{error:#}"));
            }
        };
        let contacts = match self.parts.configurations.present() {
            Ok(configuration) => configuration.contacts,
            Err(error) => {
                tracing::error!(run = run.id.0, "the run cannot continue: {error:#}");
                return self.retry_later(run, announced, format!("{error:#}"));
            }
        };
        let mut beginning = Beginning {
            plan,
            run: Some((run.id, run.segment)),
            step: usize::try_from(run.step).unwrap_or(usize::MAX),
            attempt: run.attempt,
            troubles: run.troubles.clone(),
            data: run.data.clone(),
            set: run.set.clone(),
            key: run.key.clone(),
            contacts,
            codes: Vec::new(),
            beside: Vec::new(),
            visits: run.visits.clone(),
            resumed: run.resumed.clone(),
        };
        match execute(&mut beginning, &self.around) {
            Ok(segment) => self.hand_in(run, tries, announced, segment),
            Err(Contended) => {
                self.bring_back(Task::Run(Box::new(run)), tries);
            }
        }
    }

    fn retry_later(self: &Arc<Self>, run: DueRun, announced: Announced, error: String) {
        let (kind, now) = (TroubleKind::Unavailable, self.parts.clock.now());
        let end = again(error, String::new(), kind, &run.troubles, now);
        let (itself, attempt) = ((run.id, run.segment), run.attempt + 1);
        let segment = Segment::without_effects(Some(itself), attempt, run.resumed.clone(), end);
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
}
