//! The monitor: measures how long dead hosts keep their work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::databases::Databases;

/// The longest time from a host's last sign of life until its work is free for others.
pub(super) const MAX_TAKE_OVER: Duration = Duration::from_secs(10);
/// The time between two looks at the hosts.
const INTERVAL: Duration = Duration::from_millis(250);
/// The hosts with their beats, whether they have ended, and whether they still have work.
const HOSTS: &str = "SELECT id, beat, ended_at IS NOT NULL,
        EXISTS (SELECT 1 FROM share WHERE share.host = host.id)
     FROM host WHERE executes = 1 OR ended_at IS NOT NULL";

/// The thread that watches the hosts.
pub(super) struct Monitor {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// Set while nobody can take work over, because the database is down.
    is_disturbed: AtomicBool,
    found: Mutex<TakeOvers>,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct TakeOvers {
    pub(super) count: u64,
    pub(super) slowest: Duration,
    pub(super) violations: Vec<String>,
}

/// A host as it was seen last.
struct Seen {
    beat: String,
    changed: Instant,
    is_late: bool,
}

impl Monitor {
    pub(super) fn start(databases: Arc<Databases>) -> Monitor {
        let shared: Arc<Shared> = Arc::default();
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || of_thread.watch(&databases));
        Monitor { shared, thread }
    }

    /// Runs an action during which the database is down.
    pub(super) fn disturb<T>(&self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        self.shared.is_disturbed.store(true, Ordering::SeqCst);
        let done = action();
        self.shared.is_disturbed.store(false, Ordering::SeqCst);
        done
    }

    pub(super) fn end(self) -> Result<TakeOvers> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.thread.join().ok().context("the monitor panicked")?;
        let found = self.shared.found.lock();
        Ok(found.unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Shared {
    fn watch(&self, databases: &Databases) {
        let mut alive: HashMap<String, Seen> = HashMap::new();
        while !self.is_over.load(Ordering::SeqCst) {
            thread::sleep(INTERVAL);
            let rows = databases.query(HOSTS);
            let now = Instant::now();
            let rows = match rows {
                Ok(rows) if !self.is_disturbed.load(Ordering::SeqCst) => rows,
                // From here on hosts get the same time as if they had just shown that they run.
                _ => {
                    alive.values_mut().for_each(|seen| seen.changed = now);
                    continue;
                }
            };
            let found = self.found.lock();
            let mut found = found.unwrap_or_else(PoisonError::into_inner);
            for row in rows {
                let [host, beat, has_ended, has_work] = &row[..] else {
                    continue;
                };
                if has_ended == "t" && has_work == "t" {
                    let violation = format!("host {host} has ended and keeps its work");
                    found.violations.push(violation);
                }
                if has_ended == "t" {
                    if let Some(seen) = alive.remove(host) {
                        found.count += 1;
                        found.slowest = found.slowest.max(now - seen.changed);
                    }
                    continue;
                }
                let seen = alive.entry(host.clone()).or_insert_with(|| Seen {
                    beat: beat.clone(),
                    changed: now,
                    is_late: false,
                });
                if seen.beat != *beat {
                    seen.beat.clone_from(beat);
                    seen.changed = now;
                } else if now - seen.changed > MAX_TAKE_OVER && !seen.is_late {
                    seen.is_late = true;
                    found.violations.push(format!(
                        "host {host} is dead, and nobody took its work over for {MAX_TAKE_OVER:?}"
                    ));
                }
            }
        }
    }
}
