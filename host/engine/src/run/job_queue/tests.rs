#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;

use super::*;
use crate::committer::Committer;
use crate::metrics::Metrics;
use promoflow_model::clock::SystemClock;
use promoflow_model::event::Event;
use promoflow_store::{ConfigVersion, DueRun, RunId, Store};
use promoflow_store_sqlite::SqliteStore;

/// Creates jobs.
struct Jobs {
    committer: Committer,
    _folder: tempfile::TempDir,
}

impl Jobs {
    fn new() -> Jobs {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("jobs.db")).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let metrics = Arc::new(Metrics::new().unwrap());
        let committer = Committer::start(store, Arc::new(SystemClock), metrics, Arc::default());
        Jobs {
            committer: committer.unwrap(),
            _folder: folder,
        }
    }

    fn run(&self, workflow: i64, id: i64) -> Job {
        let run = DueRun {
            id: RunId(id),
            workflow: WorkflowVersionId(workflow),
            config: ConfigVersion(1),
            segment: 0,
            step: 0,
            attempt: 0,
            retry_states: Vec::new(),
            data: serde_json::Map::new(),
            set: BTreeSet::new(),
            key: String::new(),
            visits: HashMap::new(),
            resumed: None,
        };
        Job::new(Task::Run(Box::new(run)), self.committer.reserve())
    }

    fn event(&self, kind: &str) -> Job {
        let event = Box::new(Event::new(kind, "ann").checked().unwrap());
        let answer = Box::new(|_| ());
        Job::new(Task::Event { event, answer }, self.committer.reserve())
    }
}

fn ids_of(job: &Job) -> (i64, i64) {
    match &job.task {
        Task::Run(run) => (run.workflow.0, run.id.0),
        Task::Event { .. } => (0, 0),
    }
}

/// Runs a job of this workflow that takes long.
fn slow(queue: &JobQueue, jobs: &Jobs, workflow: i64) {
    queue.push(jobs.run(workflow, 0)).ok().unwrap();
    let (_, ticket) = queue.take().unwrap();
    let began = Instant::now().checked_sub(SLOW_JOB).unwrap();
    queue.done(JobTicket { began, ..ticket });
}

#[test]
fn serves_sub_queues_round_robin() {
    let (jobs, queue) = (Jobs::new(), JobQueue::new(2));
    for id in 0..100 {
        queue.push(jobs.run(1, id)).ok().unwrap();
    }
    queue.push(jobs.run(2, 7)).ok().unwrap();
    queue.push(jobs.event("x")).ok().unwrap();
    let taken: Vec<_> = (0..5).map(|_| ids_of(&queue.take().unwrap().0)).collect();
    assert_eq!(taken, [(1, 0), (2, 7), (0, 0), (1, 1), (1, 2)]);
}

#[test]
fn slow_sub_queues_leave_one_worker_to_others() {
    let (jobs, queue) = (Jobs::new(), JobQueue::new(3));
    slow(&queue, &jobs, 1);
    slow(&queue, &jobs, 2);
    for id in 0..5 {
        queue.push(jobs.run(1, id)).ok().unwrap();
        queue.push(jobs.run(2, id)).ok().unwrap();
    }
    assert_eq!(queue.full_workflows().unwrap().len(), 2);
    let held: Vec<_> = (0..2).map(|_| queue.take().unwrap()).collect();
    queue.push(jobs.run(3, 9)).ok().unwrap();
    assert_eq!(ids_of(&queue.take().unwrap().0), (3, 9));
    // A slow sub-queue is served again when one of its jobs ends.
    thread::scope(|scope| {
        let next = scope.spawn(|| ids_of(&queue.take().unwrap().0).0);
        for (_, ticket) in held {
            queue.done(ticket);
        }
        assert!(matches!(next.join().unwrap(), 1 | 2));
    });
    // A closed queue is drained.
    queue.close();
    let mut left = 0;
    while queue.take().is_some() {
        left += 1;
    }
    assert_eq!(left, 7);
}

#[test]
fn reserve_takes_unserved_jobs_and_late_events_are_returned() {
    let (jobs, queue) = (Jobs::new(), JobQueue::new(1));
    slow(&queue, &jobs, 4);
    queue.push(jobs.run(1, 0)).ok().unwrap();
    let (_, _held) = queue.take().unwrap();
    queue.push(jobs.run(1, 1)).ok().unwrap();
    queue.push(jobs.run(4, 2)).ok().unwrap();
    queue.push(jobs.run(2, 3)).ok().unwrap();
    let (job, _) = queue.take_for_reserve().unwrap();
    assert_eq!(ids_of(&job), (2, 3));
    let began = Instant::now();
    queue.push(jobs.event("x")).ok().unwrap();
    queue.push(jobs.event("x")).ok().unwrap();
    assert_eq!(queue.take_late_events().unwrap().len(), 2);
    assert!(began.elapsed() >= LATE_EVENT);
    assert_eq!(queue.len(), 2);
    // After a worker has just served the sub-queue, its events wait longer.
    let sub_queue = SubQueue {
        last_taken: Some(Instant::now()),
        ..SubQueue::default()
    };
    assert_eq!(sub_queue.max_event_wait(Instant::now()), LATEST_EVENT);
    assert_eq!(
        sub_queue.max_event_wait(Instant::now() + LATE_EVENT),
        LATE_EVENT
    );
    queue.close();
    assert!(queue.take_for_reserve().is_none() && queue.take_late_events().is_none());
    assert!(queue.push(jobs.event("x")).is_err());
}

#[test]
fn delivers_each_job_once_between_many_threads() {
    let (jobs, queue) = (Jobs::new(), JobQueue::new(3));
    let mut taken: Vec<i64> = thread::scope(|scope| {
        let takers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut taken = Vec::new();
                    while let Some((job, ticket)) = queue.take() {
                        taken.push(ids_of(&job).1);
                        queue.done(ticket);
                    }
                    taken
                })
            })
            .collect();
        let givers: Vec<_> = (0..4_i64)
            .map(|giver| {
                let (queue, jobs) = (&queue, &jobs);
                let put = move |n| queue.push(jobs.run(n % 7, giver * 500 + n)).is_ok();
                scope.spawn(move || (0..500_i64).all(put))
            })
            .collect();
        assert!(givers.into_iter().all(|giver| giver.join().unwrap()));
        queue.close();
        let takers = takers.into_iter();
        takers.flat_map(|taker| taker.join().unwrap()).collect()
    });
    taken.sort_unstable();
    assert_eq!(taken, (0..2_000).collect::<Vec<_>>());
}
