//! The fetcher of a channel queue: fetches due deliveries and commits the start and the end of each
//! attempt.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::apart::{Aside, parts};
use super::lane::Lane;
use super::pace::Pace;
use super::pause::Pause;
use super::{Around, sender};
use crate::committer::Committer;
use promoflow_model::clock::Timestamp;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_store::{
    AttemptEnd, AttemptOutcome, Attempts, DeliveryId, DueDelivery, Reply, Side, Store, StoreError,
    Unit,
};

/// Delay after an error of the store.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Waiting time in the queue above which too many deliveries are in flight.
const TOO_LONG: Duration = Duration::from_millis(250);

/// Fetches the due deliveries of one channel queue.
pub(super) struct Feeder {
    lane: Arc<Lane>,
    around: Arc<Around>,
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
    pace: Pace,
    /// Deliveries whose attempts have started and whose ends are not committed yet.
    in_hand: HashSet<DeliveryId>,
    /// Maximum number of deliveries in flight. Small while attempts are slow, so that few attempts
    /// have started without a worker; large while they are fast, so that they share commits.
    window: usize,
    queued_at: Instant,
    /// Attempt ends that are not committed yet.
    unsaved: Vec<AttemptEnd>,
    /// True if the last batch failed to commit: the next one is committed in parts.
    apart: bool,
    /// Deliveries that failed to commit on their own.
    aside: Aside,
    /// True if more deliveries are due.
    hungry: bool,
    /// True if rescheduled deliveries come first in the next page, false if new ones do.
    waited_first: bool,
    /// The stored throttle of the provider; `None` until it is read.
    stored_pause: Option<Option<Timestamp>>,
    /// No attempt starts before this time.
    held_until: Option<Instant>,
    /// The time at which the fetcher saw the stop request.
    stopped: Option<Instant>,
}

/// The committer is no longer running, so nothing more can be delivered.
struct Stopped;

impl Feeder {
    pub(super) fn new(
        lane: Arc<Lane>,
        around: Arc<Around>,
        store: Arc<dyn Store>,
        committer: Arc<Committer>,
    ) -> Feeder {
        let limits = lane.limits();
        Feeder {
            lane,
            around,
            store,
            committer,
            pace: Pace::new(limits.rate),
            in_hand: HashSet::new(),
            window: limits.concurrency,
            queued_at: Instant::now(),
            unsaved: Vec::new(),
            apart: false,
            aside: Aside::default(),
            hungry: false,
            waited_first: true,
            stored_pause: None,
            held_until: None,
            stopped: None,
        }
    }

    /// Runs until the dispatcher stops.
    pub(super) fn feed(mut self) {
        while !self.over() {
            if self.turn().is_err() {
                break;
            }
        }
        self.lane.close();
        if !self.in_hand.is_empty() {
            let (count, name) = (self.in_hand.len(), self.lane.name());
            tracing::warn!(
                "channel {name}: {count} attempts did not end before the stop; they will be repeated"
            );
        }
    }

    /// Returns true if the dispatcher is stopping and all attempts have ended or the drain time is
    /// over.
    fn over(&mut self) -> bool {
        if !self.around.stopping() {
            return false;
        }
        let since = *self.stopped.get_or_insert_with(Instant::now);
        self.in_hand.is_empty() || since.elapsed() >= self.around.drain
    }

    fn turn(&mut self) -> Result<(), Stopped> {
        let stopping = self.stopped.is_some();
        // Deliveries that no worker has taken stay due.
        let withdrawn = match stopping {
            true => self.lane.withdraw(),
            false => Vec::new(),
        };
        if let Err(error) = self.recall_pause() {
            self.failed(&error);
        }
        let now = Instant::now();
        let held = self.held_until.filter(|until| now < *until);
        let until = match (withdrawn.is_empty(), self.stopped) {
            (false, _) => Some(now),
            (true, Some(since)) => {
                let last = since + self.around.drain;
                Some(held.map_or(last, |held| held.min(last)))
            }
            (true, None) => held.into_iter().chain(self.aside.next()).min(),
        };
        let around = Arc::clone(&self.around);
        let news = self.lane.listen(
            self.window,
            held.is_some() || stopping,
            self.hungry,
            until,
            // After the stop request, only attempt ends matter.
            || !stopping && around.stopping(),
        );
        let mut step = Attempts {
            ends: std::mem::take(&mut self.unsaved),
            ..Attempts::default()
        };
        if let Some(ends) = self.aside.back(stopping) {
            step.ends.extend(ends);
            self.hungry = true;
        }
        step.ends.extend(withdrawn);
        step.ends.extend(news.ends);
        let now = self.around.clock.now();
        let paused = self.lane.paused(now);
        if let Some(until) = paused {
            if self.stored_pause != Some(paused) {
                let kinds = self.lane.kinds().iter();
                step.pauses = kinds.map(|kind| (*kind, until)).collect();
            }
            let withdrawn = self.lane.withdraw();
            let ids = withdrawn.iter().map(|end| (end.delivery, until));
            step.postponed = ids.collect();
            step.ends.extend(withdrawn);
        }
        let mut letters = Vec::new();
        if news.room > 0 && self.stored_pause.is_some() && !self.around.stopping() {
            match self.due(news.room, now, paused, &mut step) {
                Ok(due) => letters = due,
                Err(error) => self.failed(&error),
            }
        }
        step.starts = letters.iter().map(|letter| letter.id).collect();
        match (step.is_empty(), self.apart) {
            (true, _) => {}
            (false, true) => self.commit_apart(step, letters)?,
            (false, false) => self.apart = !self.commit(step, letters)?,
        }
        Ok(())
    }

    /// Commits a batch in parts and isolates the part that fails. The part is isolated if the fault
    /// is its own; if the disk fails, the first part fails again and the rest is kept for later.
    fn commit_apart(&mut self, step: Attempts, letters: Vec<DueDelivery>) -> Result<(), Stopped> {
        self.apart = false;
        for part in parts(step, letters) {
            if self.apart {
                self.unsaved.extend(part.step.ends);
            } else if !self.commit(part.step, part.letters)? {
                self.apart = true;
                let ends = std::mem::take(&mut self.unsaved);
                if let Some(delivery) = part.delivery {
                    self.aside.put(delivery, ends);
                }
            }
        }
        Ok(())
    }

    /// Restores the throttle that the provider requested before this start.
    fn recall_pause(&mut self) -> Result<(), StoreError> {
        if self.stored_pause.is_none() {
            let mut latest = None;
            for kind in self.lane.kinds() {
                latest = latest.max(self.store.pause(Side::Channel(*kind))?);
            }
            let now = self.around.clock.now();
            if let Some(until) = Pause::recall(latest, now).until(now) {
                self.lane.pause(until);
            }
            self.stored_pause = Some(latest);
        }
        Ok(())
    }

    /// Returns the due deliveries that may start now; adds the others to `step` as rescheduled.
    fn due(
        &mut self,
        room: usize,
        now: Timestamp,
        paused: Option<Timestamp>,
        step: &mut Attempts,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let busy = |id| self.in_hand.contains(&id) || self.aside.holds(id);
        let kinds = self.lane.kinds();
        let first = self.waited_first;
        let page = self.store.due_deliveries(kinds, now, room, first, &busy)?;
        for (delivery, error) in &page.unreadable {
            tracing::error!("delivery {delivery} failed: {error}");
        }
        step.unreadable = page.unreadable;
        self.hungry = page.more;
        self.adapt();
        let mut due = page.letters;
        due.retain(|delivery| {
            let opens = delivery.hours.map_or(now, |hours| hours.next_open(now));
            let begins = paused.map_or(opens, |until| until.max(opens));
            let open = begins <= now || delivery.expires <= now;
            if !open {
                step.postponed.push((delivery.id, begins));
            }
            open
        });
        let (may, next) = self.pace.take(due.len());
        due.truncate(may);
        if next.is_some() {
            self.held_until = next;
            self.hungry = true;
        }
        if let Some(last) = due.last() {
            self.waited_first = !last.waited;
        }
        Ok(due)
    }

    /// Adjusts the number of deliveries in flight: increases it if workers wait for deliveries,
    /// reduces it if deliveries wait for workers.
    fn adapt(&mut self) {
        let least = self.lane.limits().concurrency;
        let load = self.lane.load();
        if load.queued == 0 {
            self.window = (self.window * 2).min(self.lane.most_in_hand());
        } else if load.sending > 0 && self.queued_at.elapsed() > TOO_LONG {
            self.window = (self.window / 2).max(least);
        }
    }

    /// Commits a batch and queues the started deliveries. Returns false if the commit failed.
    fn commit(&mut self, step: Attempts, letters: Vec<DueDelivery>) -> Result<bool, Stopped> {
        if !step.starts.is_empty() {
            failpoint::pass(Failpoint::BeforeAttempt);
        }
        let (answer, answered) = std::sync::mpsc::channel();
        self.committer
            .hand_in(Unit::Attempts(Box::new(step)), None, move |reply, unit| {
                // The fetcher waits for this reply.
                let _gone = answer.send((reply, unit));
            });
        let Ok((reply, Unit::Attempts(step))) = answered.recv() else {
            return Err(Stopped);
        };
        let started = match reply {
            Ok(Reply::Started(started)) => started,
            Ok(Reply::Failed(error)) => {
                self.unsaved = step.ends;
                self.failed(&StoreError::Engine(error));
                return Ok(false);
            }
            Ok(_) => Vec::new(),
            Err(error) => {
                self.unsaved = step.ends;
                self.failed(&StoreError::Engine(error.to_string()));
                return Ok(false);
            }
        };
        for end in &step.ends {
            self.in_hand.remove(&end.delivery);
        }
        if let Some((_, until)) = step.pauses.first() {
            self.stored_pause = Some(Some(*until));
        }
        let others = |end: &AttemptEnd| matches!(end.outcome, AttemptOutcome::Refused { .. });
        if step.ends.iter().any(others) {
            // The next alternative may use another channel queue.
            self.around.look();
        }
        if started.is_empty() {
            return Ok(true);
        }
        failpoint::pass(Failpoint::AfterAttemptStart);
        self.in_hand.extend(&started);
        let begun = |letter: &DueDelivery| started.contains(&letter.id);
        let letters: Vec<_> = letters.into_iter().filter(begun).collect();
        self.queued_at = Instant::now();
        for _ in 0..self.lane.queue(letters) {
            self.hire();
        }
        Ok(true)
    }

    /// Starts a delivery worker.
    fn hire(&self) {
        let (lane, around) = (Arc::clone(&self.lane), Arc::clone(&self.around));
        let made = thread::Builder::new()
            .name(format!("deliver-{}", self.lane.name()))
            .spawn(move || sender::send(&lane, &around));
        if let Err(error) = made {
            self.lane.sender_less();
            tracing::error!("cannot start a delivery thread: {error}");
        }
    }

    /// Delays new attempts after an error. Attempt ends are kept.
    fn failed(&mut self, error: &StoreError) {
        tracing::error!("cannot fetch or commit deliveries: {error}");
        self.held_until = Some(Instant::now() + AFTER_FAILURE);
        // The requested work was not done.
        self.hungry = true;
    }
}
