//! Tests with a store whose commits end when the test lets them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicBool, Ordering};
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
    fn commit(&self, units: &[CommitUnit], _: &dyn Clock) -> Result<Vec<CommitReply>, StoreError> {
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
        Bench {
            committer: start(store),
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
    fn commit(&self, units: &[CommitUnit], _: &dyn Clock) -> Result<Vec<CommitReply>, StoreError> {
        Ok(vec![CommitReply::Done; units.len()])
    }
}

fn start(store: impl CommitStore + 'static) -> Committer {
    let metrics = Arc::new(Metrics::new().unwrap());
    let (store, clock) = (Arc::new(store), Arc::new(SystemClock));
    Committer::start(store, clock, metrics, Arc::default()).unwrap()
}

fn committer() -> Committer {
    start(NullStore)
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

#[test]
fn a_panic_in_the_store_is_an_error_of_its_units() {
    /// Panics in the first commit.
    struct PanickingStore(AtomicBool);
    impl CommitStore for PanickingStore {
        fn commit(
            &self,
            units: &[CommitUnit],
            _: &dyn Clock,
        ) -> Result<Vec<CommitReply>, StoreError> {
            assert!(self.0.swap(true, Ordering::SeqCst), "the store fails");
            Ok(vec![CommitReply::Done; units.len()])
        }
    }
    for is_lone in [true, false] {
        let committer = start(PanickingStore(AtomicBool::new(false)));
        let (report, reports) = channel();
        let other = (!is_lone).then(|| committer.reserve());
        committer.submit(unit(), None, Box::new(SendReply(report.clone())));
        drop(other);
        let error = reports.recv_timeout(TIMEOUT).unwrap().unwrap_err();
        assert!(matches!(*error.0, StoreError::Unknown(_)), "{error}");
        committer.submit_deferred(unit(), committer.reserve(), Box::new(SendReply(report)));
        assert!(reports.recv_timeout(TIMEOUT).unwrap().is_ok());
        committer.stop();
    }
}
