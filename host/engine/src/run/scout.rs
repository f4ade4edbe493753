//! The poller: looks for work that did not arrive as an event of this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::engine::{LOOK, Shared, lock};
use super::worker::Task;
use promoflow_store::{ExecutorLock, StoreError, lock_path};

/// Interval at which the poller checks everything else while there are always due runs.
const REFRESH: Duration = Duration::from_millis(100);
/// Number of due runs fetched at once.
const FETCH: usize = 128;

impl Shared {
    /// Reads the configuration and the pool again if they have changed.
    pub(super) fn refresh(&self) {
        if let Err(error) = self.parts.configurations.refresh() {
            tracing::error!("cannot read the configuration: {error:#}");
        }
        if let Err(error) = self.around.leases.refresh() {
            tracing::error!("cannot read the pool: {error}");
        }
    }

    /// Acquires the executor lock if it is available.
    pub(super) fn try_execute(&self) -> anyhow::Result<()> {
        if let Some(database) = &self.parts.database {
            let Some(taken) = ExecutorLock::try_take(&lock_path(database))? else {
                return Ok(());
            };
            // No other process migrates the database while this one holds the lock.
            self.parts.store.usable()?;
            *lock(&self.executor) = Some(taken);
        }
        self.refresh();
        self.executes.store(true, Ordering::SeqCst);
        if let Some(dispatcher) = &self.parts.dispatcher {
            dispatcher.start()?;
        }
        Ok(())
    }

    /// Looks for work that did not arrive as an event of this process: work of other processes,
    /// work left by a process that ended, and due waits and retries.
    pub(super) fn scout(self: &Arc<Self>) {
        let mut heard = 0;
        let mut mark = None;
        let mut next = Instant::now();
        while !self.stopping.load(Ordering::SeqCst) {
            self.look.wait(&mut heard, LOOK);
            if !self.executes.load(Ordering::SeqCst) {
                let tried = self.try_execute();
                // Log only the first failure: the next try follows within milliseconds.
                let lost_before = self.lost.swap(tried.is_err(), Ordering::SeqCst);
                if let Err(error) = tried
                    && !lost_before
                {
                    tracing::error!("cannot become the executor: {error:#}");
                }
                self.went_on.ring();
                continue;
            }
            let present = self.parts.store.change_mark().ok();
            let changed = present != mark;
            if !changed && Instant::now() < next {
                continue;
            }
            mark = present;
            self.pause_trapping();
            self.refresh();
            match self.fetch() {
                Ok(wait) => next = Instant::now() + wait,
                Err(error) => {
                    tracing::error!("cannot fetch due runs: {error}");
                    next = Instant::now() + Duration::from_secs(1);
                }
            }
            if let Some(dispatcher) = &self.parts.dispatcher {
                dispatcher.look();
            }
        }
        self.executes.store(false, Ordering::SeqCst);
    }

    /// Queues due runs for the workers. Returns the time until the next runs are due.
    fn fetch(&self) -> Result<Duration, StoreError> {
        let store = &self.parts.store;
        let began = Instant::now();
        let resting = {
            let mut resting = lock(&self.resting);
            resting.retain(|_, until| *until > began);
            resting.clone()
        };
        loop {
            let now = self.parts.clock.now();
            let Some(full) = self.jobs.full_workflows() else {
                return Ok(LOOK);
            };
            let due = store.due_runs(now, FETCH, &full, &|run| {
                resting.contains_key(&run) || lock(&self.in_flight).contains(&run)
            })?;
            if due.runs.is_empty() && due.unreadable.is_empty() {
                if !full.is_empty() {
                    return Ok(LOOK);
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
                self.bring_at_once(Task::Run(Box::new(run)));
            }
            if !due.unreadable.is_empty() {
                for (run, why) in &due.unreadable {
                    tracing::error!(run = run.0, "the run failed: {why}");
                }
                store.fail_unreadable(&due.unreadable, now)?;
                self.went_on.ring();
            }
            if began.elapsed() > REFRESH {
                return Ok(Duration::ZERO);
            }
        }
    }
}
