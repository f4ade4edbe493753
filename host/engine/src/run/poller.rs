//! The poller: looks for work that did not arrive as an event of this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::engine::{EngineError, POLL_INTERVAL, Shared};
use super::worker::Task;
use crate::sync::lock;
use promoflow_document::with_causes;
use promoflow_store::{Changes, StoreError};

/// Delay after an error of the store.
const FAILURE_DELAY: Duration = Duration::from_secs(1);
/// Interval at which the poller checks everything else while there are always due runs.
const REFRESH_INTERVAL: Duration = Duration::from_millis(100);
/// Number of due runs fetched at once.
const FETCH_LIMIT: usize = 128;

impl Shared {
    /// Reads the configuration again if it has changed. Returns false if that failed.
    fn refresh_config(&self) -> bool {
        let read = self.parts.workflow_cache.refresh();
        if let Err(error) = &read {
            tracing::error!("cannot read the configuration: {error}");
        }
        read.is_ok()
    }

    /// Acquires the executor lock if it is available.
    pub(super) fn try_execute(&self) -> Result<(), EngineError> {
        let Some(member) = self.parts.store.try_join()? else {
            return Ok(());
        };
        *lock(&self.executor) = Some(member);
        self.refresh_config();
        self.executes.store(true, Ordering::SeqCst);
        if let Some(dispatcher) = &self.parts.dispatcher {
            dispatcher.start().map_err(EngineError::Thread)?;
        }
        Ok(())
    }

    /// Looks for work that did not arrive as an event of this process: work of other processes,
    /// work left by a process that ended, and due waits and retries.
    pub(super) fn poll(self: &Arc<Self>) {
        let mut seen = 0;
        let mut watch = self.parts.store.watch();
        let mut config_outdated = true;
        let mut next = Instant::now();
        while !self.stopping.load(Ordering::SeqCst) {
            if !self.executes.load(Ordering::SeqCst) {
                self.poller_wakeup.wait(&mut seen, POLL_INTERVAL);
                let tried = self.try_execute();
                // Log only the first failure: the next try follows within milliseconds.
                let lost_before = self
                    .executor_lock_failed
                    .swap(tried.is_err(), Ordering::SeqCst);
                if let Err(error) = tried
                    && !lost_before
                {
                    tracing::error!("cannot become the executor: {}", with_causes(&error));
                }
                self.progress.notify();
                continue;
            }
            let left = next.saturating_duration_since(Instant::now());
            let waited = watch.wait(left.max(POLL_INTERVAL), &mut |most| {
                self.poller_wakeup.wait(&mut seen, most)
            });
            let changes = waited.unwrap_or_else(|error| {
                tracing::error!("cannot look for changes: {error}");
                self.poller_wakeup.wait(&mut seen, FAILURE_DELAY);
                Some(Changes::ALL)
            });
            self.pause_trapping_workflows();
            if let Some(changes) = changes {
                self.context.leases.pool_changed(&changes.pool);
                config_outdated |= changes.config;
            }
            if config_outdated {
                config_outdated = !self.refresh_config();
            }
            match self.queue_due_runs() {
                Ok(wait) => next = Instant::now() + wait,
                Err(error) => {
                    tracing::error!("cannot fetch due runs: {error}");
                    next = Instant::now() + FAILURE_DELAY;
                }
            }
            if let Some(dispatcher) = &self.parts.dispatcher {
                dispatcher.poll_now();
            }
        }
        self.executes.store(false, Ordering::SeqCst);
    }

    /// Queues due runs for the workers. Returns the time until the next runs are due.
    fn queue_due_runs(&self) -> Result<Duration, StoreError> {
        let store = &self.parts.store;
        let began = Instant::now();
        lock(&self.backing_off).retain(|_, until| *until > began);
        loop {
            let now = self.parts.clock.now();
            let Some(full) = self.jobs.full_workflows() else {
                return Ok(POLL_INTERVAL);
            };
            // Read before the store: a run whose segment is committed in between is skipped once more
            // instead of being returned as it was.
            let mut excluded = lock(&self.in_flight).clone();
            excluded.extend(lock(&self.backing_off).keys());
            let due = store.due_runs(now, FETCH_LIMIT, &full, &excluded)?;
            if due.runs.is_empty() && due.unreadable.is_empty() {
                if !full.is_empty() {
                    return Ok(POLL_INTERVAL);
                }
                let wait = store.next_due(now)?.map_or(i64::MAX, |due| due.0 - now.0);
                let wait = Duration::from_millis(wait.clamp(1, 1_000).unsigned_abs());
                return Ok(wait);
            }
            for run in due.runs {
                if self.stopping.load(Ordering::SeqCst) {
                    return Ok(Duration::ZERO);
                }
                lock(&self.in_flight).insert(run.id);
                self.submit_unbounded(Task::Run(Box::new(run)));
            }
            if !due.unreadable.is_empty() {
                for (run, why) in &due.unreadable {
                    tracing::error!(run = run.0, "the run failed: {why}");
                }
                store.fail_unreadable(&due.unreadable, now)?;
                self.progress.notify();
            }
            if began.elapsed() > REFRESH_INTERVAL {
                return Ok(Duration::ZERO);
            }
        }
    }
}
