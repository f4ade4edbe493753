//! The outbox: committed deliveries, handed to channels.
//!
//! The [`Dispatcher`] commits the start of each attempt before it hands anything over, and what
//! came of it after. Between the two a crash leaves an attempt without an end: it is made again,
//! under the same identity.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::channel::{Channel, Handover, Letter};
use crate::clock::Clock;
use crate::failpoint::{self, Failpoint};
use crate::message::ChannelKind;
use crate::metrics::Metrics;
use crate::store::{
    AttemptEnd, AttemptOutcome, Committer, DeliveryId, DueDelivery, Reply, Store, StoreError, Unit,
};

/// Deliveries whose attempts begin, and end, in one commit.
const BATCH: usize = 128;
/// A pause after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Hands what is due to channels, on a thread of its own.
pub struct Dispatcher {
    work: Arc<Work>,
    bell: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Work {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    committer: Arc<Committer>,
    channels: Vec<Arc<dyn Channel>>,
    installation: String,
    metrics: Arc<Metrics>,
    stopping: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dispatcher {
    /// Delivers through the first of the channels that takes a letter's kind.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        committer: Arc<Committer>,
        channels: Vec<Arc<dyn Channel>>,
        metrics: Arc<Metrics>,
    ) -> Result<Dispatcher, StoreError> {
        let installation = store.installation()?;
        let work = Arc::new(Work {
            store,
            clock,
            committer,
            channels,
            installation,
            metrics,
            stopping: AtomicBool::new(false),
        });
        Ok(Dispatcher {
            work,
            bell: Mutex::default(),
            thread: Mutex::default(),
        })
    }

    /// Starts the thread.
    pub fn start(&self) -> std::io::Result<()> {
        // One place: a ring while it is at work makes it look once more, however many ring.
        let (bell, rung) = sync_channel(1);
        *lock(&self.bell) = Some(bell);
        let work = Arc::clone(&self.work);
        let thread = thread::Builder::new()
            .name("dispatcher".into())
            .spawn(move || work.deliver(&rung))?;
        *lock(&self.thread) = Some(thread);
        self.look();
        Ok(())
    }

    /// Has it look for what is due.
    pub fn look(&self) {
        if let Some(bell) = &*lock(&self.bell) {
            match bell.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => tracing::error!("the dispatcher has ended"),
            }
        }
    }

    /// Ends the thread after what it has in hand.
    pub fn stop(&self) {
        // What is due beside that may be very much: it stays in the outbox.
        self.work.stopping.store(true, Ordering::SeqCst);
        drop(lock(&self.bell).take());
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the dispatcher ended by a panic");
        }
    }
}

/// How a batch went.
enum Batch {
    /// Nothing was due.
    Empty,
    /// There may be more.
    Full,
    /// The committer has stopped.
    Stopped,
}

impl Work {
    fn deliver(&self, rung: &Receiver<()>) {
        while rung.recv().is_ok() {
            while !self.stopping.load(Ordering::SeqCst) {
                match self.batch() {
                    Ok(Batch::Full) => {}
                    Ok(Batch::Empty) => break,
                    Ok(Batch::Stopped) => return,
                    Err(error) => {
                        tracing::error!("cannot deliver: {error}");
                        thread::sleep(AFTER_FAILURE);
                        break;
                    }
                }
            }
        }
    }

    fn batch(&self) -> Result<Batch, StoreError> {
        let due = self
            .store
            .due_deliveries(self.clock.now(), BATCH, &|_| false)?;
        if due.is_empty() {
            return Ok(Batch::Empty);
        }
        let ids: Vec<DeliveryId> = due.iter().map(|delivery| delivery.id).collect();
        failpoint::pass(Failpoint::BeforeAttempt);
        let started = match self.committer.commit(Unit::AttemptsStart(ids)) {
            None => return Ok(Batch::Stopped),
            Some(Ok(Reply::Started(started))) => started,
            Some(Ok(Reply::Failed(error))) => return Err(StoreError::Engine(error)),
            Some(Ok(_)) => Vec::new(),
            Some(Err(error)) => return Err(StoreError::Engine(error.to_string())),
        };
        failpoint::pass(Failpoint::AfterAttemptStart);
        let ends: Vec<AttemptEnd> = due
            .iter()
            .filter(|delivery| started.contains(&delivery.id))
            .map(|delivery| {
                let outcome = self.attempt(delivery);
                let channel = delivery.channel.name();
                self.metrics.deliveries.attempted(channel, outcome.name());
                AttemptEnd {
                    delivery: delivery.id,
                    outcome,
                }
            })
            .inspect(|_| failpoint::pass(Failpoint::AfterDelivery))
            .collect();
        match self.committer.commit(Unit::AttemptsEnd(ends)) {
            None => Ok(Batch::Stopped),
            Some(Ok(Reply::Failed(error))) => Err(StoreError::Engine(error)),
            Some(Ok(_)) => Ok(Batch::Full),
            Some(Err(error)) => Err(StoreError::Engine(error.to_string())),
        }
    }

    fn attempt(&self, delivery: &DueDelivery) -> AttemptOutcome {
        let id = format!("delivery-{}", delivery.id);
        let letter = Letter {
            id: &id,
            installation: &self.installation,
            kind: delivery.channel,
            address: &delivery.address,
            content: &delivery.content,
        };
        match self.channel(delivery.channel) {
            Some(channel) => self.outcome(delivery, channel.deliver(&letter)),
            None => AttemptOutcome::Refused {
                error: format!("no channel is set up for {}", delivery.channel),
            },
        }
    }

    fn channel(&self, kind: ChannelKind) -> Option<&dyn Channel> {
        self.channels
            .iter()
            .find(|channel| channel.takes(kind))
            .map(|channel| &**channel)
    }

    fn outcome(&self, delivery: &DueDelivery, handover: Handover) -> AttemptOutcome {
        match handover {
            Handover::Delivered => AttemptOutcome::Delivered,
            Handover::Refused { error } => AttemptOutcome::Refused { error },
            Handover::Later { error, after } => {
                let now = self.clock.now();
                let Some(due) = Backoff::DELIVERY.next(delivery.attempts + 1, now) else {
                    let error =
                        format!("{error}; given up after {} attempts", delivery.attempts + 1);
                    return AttemptOutcome::Refused { error };
                };
                let asked = after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(0));
                AttemptOutcome::Later {
                    error,
                    due: due.max(now.plus_millis(asked)),
                }
            }
        }
    }
}
