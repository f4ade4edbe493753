//! A channel queue: the deliveries of one channel in flight, between its fetcher and its workers.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lock;
use super::pace::Pace;
use super::pause::Pause;
use promoflow_channels::{Channel, Limits};
use promoflow_config::Rate;
use promoflow_model::clock::Timestamp;
use promoflow_model::message::ChannelKind;
use promoflow_store::{AttemptEnd, AttemptOutcome, DueDelivery};

/// Maximum number of deliveries in flight in one channel queue; their attempts have started.
pub(super) const MOST_IN_HAND: usize = 128;
/// Number of ended attempts that are committed together while others are running.
const ENDS_TOGETHER: usize = 64;
/// Time that an attempt end waits for others to share its commit.
const LINGER: Duration = Duration::from_millis(3);

/// The deliveries of one channel in flight.
pub(super) struct Lane {
    channel: Option<Arc<dyn Channel>>,
    kinds: Vec<ChannelKind>,
    limits: Limits,
    /// The rate limit of the channel.
    pace: Pace,
    desk: Mutex<Desk>,
    /// Wakes the workers.
    queued: Condvar,
    /// Wakes the fetcher.
    news: Condvar,
}

#[derive(Default)]
struct Desk {
    /// Deliveries whose attempts have started, until a worker takes them.
    queue: VecDeque<DueDelivery>,
    /// Number of deliveries that workers are processing.
    sending: usize,
    /// Number of workers.
    senders: usize,
    /// Ended attempts, until the fetcher commits them.
    ends: Vec<AttemptEnd>,
    first_end: Option<Instant>,
    /// True if the fetcher was asked to look for due deliveries.
    rung: bool,
    /// The queue length at which to wake the fetcher, which knows of more due deliveries.
    wanted_below: Option<usize>,
    /// The throttle that the provider requested.
    pause: Pause,
    /// True while a worker waits for the rate limit.
    paced: bool,
    closed: bool,
}

/// The reason for waking the fetcher.
pub(super) struct News {
    /// Ended attempts.
    pub(super) ends: Vec<AttemptEnd>,
    /// Number of deliveries that may start; 0 if none are wanted.
    pub(super) room: usize,
}

/// The load of a channel queue.
pub(super) struct Load {
    pub(super) queued: usize,
    pub(super) sending: usize,
}

impl Lane {
    pub(super) fn new(channel: Option<Arc<dyn Channel>>, kinds: Vec<ChannelKind>) -> Lane {
        let limits = channel
            .as_ref()
            .map_or(Limits::ONE, |channel| channel.limits());
        Lane {
            channel,
            kinds,
            pace: Pace::new(limits.rate),
            limits,
            desk: Mutex::default(),
            queued: Condvar::new(),
            news: Condvar::new(),
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
            concurrency: self.limits.concurrency.clamp(1, MOST_IN_HAND),
            ..self.limits
        }
    }

    /// Returns the maximum number of deliveries in flight. With a rate limit it is two bursts: a
    /// started delivery that waits for its turn can neither be cancelled nor use another
    /// alternative.
    pub(super) fn most_in_hand(&self) -> usize {
        let two =
            |rate: Rate| usize::try_from(rate.burst().get()).map_or(MOST_IN_HAND, |one| 2 * one);
        let most = self.limits.rate.map_or(MOST_IN_HAND, two);
        most.clamp(self.limits().concurrency, MOST_IN_HAND)
    }

    /// Wakes the fetcher to look for due deliveries.
    pub(super) fn ring(&self) {
        let mut desk = lock(&self.desk);
        if !desk.rung {
            desk.rung = true;
            self.news.notify_one();
        }
    }

    /// Wakes the fetcher to see the stop request.
    pub(super) fn wake(&self) {
        // Locked, so that the fetcher cannot miss it between its check and its wait.
        let _desk = lock(&self.desk);
        self.news.notify_one();
    }

    /// Blocks until the fetcher has something to do, or until `until`. `held`: no attempt may start
    /// now. `hungry`: more deliveries are due.
    pub(super) fn listen(
        &self,
        window: usize,
        held: bool,
        hungry: bool,
        until: Option<Instant>,
        stopping: impl Fn() -> bool,
    ) -> News {
        let mut desk = lock(&self.desk);
        desk.wanted_below = (hungry && !held).then_some(window / 2);
        loop {
            let room = window.saturating_sub(desk.queue.len() + desk.sending);
            let wanted = desk.rung || (hungry && desk.queue.len() <= window / 2);
            let room = if held || !wanted { 0 } else { room };
            let lingers = desk.first_end.map(|first| first + LINGER);
            let now = Instant::now();
            let full = desk.sending == 0 || desk.ends.len() >= ENDS_TOGETHER;
            let ends = !desk.ends.is_empty() && (full || lingers.is_some_and(|end| end <= now));
            let over = until.is_some_and(|until| until <= now);
            if room > 0 || ends || over || stopping() {
                if room > 0 {
                    desk.rung = false;
                }
                desk.wanted_below = None;
                desk.first_end = None;
                return News {
                    ends: std::mem::take(&mut desk.ends),
                    room,
                };
            }
            let wake = [until, lingers].into_iter().flatten().min();
            desk = match wake {
                None => wait(&self.news, desk),
                Some(wake) => wait_until(&self.news, desk, wake),
            };
        }
    }

    /// Queues deliveries whose attempts have started. Returns the number of additional workers
    /// needed.
    pub(super) fn queue(&self, letters: Vec<DueDelivery>) -> usize {
        let mut desk = lock(&self.desk);
        desk.queue.extend(letters);
        let idle = desk.senders - desk.sending;
        let may = self.limits().concurrency - desk.senders;
        let wants = desk.queue.len().saturating_sub(idle).min(may);
        desk.senders += wants;
        self.queued.notify_all();
        wants
    }

    /// Corrects the number of workers after a thread could not be started.
    pub(super) fn sender_less(&self) {
        lock(&self.desk).senders -= 1;
    }

    /// Returns the next delivery for a worker when the rate limit allows it; `None` once the queue
    /// is closed. The limit is checked here as well as at the start of an attempt: otherwise
    /// deliveries that waited for stuck workers would leave all at once.
    pub(super) fn take(&self) -> Option<DueDelivery> {
        let mut desk = lock(&self.desk);
        loop {
            if desk.closed {
                desk.senders -= 1;
                return None;
            }
            // The worker that waits for the rate limit wakes the others.
            if desk.queue.is_empty() || desk.paced {
                desk = wait(&self.queued, desk);
                continue;
            }
            if let (0, Some(next)) = self.pace.take(1) {
                desk.paced = true;
                desk = wait_until(&self.queued, desk, next);
                desk.paced = false;
                continue;
            }
            if let Some(letter) = desk.queue.pop_front() {
                desk.sending += 1;
                if desk.wanted_below == Some(desk.queue.len()) {
                    self.news.notify_one();
                }
                if self.limits.rate.is_some() && !desk.queue.is_empty() {
                    self.queued.notify_one();
                }
                return Some(letter);
            }
        }
    }

    /// Records the end of an attempt.
    pub(super) fn done(&self, end: AttemptEnd) {
        let mut desk = lock(&self.desk);
        desk.sending -= 1;
        desk.ends.push(end);
        let first = desk.first_end.is_none();
        if first {
            desk.first_end = Some(Instant::now());
        }
        if first || desk.sending == 0 || desk.ends.len() >= ENDS_TOGETHER {
            self.news.notify_one();
        }
    }

    /// Throttles the channel until this time, as the provider requested.
    pub(super) fn pause(&self, until: Timestamp) {
        lock(&self.desk).pause.keep(until);
    }

    /// Returns the end of the throttle; `None` if the channel is not throttled.
    pub(super) fn paused(&self, now: Timestamp) -> Option<Timestamp> {
        lock(&self.desk).pause.until(now)
    }

    /// Removes the deliveries that no worker has taken and ends their attempts as not made.
    pub(super) fn withdraw(&self) -> Vec<AttemptEnd> {
        let queue = std::mem::take(&mut lock(&self.desk).queue);
        let ends = queue.into_iter().map(|letter| AttemptEnd {
            delivery: letter.id,
            outcome: AttemptOutcome::Withdrawn,
        });
        ends.collect()
    }

    pub(super) fn load(&self) -> Load {
        let desk = lock(&self.desk);
        Load {
            queued: desk.queue.len(),
            sending: desk.sending,
        }
    }

    /// Closes the queue; each worker ends after its current delivery.
    pub(super) fn close(&self) {
        lock(&self.desk).closed = true;
        self.queued.notify_all();
    }
}

fn wait<'d>(condvar: &Condvar, desk: MutexGuard<'d, Desk>) -> MutexGuard<'d, Desk> {
    condvar.wait(desk).unwrap_or_else(PoisonError::into_inner)
}

fn wait_until<'d>(
    condvar: &Condvar,
    desk: MutexGuard<'d, Desk>,
    moment: Instant,
) -> MutexGuard<'d, Desk> {
    let left = moment.saturating_duration_since(Instant::now());
    let waited = condvar.wait_timeout(desk, left);
    waited.unwrap_or_else(PoisonError::into_inner).0
}
