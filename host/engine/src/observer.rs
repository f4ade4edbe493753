//! Observers: learn what was committed, after the commit.
//!
//! The committing thread only queues what a commit contained. A thread for each observer works out
//! what it means and calls the observer, so that neither a slow nor a panicking one delays or stops
//! anything else. A commit whose result is unknown is not observed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use promoflow_model::alert::Alert;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{
    AttemptBatch, AttemptOutcome, CommitReply, CommitUnit, DeliveryId, DeliveryState, RunId,
    RunState, Segment, SegmentEnd, Store,
};

/// Maximum number of queued observations for each observer; further ones are dropped.
const MAX_QUEUED: usize = 65_536;
/// Time that a stop waits for observers to process what is queued.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A committed fact.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Observation {
    /// A run was executed to its end.
    #[non_exhaustive]
    RunFinished {
        /// The run.
        run: RunId,
        /// Its state: completed or failed.
        state: RunState,
    },
    /// A run claimed a code.
    #[non_exhaustive]
    CodeClaimed {
        /// The run.
        run: RunId,
        /// The type and discount of the code.
        code_group: CodeGroup,
        /// The code. It is as good as money: keep it out of logs.
        code: String,
    },
    /// A delivery ended: no further attempt is made.
    #[non_exhaustive]
    DeliveryEnded {
        /// The delivery.
        delivery: DeliveryId,
        /// The run that sent it.
        run: RunId,
        /// Its state: delivered, failed or cancelled.
        state: DeliveryState,
    },
    /// An alert was raised.
    #[non_exhaustive]
    AlertRaised {
        /// The alert.
        alert: Alert,
    },
}

/// Receives what this process committed: as executor, not what other processes or actions of people
/// change.
///
/// An observer is called on a thread of its own, in the order of the commits. An observation comes
/// at most once: it is lost if the process ends first, or if the observer is 65,536 observations
/// behind. Derive state that must be complete from queries instead.
pub trait Observer: Send {
    /// Called for each observation. It may block. A panic is logged, and the next observation
    /// follows.
    fn observe(&mut self, observation: &Observation);
}

impl<F: FnMut(&Observation) + Send> Observer for F {
    fn observe(&mut self, observation: &Observation) {
        self(observation);
    }
}

/// What a commit contained.
#[derive(Clone)]
enum Record {
    Observation(Observation),
    /// A delivery that may have ended, with its state if that is certain.
    Delivery(DeliveryId, Option<DeliveryState>),
}

/// Feeds the observers of a process.
#[derive(Default)]
pub struct Observers {
    queues: Mutex<Vec<Queue>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// True if there is any observer: without one, nothing is derived from commits.
    is_active: bool,
}

/// The queue of one observer.
struct Queue {
    sender: SyncSender<Record>,
    /// Number of observations that were dropped since the last warning.
    missed: Arc<AtomicU64>,
}

impl Observers {
    /// Starts a thread for each observer.
    pub fn start(
        observers: Vec<Box<dyn Observer>>,
        store: &Arc<dyn Store>,
    ) -> std::io::Result<Observers> {
        let is_active = !observers.is_empty();
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for (number, observer) in observers.into_iter().enumerate() {
            let (sender, receiver) = sync_channel(MAX_QUEUED);
            let missed = Arc::<AtomicU64>::default();
            let (store, missed_by) = (Arc::clone(store), Arc::clone(&missed));
            let thread = thread::Builder::new().name(format!("observer-{number}"));
            threads.push(thread.spawn(move || feed(observer, &receiver, &*store, &missed_by))?);
            queues.push(Queue { sender, missed });
        }
        Ok(Observers {
            queues: Mutex::new(queues),
            threads: Mutex::new(threads),
            is_active,
        })
    }

    /// Queues what a unit changed. Never blocks.
    pub(crate) fn committed(&self, unit: &CommitUnit, reply: &CommitReply) {
        if !self.is_active {
            return;
        }
        match (unit, reply) {
            (CommitUnit::Accept(accept), CommitReply::Accepted { runs, .. }) => {
                for (start, run) in accept.starts.iter().zip(runs) {
                    if let (Some(segment), Some(run)) = (&start.segment, run) {
                        self.segment(*run, segment);
                    }
                }
            }
            (CommitUnit::Segment(segment), CommitReply::Done) => {
                if let Some((run, _)) = segment.run {
                    self.segment(run, segment);
                }
            }
            (CommitUnit::Attempts(batch), CommitReply::Started(started)) => {
                self.attempts(batch, started);
            }
            _ => {}
        }
    }

    fn segment(&self, run: RunId, segment: &Segment) {
        let state = match segment.end {
            SegmentEnd::Completed => Some(RunState::Completed),
            SegmentEnd::Failed { .. } => Some(RunState::Failed),
            SegmentEnd::Retry { .. } | SegmentEnd::Wait { .. } => None,
        };
        for claim in &segment.claims {
            self.record(Record::Observation(Observation::CodeClaimed {
                run,
                code_group: claim.code_group.clone(),
                code: claim.code.code.clone(),
            }));
        }
        if let Some(state) = state {
            self.record(Record::Observation(Observation::RunFinished { run, state }));
        }
    }

    fn attempts(&self, batch: &AttemptBatch, started: &[(DeliveryId, u32)]) {
        for end in &batch.ends {
            let state = match end.outcome {
                AttemptOutcome::Delivered => Some(DeliveryState::Delivered),
                AttemptOutcome::RetriesExhausted { .. } => Some(DeliveryState::Failed),
                // Unless there is an alternative.
                AttemptOutcome::PermanentFailure { .. } => None,
                AttemptOutcome::RetryableFailure { .. }
                | AttemptOutcome::Misconfigured { .. }
                | AttemptOutcome::NotStarted => continue,
            };
            self.record(Record::Delivery(end.delivery, state));
        }
        for (delivery, _) in &batch.unreadable {
            self.record(Record::Delivery(*delivery, None));
        }
        // Expired, cancelled, or switched to an alternative.
        let has_started = |id: &DeliveryId| started.iter().any(|(started, _)| started == id);
        for delivery in batch.starts.iter().filter(|one| !has_started(one)) {
            self.record(Record::Delivery(*delivery, None));
        }
    }

    /// Queues a raised alert. Never blocks.
    pub(crate) fn alert_raised(&self, alert: &Alert) {
        if self.is_active {
            let alert = alert.clone();
            self.record(Record::Observation(Observation::AlertRaised { alert }));
        }
    }

    fn record(&self, record: Record) {
        for queue in &*lock(&self.queues) {
            if let Err(TrySendError::Full(_)) = queue.sender.try_send(record.clone()) {
                queue.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Ends the threads after they process what is queued, or after a few seconds.
    pub(crate) fn stop(&self) {
        lock(&self.queues).clear();
        let until = Instant::now() + STOP_GRACE;
        for thread in lock(&self.threads).drain(..) {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            if !thread.is_finished() {
                tracing::warn!("an observer is still busy; the stop does not wait for it");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls an observer until its queue is closed.
fn feed(
    mut observer: Box<dyn Observer>,
    queue: &Receiver<Record>,
    store: &dyn Store,
    missed: &AtomicU64,
) {
    while let Ok(record) = queue.recv() {
        let observation = match record {
            Record::Observation(observation) => Some(observation),
            Record::Delivery(delivery, state) => ended(store, delivery, state),
        };
        let call = || observation.iter().for_each(|one| observer.observe(one));
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            tracing::error!("an observer panicked; it gets the next observation");
        }
        let missed = missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            tracing::warn!("an observer is too slow: it misses {missed} observations");
        }
    }
}

/// Returns the end of a delivery; `None` if another attempt may follow.
fn ended(
    store: &dyn Store,
    delivery: DeliveryId,
    state: Option<DeliveryState>,
) -> Option<Observation> {
    let row = match store.delivery(delivery) {
        Ok(row) => row?,
        Err(error) => {
            tracing::error!("cannot read delivery {delivery} for an observer: {error}");
            return None;
        }
    };
    let state = state.unwrap_or(row.state);
    (state != DeliveryState::Pending).then_some(Observation::DeliveryEnded {
        delivery,
        run: row.run,
        state,
    })
}
