//! A clock that tests move by hand, also between a claim and its commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use promoflow::clock::{Clock, ManualClock, Timestamp};

type Deed = Box<dyn FnOnce() + Send>;

/// A manual clock that several owners share.
#[derive(Clone)]
pub struct HandClock {
    time: Arc<ManualClock>,
    before_commits: Arc<Mutex<Vec<Deed>>>,
    commits: Arc<AtomicU64>,
    panics: Arc<Mutex<Option<ThreadId>>>,
}

impl HandClock {
    /// A clock that stands at a moment written as RFC 3339 has it.
    ///
    /// # Panics
    /// Where that is no moment.
    pub fn at(text: &str) -> HandClock {
        HandClock {
            time: Arc::new(ManualClock::at(moment(text))),
            before_commits: Arc::default(),
            commits: Arc::default(),
            panics: Arc::default(),
        }
    }

    /// Moves it to a moment.
    pub fn set(&self, text: &str) {
        self.time.set(moment(text));
    }

    /// Moves it by so many milliseconds.
    pub fn advance(&self, millis: i64) {
        self.time.advance(millis);
    }

    /// Has something done right before the next commit of an engine, when its segments are
    /// executed and nothing of them is stored: what was staged may then be no longer so. Several
    /// are done one a commit, in order.
    pub fn before_commit(&self, deed: impl FnOnce() + Send + 'static) {
        self.deeds().push(Box::new(deed));
    }

    /// How many of those commits are still to come.
    pub fn commits_to_come(&self) -> usize {
        self.deeds().len()
    }

    /// How many commits of an engine have begun.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Panics when this thread, or a worker, asks for the time next: a fault of the host at that
    /// place.
    pub fn panic_here(&self) {
        *lock(&self.panics) = Some(thread::current().id());
    }

    fn deeds(&self) -> MutexGuard<'_, Vec<Deed>> {
        lock(&self.before_commits)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        let mut panics = lock(&self.panics);
        let this = thread::current();
        let works = this.name().is_some_and(|name| name.starts_with("worker-"));
        if panics.is_some_and(|armed| works || armed == this.id()) {
            *panics = None;
            drop(panics);
            panic!("a fault of the host");
        }
        self.time.now()
    }

    fn before_commit(&self) {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let deed = {
            let mut deeds = self.deeds();
            (!deeds.is_empty()).then(|| deeds.remove(0))
        };
        if let Some(deed) = deed {
            deed();
        }
    }
}

fn moment(text: &str) -> Timestamp {
    let time = chrono::DateTime::parse_from_rfc3339(text).expect("a moment as RFC 3339 has it");
    Timestamp(time.timestamp_millis())
}
