//! A clock that tests set by hand, also between a claim and its commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use promoflow::clock::{Clock, ManualClock, Timestamp};

type Hook = Box<dyn FnOnce() + Send>;

/// A manual clock with shared ownership.
#[derive(Clone)]
pub struct TestClock {
    time: Arc<ManualClock>,
    before_commits: Arc<Mutex<Vec<Hook>>>,
    commits: Arc<AtomicU64>,
    panics: Arc<Mutex<Option<ThreadId>>>,
}

impl TestClock {
    /// Returns a clock that shows the given RFC 3339 time.
    ///
    /// # Panics
    /// If the text is not an RFC 3339 time.
    pub fn at(text: &str) -> TestClock {
        TestClock {
            time: Arc::new(ManualClock::new(parse_time(text))),
            before_commits: Arc::default(),
            commits: Arc::default(),
            panics: Arc::default(),
        }
    }

    /// Sets the clock.
    pub fn set(&self, text: &str) {
        self.time.set(parse_time(text));
    }

    /// Advances the clock by `millis` milliseconds.
    pub fn advance(&self, millis: i64) {
        self.time.advance(millis);
    }

    /// Runs a hook right before the engine's next commit, when its segments are executed and none
    /// of their effects is stored, so that staged effects can become invalid. Several hooks run in
    /// order, one per commit.
    pub fn before_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.hooks().push(Box::new(hook));
    }

    /// Returns the number of hooks that have not run yet.
    pub fn pending_hooks(&self) -> usize {
        self.hooks().len()
    }

    /// Returns the number of engine commits that have begun.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Makes the next call from this thread, or from a worker, panic: an error inside the host at
    /// that point.
    pub fn panic_on_next_call(&self) {
        *lock(&self.panics) = Some(thread::current().id());
    }

    fn hooks(&self) -> MutexGuard<'_, Vec<Hook>> {
        lock(&self.before_commits)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let mut panics = lock(&self.panics);
        let this = thread::current();
        let works = this.name().is_some_and(|name| name.starts_with("worker-"));
        if panics.is_some_and(|armed| works || armed == this.id()) {
            *panics = None;
            drop(panics);
            panic!("an error inside the host");
        }
        self.time.now()
    }

    fn before_commit(&self) {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let hook = {
            let mut hooks = self.hooks();
            (!hooks.is_empty()).then(|| hooks.remove(0))
        };
        if let Some(hook) = hook {
            hook();
        }
    }
}

fn parse_time(text: &str) -> Timestamp {
    let time = chrono::DateTime::parse_from_rfc3339(text).expect("an RFC 3339 time");
    Timestamp(time.timestamp_millis())
}
