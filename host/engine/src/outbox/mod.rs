//! The outbox: committed deliveries, handed to channels.
//!
//! The [`Dispatcher`] gives each channel a *lane* of its own. In a lane one thread, the *feeder*,
//! asks for what is due and commits the start of each attempt before it queues the letter, and what
//! came of it after; the *senders*, as many as the channel takes letters at one time, hand them
//! over. So a provider that is stuck holds up its own lane and nothing else: no other channel, no
//! commit, not the end of the process.
//!
//! Events of alerts go to webhooks beside it, as *notices*: they are about no contact and no run.
//!
//! Between the start and the end of an attempt a crash leaves an attempt without an end: it is made
//! again, under the same identity. What a lane has in hand is bounded, and everything else waits in
//! the store.

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

/// Hands what is due to channels, on threads of its own.
pub struct Dispatcher {
    around: Arc<Around>,
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
    webhooks: Vec<Webhook>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What those who tell webhooks wait on: it ends with them.
    ends: Mutex<Vec<Sender<()>>>,
}

/// What all threads share. Nothing of the store: a sender that is stuck may outlive it.
struct Around {
    clock: Arc<dyn Clock>,
    installation: String,
    metrics: Arc<Metrics>,
    tracer: Option<Arc<Tracer>>,
    /// How long the end waits for letters that are being handed over.
    drain: Duration,
    unsubscriber: Option<Unsubscriber>,
    /// What letters wait for that an operator has to mend: there may be thousands of them, and each
    /// reason is told once.
    held_for: Mutex<HashSet<String>>,
    lanes: Vec<Arc<Lane>>,
    stopping: AtomicBool,
}

impl Around {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Has every lane look for what is due.
    fn look(&self) {
        for lane in &self.lanes {
            lane.ring();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a dispatcher is made of.
pub struct DispatcherParts {
    /// Where the outbox lives.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The one committer of the process.
    pub committer: Arc<Committer>,
    /// How letters leave, the first that takes a kind before others.
    pub channels: Vec<Arc<dyn Channel>>,
    /// Where attempts are counted.
    pub metrics: Arc<Metrics>,
    /// Who traces deliveries, if anybody does.
    pub tracer: Option<Arc<Tracer>>,
    /// How long the end waits for letters that are being handed over.
    pub drain: Duration,
    /// Who makes addresses to unsubscribe at, where some are configured.
    pub unsubscriber: Option<Unsubscriber>,
    /// Who is told of alerts.
    pub webhooks: Vec<Webhook>,
}

impl Dispatcher {
    /// Delivers through the first of the channels that takes a letter's kind.
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
                .name(format!("feeder-{}", lane.name()))
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
                .name(format!("notices-{}", webhook.name))
                .spawn(move || notifier.run())?;
            lock(&self.threads).push(thread);
            lock(&self.ends).push(end);
        }
        self.look();
        Ok(())
    }

    /// Has it look for what is due.
    pub fn look(&self) {
        self.around.look();
    }

    /// Ends the threads after what is being handed over, which is waited for no longer than the
    /// drain: an attempt that goes on then has no end, and is made again.
    pub fn stop(&self) {
        // What is due beside that may be very much: it stays in the outbox.
        self.around.stopping.store(true, Ordering::SeqCst);
        for lane in &self.around.lanes {
            lane.wake();
        }
        lock(&self.ends).clear();
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the dispatcher ended by a panic");
            }
        }
    }
}

/// A lane for each channel with the kinds that it takes first, and one for those that nobody takes.
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
