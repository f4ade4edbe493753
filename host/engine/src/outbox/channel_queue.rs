//! A channel queue: the deliveries of one channel in flight, between its fetcher and its workers.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::rate_limiter::ChannelRateLimiter;
use crate::sync::lock;
use promoflow_channels::{Channel, Limits};
use promoflow_config::Rate;
use promoflow_model::clock::Timestamp;
use promoflow_model::message::ChannelKind;
use promoflow_model::retry::Throttle;
use promoflow_store::{AttemptEnd, AttemptOutcome, DueDelivery};

/// Maximum number of deliveries in flight in one channel queue; their attempts have started.
pub(super) const MAX_IN_FLIGHT: usize = 128;
/// Number of ended attempts that are committed together while others are running.
const COMMIT_BATCH: usize = 64;
/// Time that an attempt end waits for others to share its commit.
const LINGER: Duration = Duration::from_millis(3);

/// The deliveries of one channel in flight.
pub(super) struct ChannelQueue {
    channel: Option<Arc<dyn Channel>>,
    kinds: Vec<ChannelKind>,
    limits: Limits,
    /// The rate limit of the channel.
    rate_limiter: ChannelRateLimiter,
    state: Mutex<QueueState>,
    /// Wakes the workers.
    queued: Condvar,
    /// Wakes the fetcher.
    wakeup: Condvar,
}

#[derive(Default)]
struct QueueState {
    /// Deliveries whose attempts have started, until a worker takes them.
    queue: VecDeque<DueDelivery>,
    /// Number of deliveries that workers are processing.
    active: usize,
    /// Number of workers.
    workers: usize,
    /// Ended attempts, until the fetcher commits them.
    ends: Vec<AttemptEnd>,
    first_end: Option<Instant>,
    /// True if the fetcher was asked to look for due deliveries.
    poll_requested: bool,
    /// The queue length at which to wake the fetcher, which knows of more due deliveries.
    wake_below: Option<usize>,
    /// The throttle that the provider requested.
    throttle: Throttle,
    /// True while a worker waits for the rate limit.
    waits_for_rate: bool,
    closed: bool,
}

/// The reason for waking the fetcher.
pub(super) struct FetcherWakeup {
    /// Ended attempts.
    pub(super) ends: Vec<AttemptEnd>,
    /// Number of deliveries that may start; 0 if none are wanted.
    pub(super) room: usize,
}

/// The load of a channel queue.
pub(super) struct QueueLoad {
    pub(super) queued: usize,
    pub(super) active: usize,
}

impl ChannelQueue {
    pub(super) fn new(channel: Option<Arc<dyn Channel>>, kinds: Vec<ChannelKind>) -> ChannelQueue {
        let limits = channel
            .as_ref()
            .map_or(Limits::ONE, |channel| channel.limits());
        ChannelQueue {
            channel,
            kinds,
            rate_limiter: ChannelRateLimiter::new(limits.rate),
            limits,
            state: Mutex::default(),
            queued: Condvar::new(),
            wakeup: Condvar::new(),
        }
    }

    /// Returns the name of its first channel kind.
    pub(super) fn name(&self) -> &'static str {
        self.kinds.first().map_or("none", |kind| kind.name())
    }

    pub(super) fn channel(&self) -> Option<&dyn Channel> {
        self.channel.as_deref()
    }

    pub(super) fn kinds(&self) -> &[ChannelKind] {
        &self.kinds
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            concurrency: self.limits.concurrency.clamp(1, MAX_IN_FLIGHT),
            ..self.limits
        }
    }

    /// Returns the maximum number of deliveries in flight. With a rate limit it is two bursts: a
    /// started delivery that waits for its turn can neither be cancelled nor use another
    /// alternative.
    pub(super) fn max_in_flight(&self) -> usize {
        let two =
            |rate: Rate| usize::try_from(rate.burst().get()).map_or(MAX_IN_FLIGHT, |one| 2 * one);
        let most = self.limits.rate.map_or(MAX_IN_FLIGHT, two);
        most.clamp(self.limits().concurrency, MAX_IN_FLIGHT)
    }

    /// Wakes the fetcher to look for due deliveries.
    pub(super) fn request_poll(&self) {
        let mut state = lock(&self.state);
        if !state.poll_requested {
            state.poll_requested = true;
            self.wakeup.notify_one();
        }
    }

    /// Wakes the fetcher to see the stop request.
    pub(super) fn wake(&self) {
        // Locked, so that the fetcher cannot miss it between its check and its wait.
        let _desk = lock(&self.state);
        self.wakeup.notify_one();
    }

    /// Blocks until the fetcher has something to do, or until `until`. `held`: no attempt may start
    /// now. `has_more_due`: more deliveries are due.
    pub(super) fn wait_for_work(
        &self,
        in_flight_limit: usize,
        held: bool,
        has_more_due: bool,
        until: Option<Instant>,
        stopping: impl Fn() -> bool,
    ) -> FetcherWakeup {
        let mut state = lock(&self.state);
        state.wake_below = (has_more_due && !held).then_some(in_flight_limit / 2);
        loop {
            let room = in_flight_limit.saturating_sub(state.queue.len() + state.active);
            let wanted =
                state.poll_requested || (has_more_due && state.queue.len() <= in_flight_limit / 2);
            let room = if held || !wanted { 0 } else { room };
            let lingers = state.first_end.map(|first| first + LINGER);
            let now = Instant::now();
            let full = state.active == 0 || state.ends.len() >= COMMIT_BATCH;
            let ends = !state.ends.is_empty() && (full || lingers.is_some_and(|end| end <= now));
            let over = until.is_some_and(|until| until <= now);
            if room > 0 || ends || over || stopping() {
                if room > 0 {
                    state.poll_requested = false;
                }
                state.wake_below = None;
                state.first_end = None;
                return FetcherWakeup {
                    ends: std::mem::take(&mut state.ends),
                    room,
                };
            }
            let wake = [until, lingers].into_iter().flatten().min();
            state = match wake {
                None => wait(&self.wakeup, state),
                Some(wake) => wait_until(&self.wakeup, state, wake),
            };
        }
    }

    /// Queues deliveries whose attempts have started. Returns the number of additional workers
    /// needed.
    pub(super) fn queue(&self, deliveries: Vec<DueDelivery>) -> usize {
        let mut state = lock(&self.state);
        state.queue.extend(deliveries);
        let idle = state.workers - state.active;
        let may = self.limits().concurrency - state.workers;
        let wants = state.queue.len().saturating_sub(idle).min(may);
        state.workers += wants;
        self.queued.notify_all();
        wants
    }

    /// Corrects the number of workers after a thread could not be started.
    pub(super) fn worker_failed(&self) {
        lock(&self.state).workers -= 1;
    }

    /// Returns the next delivery for a worker when the rate limit allows it; `None` once the queue
    /// is closed. The limit is checked here as well as at the start of an attempt: otherwise
    /// deliveries that waited for stuck workers would leave all at once.
    pub(super) fn take(&self) -> Option<DueDelivery> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                state.workers -= 1;
                return None;
            }
            // The worker that waits for the rate limit wakes the others.
            if state.queue.is_empty() || state.waits_for_rate {
                state = wait(&self.queued, state);
                continue;
            }
            if let (0, Some(next)) = self.rate_limiter.take(1) {
                state.waits_for_rate = true;
                state = wait_until(&self.queued, state, next);
                state.waits_for_rate = false;
                continue;
            }
            if let Some(delivery) = state.queue.pop_front() {
                state.active += 1;
                if state.wake_below == Some(state.queue.len()) {
                    self.wakeup.notify_one();
                }
                if self.limits.rate.is_some() && !state.queue.is_empty() {
                    self.queued.notify_one();
                }
                return Some(delivery);
            }
        }
    }

    /// Records the end of an attempt.
    pub(super) fn record_end(&self, end: AttemptEnd) {
        let mut state = lock(&self.state);
        state.active -= 1;
        state.ends.push(end);
        let first = state.first_end.is_none();
        if first {
            state.first_end = Some(Instant::now());
        }
        if first || state.active == 0 || state.ends.len() >= COMMIT_BATCH {
            self.wakeup.notify_one();
        }
    }

    /// Throttles the channel until this time, as the provider requested.
    pub(super) fn throttle(&self, until: Timestamp) {
        lock(&self.state).throttle.extend(until);
    }

    /// Returns the end of the throttle; `None` if the channel is not throttled.
    pub(super) fn paused(&self, now: Timestamp) -> Option<Timestamp> {
        lock(&self.state).throttle.until(now)
    }

    /// Removes the deliveries that no worker has taken and ends their attempts as not made.
    pub(super) fn withdraw(&self) -> Vec<AttemptEnd> {
        let queue = std::mem::take(&mut lock(&self.state).queue);
        let ends = queue.into_iter().map(|delivery| AttemptEnd {
            delivery: delivery.id,
            attempt: delivery.attempt,
            outcome: AttemptOutcome::NotStarted,
        });
        ends.collect()
    }

    pub(super) fn load(&self) -> QueueLoad {
        let state = lock(&self.state);
        QueueLoad {
            queued: state.queue.len(),
            active: state.active,
        }
    }

    /// Closes the queue; each worker ends after its current delivery.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.queued.notify_all();
    }
}

fn wait<'d>(condvar: &Condvar, state: MutexGuard<'d, QueueState>) -> MutexGuard<'d, QueueState> {
    condvar.wait(state).unwrap_or_else(PoisonError::into_inner)
}

fn wait_until<'d>(
    condvar: &Condvar,
    state: MutexGuard<'d, QueueState>,
    moment: Instant,
) -> MutexGuard<'d, QueueState> {
    let left = moment.saturating_duration_since(Instant::now());
    let waited = condvar.wait_timeout(state, left);
    waited.unwrap_or_else(PoisonError::into_inner).0
}
