//! The fetcher of a channel queue: fetches due deliveries and commits the start and the end of each
//! attempt.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::channel_queue::ChannelQueue;
use super::isolate::{IsolatedDeliveries, split_batch};
use super::rate_limiter::ChannelRateLimiter;
use super::{DispatcherContext, delivery_worker};
use crate::committer::{Committed, Committer};
use promoflow_model::clock::Timestamp;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::retry::Throttle;
use promoflow_store::{
    AttemptBatch, AttemptEnd, AttemptOutcome, CommitReply, CommitUnit, DeliveryId, DueDelivery,
    Store, StoreError, ThrottledParty,
};

/// Delay after an error of the store.
const FAILURE_DELAY: Duration = Duration::from_secs(1);
/// Waiting time in the queue above which too many deliveries are in flight.
const MAX_QUEUE_TIME: Duration = Duration::from_millis(250);

/// Fetches the due deliveries of one channel queue.
pub(super) struct Fetcher {
    channel_queue: Arc<ChannelQueue>,
    context: Arc<DispatcherContext>,
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
    rate_limiter: ChannelRateLimiter,
    /// Deliveries whose attempts have started and whose ends are not committed yet.
    in_flight: HashSet<DeliveryId>,
    /// Maximum number of deliveries in flight. Small while attempts are slow, so that few attempts
    /// have started without a worker; large while they are fast, so that they share commits.
    in_flight_limit: usize,
    queued_at: Instant,
    /// Attempt ends that are not committed yet.
    uncommitted_ends: Vec<AttemptEnd>,
    /// True if the last batch failed to commit: the next one is committed in parts.
    isolate: bool,
    /// Deliveries that failed to commit on their own.
    isolated: IsolatedDeliveries,
    /// True if more deliveries are due.
    has_more_due: bool,
    /// True if rescheduled deliveries come first in the next page, false if new ones do.
    scheduled_first: bool,
    /// The stored throttle of the provider; `None` until it is read.
    stored_throttle: Option<Option<Timestamp>>,
    /// No attempt starts before this time.
    blocked_until: Option<Instant>,
    /// The time at which the fetcher saw the stop request.
    stop_seen: Option<Instant>,
}

/// The committer is no longer running, so nothing more can be delivered.
struct CommitterStopped;

impl Fetcher {
    pub(super) fn new(
        channel_queue: Arc<ChannelQueue>,
        context: Arc<DispatcherContext>,
        store: Arc<dyn Store>,
        committer: Arc<Committer>,
    ) -> Fetcher {
        let limits = channel_queue.limits();
        Fetcher {
            channel_queue,
            context,
            store,
            committer,
            rate_limiter: ChannelRateLimiter::new(limits.rate),
            in_flight: HashSet::new(),
            in_flight_limit: limits.concurrency,
            queued_at: Instant::now(),
            uncommitted_ends: Vec::new(),
            isolate: false,
            isolated: IsolatedDeliveries::default(),
            has_more_due: false,
            scheduled_first: true,
            stored_throttle: None,
            blocked_until: None,
            stop_seen: None,
        }
    }

    /// Runs until the dispatcher stops.
    pub(super) fn run(mut self) {
        while !self.is_finished() {
            if self.run_once().is_err() {
                break;
            }
        }
        self.channel_queue.close();
        if !self.in_flight.is_empty() {
            let (count, name) = (self.in_flight.len(), self.channel_queue.name());
            tracing::warn!(
                "channel {name}: {count} attempts did not end before the stop; they will be repeated"
            );
        }
    }

    /// Returns true if the dispatcher is stopping and all attempts have ended or the drain time is
    /// over.
    fn is_finished(&mut self) -> bool {
        if !self.context.stopping() {
            return false;
        }
        let since = *self.stop_seen.get_or_insert_with(Instant::now);
        self.in_flight.is_empty() || since.elapsed() >= self.context.drain
    }

    fn run_once(&mut self) -> Result<(), CommitterStopped> {
        let stopping = self.stop_seen.is_some();
        // Deliveries that no worker has taken stay due.
        let withdrawn = match stopping {
            true => self.channel_queue.withdraw(),
            false => Vec::new(),
        };
        if let Err(error) = self.restore_throttle() {
            self.delay_after_error(&error);
        }
        let now = Instant::now();
        let held = self.blocked_until.filter(|until| now < *until);
        let until = match (withdrawn.is_empty(), self.stop_seen) {
            (false, _) => Some(now),
            (true, Some(since)) => {
                let last = since + self.context.drain;
                Some(held.map_or(last, |held| held.min(last)))
            }
            (true, None) => held.into_iter().chain(self.isolated.next()).min(),
        };
        let context = Arc::clone(&self.context);
        let wakeup = self.channel_queue.wait_for_work(
            self.in_flight_limit,
            held.is_some() || stopping,
            self.has_more_due,
            until,
            // After the stop request, only attempt ends matter.
            || !stopping && context.stopping(),
        );
        let mut batch = AttemptBatch {
            ends: std::mem::take(&mut self.uncommitted_ends),
            ..AttemptBatch::default()
        };
        if let Some(ends) = self.isolated.take_due(stopping) {
            batch.ends.extend(ends);
            self.has_more_due = true;
        }
        batch.ends.extend(withdrawn);
        batch.ends.extend(wakeup.ends);
        let now = self.context.clock.now();
        let paused = self.channel_queue.paused(now);
        if let Some(until) = paused {
            if self.stored_throttle != Some(paused) {
                let kinds = self.channel_queue.kinds().iter();
                batch.throttles = kinds.map(|kind| (*kind, until)).collect();
            }
            let withdrawn = self.channel_queue.withdraw();
            let ids = withdrawn.iter().map(|end| (end.delivery, until));
            batch.rescheduled = ids.collect();
            batch.ends.extend(withdrawn);
        }
        let mut deliveries = Vec::new();
        if wakeup.room > 0 && self.stored_throttle.is_some() && !self.context.stopping() {
            match self.fetch_due(wakeup.room, now, paused, &mut batch) {
                Ok(due) => deliveries = due,
                Err(error) => self.delay_after_error(&error),
            }
        }
        batch.starts = deliveries.iter().map(|delivery| delivery.id).collect();
        match (batch.is_empty(), self.isolate) {
            (true, _) => {}
            (false, true) => self.commit_in_parts(batch, deliveries)?,
            (false, false) => self.isolate = !self.commit(batch, deliveries)?,
        }
        Ok(())
    }

    /// Commits a batch in parts and isolates the part that fails. The part is isolated if the fault
    /// is its own; if the disk fails, the first part fails again and the rest is kept for later.
    fn commit_in_parts(
        &mut self,
        batch: AttemptBatch,
        deliveries: Vec<DueDelivery>,
    ) -> Result<(), CommitterStopped> {
        self.isolate = false;
        for part in split_batch(batch, deliveries) {
            if self.isolate {
                self.uncommitted_ends.extend(part.batch.ends);
            } else if !self.commit(part.batch, part.deliveries)? {
                self.isolate = true;
                let ends = std::mem::take(&mut self.uncommitted_ends);
                if let Some(delivery) = part.delivery {
                    self.isolated.put(delivery, ends);
                }
            }
        }
        Ok(())
    }

    /// Restores the throttle that the provider requested before this start.
    fn restore_throttle(&mut self) -> Result<(), StoreError> {
        if self.stored_throttle.is_none() {
            let mut latest = None;
            for kind in self.channel_queue.kinds() {
                latest = latest.max(self.store.throttled_until(ThrottledParty::Channel(*kind))?);
            }
            let now = self.context.clock.now();
            if let Some(until) = Throttle::restore(latest, now).until(now) {
                self.channel_queue.throttle(until);
            }
            self.stored_throttle = Some(latest);
        }
        Ok(())
    }

    /// Returns the due deliveries that may start now; adds the others to `batch` as rescheduled.
    fn fetch_due(
        &mut self,
        room: usize,
        now: Timestamp,
        paused: Option<Timestamp>,
        batch: &mut AttemptBatch,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        // Copied only if some are isolated.
        let mut busy = Cow::Borrowed(&self.in_flight);
        for isolated in self.isolated.ids() {
            busy.to_mut().insert(isolated);
        }
        let kinds = self.channel_queue.kinds();
        let first = self.scheduled_first;
        let page = self.store.due_deliveries(kinds, now, room, first, &busy)?;
        for (delivery, error) in &page.unreadable {
            tracing::error!("delivery {delivery} failed: {error}");
        }
        batch.unreadable = page.unreadable;
        self.has_more_due = page.more;
        self.adjust_in_flight();
        let mut due = page.deliveries;
        due.retain(|delivery| {
            let opens = delivery.hours.map_or(now, |hours| hours.next_opening(now));
            let begins = paused.map_or(opens, |until| until.max(opens));
            let open = begins <= now || delivery.expires <= now;
            if !open {
                batch.rescheduled.push((delivery.id, begins));
            }
            open
        });
        let (may, next) = self.rate_limiter.take(due.len());
        due.truncate(may);
        if next.is_some() {
            self.blocked_until = next;
            self.has_more_due = true;
        }
        if let Some(last) = due.last() {
            self.scheduled_first = !last.was_scheduled;
        }
        Ok(due)
    }

    /// Adjusts the number of deliveries in flight: increases it if workers wait for deliveries,
    /// reduces it if deliveries wait for workers.
    fn adjust_in_flight(&mut self) {
        let least = self.channel_queue.limits().concurrency;
        let load = self.channel_queue.load();
        if load.queued == 0 {
            self.in_flight_limit =
                (self.in_flight_limit * 2).min(self.channel_queue.max_in_flight());
        } else if load.active > 0 && self.queued_at.elapsed() > MAX_QUEUE_TIME {
            self.in_flight_limit = (self.in_flight_limit / 2).max(least);
        }
    }

    /// Commits a batch and queues the started deliveries. Returns false if the commit failed.
    fn commit(
        &mut self,
        batch: AttemptBatch,
        deliveries: Vec<DueDelivery>,
    ) -> Result<bool, CommitterStopped> {
        if !batch.starts.is_empty() {
            failpoint::pass(Failpoint::BeforeAttempt);
        }
        let unit = CommitUnit::Attempts(Box::new(batch));
        let Some(Committed {
            unit: CommitUnit::Attempts(batch),
            reply,
            ..
        }) = self.committer.commit(unit)
        else {
            return Err(CommitterStopped);
        };
        let started = match reply {
            Ok(CommitReply::Started(started)) => started,
            Ok(CommitReply::Failed(error)) => {
                self.uncommitted_ends = batch.ends;
                self.delay_after_error(&StoreError::Engine(error));
                return Ok(false);
            }
            Ok(_) => Vec::new(),
            Err(error) => {
                self.uncommitted_ends = batch.ends;
                self.delay_after_error(&StoreError::Engine(error.to_string()));
                return Ok(false);
            }
        };
        for end in &batch.ends {
            self.in_flight.remove(&end.delivery);
        }
        if let Some((_, until)) = batch.throttles.first() {
            self.stored_throttle = Some(Some(*until));
        }
        let others =
            |end: &AttemptEnd| matches!(end.outcome, AttemptOutcome::PermanentFailure { .. });
        if batch.ends.iter().any(others) {
            // The next alternative may use another channel queue.
            self.context.poll_now();
        }
        if started.is_empty() {
            return Ok(true);
        }
        failpoint::pass(Failpoint::AfterAttemptStart);
        let started: HashMap<DeliveryId, u32> = started.into_iter().collect();
        self.in_flight.extend(started.keys());
        let begun = |mut delivery: DueDelivery| {
            delivery.attempt = *started.get(&delivery.id)?;
            Some(delivery)
        };
        let deliveries: Vec<_> = deliveries.into_iter().filter_map(begun).collect();
        self.queued_at = Instant::now();
        for _ in 0..self.channel_queue.queue(deliveries) {
            self.spawn_worker();
        }
        Ok(true)
    }

    /// Starts a delivery worker.
    fn spawn_worker(&self) {
        let (channel_queue, context) = (Arc::clone(&self.channel_queue), Arc::clone(&self.context));
        let made = thread::Builder::new()
            .name(format!("deliver-{}", self.channel_queue.name()))
            .spawn(move || delivery_worker::run(&channel_queue, &context));
        if let Err(error) = made {
            self.channel_queue.worker_failed();
            tracing::error!("cannot start a delivery thread: {error}");
        }
    }

    /// Delays new attempts after an error. Attempt ends are kept.
    fn delay_after_error(&mut self, error: &StoreError) {
        tracing::error!("cannot fetch or commit deliveries: {error}");
        self.blocked_until = Some(Instant::now() + FAILURE_DELAY);
        // The requested work was not done.
        self.has_more_due = true;
    }
}
