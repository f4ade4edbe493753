//! The outbox: committed deliveries, handed to channels.
//!
//! The [`Dispatcher`] gives each channel a *channel queue*. One thread per queue, the *fetcher*,
//! fetches due deliveries, commits the start of each attempt before it queues the delivery, and
//! commits the end of the attempt afterwards. The *delivery workers*, as many as the channel
//! allows, make the attempts. A stuck provider therefore blocks only its own queue: no other
//! channel, no commit and no shutdown.
//!
//! Alert events go to webhooks in the same way, as *notifications*, which belong to no contact and
//! no run.
//!
//! A crash between the start and the end of an attempt leaves an attempt without an end. It is
//! repeated under the same delivery id. The number of deliveries in flight is bounded per queue;
//! all others stay in the store.

mod apart;
mod feeder;
mod lane;
mod notices;
mod pace;
mod pause;
mod sender;
mod unsubscribe;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::committer::Committer;
use crate::metrics::Metrics;
pub use notices::Webhook;
use promoflow_channels::Channel;
use promoflow_model::clock::Clock;
use promoflow_model::message::ChannelKind;
use promoflow_store::{Store, StoreError};
use promoflow_trace::Tracer;
pub use unsubscribe::Unsubscriber;

use feeder::Feeder;
use lane::Lane;
use notices::Notifier;

/// Delivers the outbox through channels, on its own threads.
pub struct Dispatcher {
    around: Arc<Around>,
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
    webhooks: Vec<Webhook>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Senders that the notification threads wait on: dropping them ends the wait.
    ends: Mutex<Vec<Sender<()>>>,
}

/// The state that all threads share. It does not contain the store, which a stuck worker may
/// outlive.
struct Around {
    clock: Arc<dyn Clock>,
    installation: String,
    metrics: Arc<Metrics>,
    tracer: Option<Arc<Tracer>>,
    /// Time that a stop waits for running attempts.
    drain: Duration,
    unsubscriber: Option<Unsubscriber>,
    /// The reasons for which deliveries are on hold, such as a missing configuration. Thousands of
    /// deliveries may share a reason, which is logged once.
    held_for: Mutex<HashSet<String>>,
    lanes: Vec<Arc<Lane>>,
    stopping: AtomicBool,
}

impl Around {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Makes every channel queue look for due deliveries.
    fn look(&self) {
        for lane in &self.lanes {
            lane.ring();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The dependencies of a dispatcher.
pub struct DispatcherParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The process's only committer.
    pub committer: Arc<Committer>,
    /// The channels, in order of preference: the first one that supports a kind gets its
    /// deliveries.
    pub channels: Vec<Arc<dyn Channel>>,
    /// The metrics of attempts.
    pub metrics: Arc<Metrics>,
    /// Records spans of deliveries; `None` if traces are not exported.
    pub tracer: Option<Arc<Tracer>>,
    /// Time that a stop waits for running attempts.
    pub drain: Duration,
    /// Creates unsubscribe links; `None` if they are not configured.
    pub unsubscriber: Option<Unsubscriber>,
    /// The webhooks that receive alert notifications.
    pub webhooks: Vec<Webhook>,
}

impl Dispatcher {
    /// Creates a dispatcher. Each channel kind uses the first channel that supports it.
    pub fn new(parts: DispatcherParts) -> Result<Dispatcher, StoreError> {
        let around = Around {
            clock: parts.clock,
            installation: parts.store.installation()?,
            metrics: parts.metrics,
            tracer: parts.tracer,
            drain: parts.drain,
            unsubscriber: parts.unsubscriber,
            held_for: Mutex::default(),
            lanes: lanes(parts.channels),
            stopping: AtomicBool::new(false),
        };
        Ok(Dispatcher {
            around: Arc::new(around),
            store: parts.store,
            committer: parts.committer,
            webhooks: parts.webhooks,
            threads: Mutex::default(),
            ends: Mutex::default(),
        })
    }

    /// Starts the threads.
    pub fn start(&self) -> std::io::Result<()> {
        for lane in &self.around.lanes {
            let feeder = Feeder::new(
                Arc::clone(lane),
                Arc::clone(&self.around),
                Arc::clone(&self.store),
                Arc::clone(&self.committer),
            );
            let thread = thread::Builder::new()
                .name(format!("fetch-{}", lane.name()))
                .spawn(move || feeder.feed())?;
            lock(&self.threads).push(thread);
        }
        for webhook in &self.webhooks {
            let (end, told) = channel();
            let notifier = Notifier {
                webhook: webhook.clone(),
                around: Arc::clone(&self.around),
                store: Arc::clone(&self.store),
                told,
            };
            let thread = thread::Builder::new()
                .name(format!("notify-{}", webhook.name))
                .spawn(move || notifier.run())?;
            lock(&self.threads).push(thread);
            lock(&self.ends).push(end);
        }
        self.look();
        Ok(())
    }

    /// Makes all channel queues look for due deliveries.
    pub fn look(&self) {
        self.around.look();
    }

    /// Stops the threads after the running attempts end, or after the drain time. An attempt that
    /// is still running then has no recorded end and is repeated later.
    pub fn stop(&self) {
        // Many more deliveries may be due: they stay in the outbox.
        self.around.stopping.store(true, Ordering::SeqCst);
        for lane in &self.around.lanes {
            lane.wake();
        }
        lock(&self.ends).clear();
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a dispatcher thread panicked");
            }
        }
    }
}

/// Creates a queue for each channel with the kinds that it serves, and one for the kinds without a
/// channel.
fn lanes(channels: Vec<Arc<dyn Channel>>) -> Vec<Arc<Lane>> {
    let mut left = ChannelKind::ALL.to_vec();
    let mut lanes = Vec::new();
    for channel in channels {
        let (taken, others) = left.into_iter().partition(|kind| channel.takes(*kind));
        left = others;
        lanes.push(Lane::new(Some(channel), taken));
    }
    lanes.push(Lane::new(None, left));
    lanes.retain(|lane| !lane.kinds().is_empty());
    lanes.into_iter().map(Arc::new).collect()
}
