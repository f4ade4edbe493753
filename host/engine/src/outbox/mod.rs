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

mod channel_queue;
mod delivery_worker;
mod fetcher;
mod isolate;
mod notifications;
mod rate_limiter;
mod unsubscribe;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::committer::Committer;
use crate::metrics::Metrics;
use crate::sync::lock;
pub use notifications::Webhook;
use promoflow_channels::Channel;
use promoflow_model::clock::Clock;
use promoflow_model::message::ChannelKind;
use promoflow_store::{Store, StoreError, Tenure};
use promoflow_trace::Tracer;
pub use unsubscribe::{UnsubscribeError, Unsubscriber};

use channel_queue::ChannelQueue;
use fetcher::Fetcher;
use notifications::WebhookWorker;

/// Delivers the outbox through channels, on its own threads.
pub struct Dispatcher {
    context: Arc<DispatcherContext>,
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
    webhooks: Vec<Webhook>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Senders that the notification threads wait on: dropping them ends the wait.
    ends: Mutex<Vec<Sender<()>>>,
}

/// The state that all threads share. It does not contain the store, which a stuck worker may
/// outlive.
struct DispatcherContext {
    clock: Arc<dyn Clock>,
    tenure: Arc<dyn Tenure>,
    installation: String,
    metrics: Arc<Metrics>,
    tracer: Option<Arc<Tracer>>,
    /// Time that a stop waits for running attempts.
    drain: Duration,
    unsubscriber: Option<Unsubscriber>,
    /// The reasons for which deliveries are on hold, such as a missing configuration. Thousands of
    /// deliveries may share a reason, which is logged once.
    logged_holds: Mutex<HashSet<String>>,
    queues: Vec<Arc<ChannelQueue>>,
    stopping: AtomicBool,
}

impl DispatcherContext {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Makes every channel queue look for due deliveries.
    fn poll_now(&self) {
        for channel_queue in &self.queues {
            channel_queue.request_poll();
        }
    }
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
        let context = DispatcherContext {
            clock: parts.clock,
            tenure: parts.store.tenure(),
            installation: parts.store.installation()?,
            metrics: parts.metrics,
            tracer: parts.tracer,
            drain: parts.drain,
            unsubscriber: parts.unsubscriber,
            logged_holds: Mutex::default(),
            queues: build_queues(parts.channels),
            stopping: AtomicBool::new(false),
        };
        Ok(Dispatcher {
            context: Arc::new(context),
            store: parts.store,
            committer: parts.committer,
            webhooks: parts.webhooks,
            threads: Mutex::default(),
            ends: Mutex::default(),
        })
    }

    /// Starts the threads.
    pub fn start(&self) -> std::io::Result<()> {
        for channel_queue in &self.context.queues {
            let fetcher = Fetcher::new(
                Arc::clone(channel_queue),
                Arc::clone(&self.context),
                Arc::clone(&self.store),
                Arc::clone(&self.committer),
            );
            let thread = thread::Builder::new()
                .name(format!("fetch-{}", channel_queue.name()))
                .spawn(move || fetcher.run())?;
            lock(&self.threads).push(thread);
        }
        for webhook in &self.webhooks {
            let (end, shutdown) = channel();
            let worker = WebhookWorker {
                webhook: webhook.clone(),
                context: Arc::clone(&self.context),
                store: Arc::clone(&self.store),
                shutdown,
            };
            let thread = thread::Builder::new()
                .name(format!("notify-{}", webhook.name))
                .spawn(move || worker.run())?;
            lock(&self.threads).push(thread);
            lock(&self.ends).push(end);
        }
        self.poll_now();
        Ok(())
    }

    /// Makes all channel queues look for due deliveries.
    pub fn poll_now(&self) {
        self.context.poll_now();
    }

    /// Stops the threads after the running attempts end, or after the drain time. An attempt that
    /// is still running then has no recorded end and is repeated later.
    pub fn stop(&self) {
        // Many more deliveries may be due: they stay in the outbox.
        self.context.stopping.store(true, Ordering::SeqCst);
        for channel_queue in &self.context.queues {
            channel_queue.wake();
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
fn build_queues(channels: Vec<Arc<dyn Channel>>) -> Vec<Arc<ChannelQueue>> {
    let mut left = ChannelKind::ALL.to_vec();
    let mut queues = Vec::new();
    for channel in channels {
        let (taken, others) = left.into_iter().partition(|kind| channel.supports(*kind));
        left = others;
        queues.push(ChannelQueue::new(Some(channel), taken));
    }
    queues.push(ChannelQueue::new(None, left));
    queues.retain(|channel_queue| !channel_queue.kinds().is_empty());
    queues.into_iter().map(Arc::new).collect()
}
