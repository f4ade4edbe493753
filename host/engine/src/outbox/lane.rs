//! A lane: what one channel has in hand, between its feeder and its senders.

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

/// Letters that a lane has in hand at most: their attempts have begun.
pub(super) const MOST_IN_HAND: usize = 128;
/// Attempts that have ended before they are committed, while others go on.
const ENDS_TOGETHER: usize = 64;
/// How long an end waits for others to share its commit.
const LINGER: Duration = Duration::from_millis(3);

/// What one channel has in hand.
pub(super) struct Lane {
    channel: Option<Arc<dyn Channel>>,
    kinds: Vec<ChannelKind>,
    limits: Limits,
    /// When the next letter may be handed over.
    pace: Pace,
    desk: Mutex<Desk>,
    /// Wakes the senders.
    queued: Condvar,
    /// Wakes the feeder.
    news: Condvar,
}

#[derive(Default)]
struct Desk {
    /// Letters whose attempts have begun, until a sender takes them.
    queue: VecDeque<DueDelivery>,
    /// Letters that senders are handing over.
    sending: usize,
    /// Senders there are.
    senders: usize,
    /// What came of attempts, until the feeder commits it.
    ends: Vec<AttemptEnd>,
    first_end: Option<Instant>,
    /// Somebody asks to look for what is due.
    rung: bool,
    /// The feeder knows of more that is due, and wants to be woken when the queue is this short.
    wanted_below: Option<usize>,
    /// The provider asks to be left alone.
    pause: Pause,
    /// A sender waits for the moment at which the next letter may be handed over.
    paced: bool,
    closed: bool,
}

/// What a feeder was woken by.
pub(super) struct News {
    /// What came of attempts.
    pub(super) ends: Vec<AttemptEnd>,
    /// How many letters may begin; 0 where nobody asks for more.
    pub(super) room: usize,
}

/// How full a lane is, for its feeder.
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

    /// The first of its kinds.
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

    /// Letters that may be in hand. Where there is a rate, no more than leave in two of its bursts:
    /// what has begun waits for its turn, and can be neither cancelled nor led another way.
    pub(super) fn most_in_hand(&self) -> usize {
        let two =
            |rate: Rate| usize::try_from(rate.burst().get()).map_or(MOST_IN_HAND, |one| 2 * one);
        let most = self.limits.rate.map_or(MOST_IN_HAND, two);
        most.clamp(self.limits().concurrency, MOST_IN_HAND)
    }

    /// Has the feeder look for what is due.
    pub(super) fn ring(&self) {
        let mut desk = lock(&self.desk);
        if !desk.rung {
            desk.rung = true;
            self.news.notify_one();
        }
    }

    /// Wakes the feeder, to see that it stops.
    pub(super) fn wake(&self) {
        // Under the lock: between asking and waiting nobody misses it.
        let _desk = lock(&self.desk);
        self.news.notify_one();
    }

    /// Waits until there is something for the feeder to do, at most until that moment. `held`: it
    /// would begin nothing now. `hungry`: it knows of more that is due.
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

    /// Queues letters whose attempts have begun; answers how many senders it wants beside those
    /// that there are.
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

    /// A sender that was wanted could not be made.
    pub(super) fn sender_less(&self) {
        lock(&self.desk).senders -= 1;
    }

    /// The next letter for a sender, when it may be handed over; `None` once the lane is closed.
    /// Its rate is asked here and not only where it begins: what waits while senders hang would
    /// leave all at once after that.
    pub(super) fn take(&self) -> Option<DueDelivery> {
        let mut desk = lock(&self.desk);
        loop {
            if desk.closed {
                desk.senders -= 1;
                return None;
            }
            // The others are woken by the one that waits for the moment.
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

    /// What came of a letter that was taken.
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

    /// The provider asks to be left alone until that moment.
    pub(super) fn pause(&self, until: Timestamp) {
        lock(&self.desk).pause.keep(until);
    }

    /// Until when the provider asks to be left alone; `None`: it does not.
    pub(super) fn paused(&self, now: Timestamp) -> Option<Timestamp> {
        lock(&self.desk).pause.until(now)
    }

    /// Takes the letters back that no sender has taken: their attempts handed nothing over.
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

    /// Ends the senders, each after the letter that it has.
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
