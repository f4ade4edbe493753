//! Handles the committer's replies. Runs on the committer's thread, so nothing here blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{Answer, MOST_TRIES, Receipt, SendError, Shared, lock};
use super::worker::Task;
use crate::committer::CommitError;
use promoflow_model::mask;
use promoflow_store::{
    DueRun, EventRow, Reply, RunId, Segment, SegmentEnd, Stale, StoreError, Unit,
};

/// Time before a run whose segment could not be committed is tried again.
const REST: Duration = Duration::from_secs(1);

impl Shared {
    /// Handles the reply to an event.
    pub(super) fn accepted(
        self: &Arc<Self>,
        reply: Result<Reply, CommitError>,
        unit: Unit,
        tries: u32,
        answer: Answer,
    ) {
        let Unit::Accept(accept) = unit else { return };
        let segments = || accept.starts.iter().flat_map(|start| &start.segment);
        let (leases, events) = (&self.around.leases, &self.parts.metrics.events);
        let id = |row: EventRow| accept.event.id.clone().unwrap_or_else(|| row.to_string());
        match reply {
            Ok(Reply::Accepted { event, runs }) => {
                events.accepted.inc();
                self.trace_event(event, &accept, &runs);
                if tracing::enabled!(tracing::Level::DEBUG) {
                    let claims = segments().flat_map(|segment| &segment.claims);
                    let codes: Vec<String> =
                        claims.map(|claim| mask::code(&claim.code.code)).collect();
                    let key = mask::address(&accept.event.key);
                    let kind = &accept.event.event_type;
                    tracing::debug!(event = event.0, kind, key, ?codes, "event accepted");
                }
                for (start, run) in accept.starts.iter().zip(&runs) {
                    match (&start.segment, run) {
                        (Some(segment), Some(_)) => {
                            leases.committed(&segment.claims);
                            self.watch_traps(start.workflow, segment);
                            self.after_commit(std::iter::once(segment));
                        }
                        // The segment was executed before it was known whether the workflow starts.
                        (Some(segment), None) => leases.give_back(&segment.claims),
                        (None, _) => {}
                    }
                }
                answer(Ok(Receipt {
                    event: id(event),
                    duplicate: false,
                    runs: runs.into_iter().flatten().collect(),
                }));
                self.went_on.ring();
            }
            Ok(Reply::Duplicate { event, runs }) => {
                events.duplicate.inc();
                segments().for_each(|segment| leases.give_back(&segment.claims));
                answer(Ok(Receipt {
                    event: id(event),
                    duplicate: true,
                    runs,
                }));
            }
            Ok(Reply::Stale(stale)) => {
                segments().for_each(|segment| self.stale(stale, segment));
                if stale == Stale::Config {
                    self.parts.configurations.is_outdated(accept.config);
                }
                let event = Box::new(accept.event);
                self.bring_back(Task::Event { event, answer }, tries);
            }
            Ok(Reply::Conflict) => {
                events.refused.inc();
                segments().for_each(|segment| leases.give_back(&segment.claims));
                let id = accept.event.id.clone().unwrap_or_default();
                answer(Err(SendError::Conflict(id)));
            }
            Ok(Reply::Failed(error)) => {
                events.failed.inc();
                segments().for_each(|segment| leases.forget(&segment.claims));
                let error = CommitError(Arc::new(StoreError::Engine(error)));
                answer(Err(SendError::Store(error)));
            }
            Ok(Reply::Done | Reply::Started(_)) => {
                answer(Err(SendError::Unavailable(
                    "the store sent an unexpected reply",
                )));
            }
            Err(error) => {
                events.failed.inc();
                segments().for_each(|segment| leases.forget(&segment.claims));
                answer(Err(SendError::Store(error)));
            }
        }
    }

    /// Handles the reply to a segment.
    pub(super) fn gone_on(
        self: &Arc<Self>,
        run: DueRun,
        tries: u32,
        reply: Result<Reply, CommitError>,
        unit: Unit,
    ) {
        let Unit::Segment(segment) = unit else { return };
        match reply {
            Ok(Reply::Stale(stale @ (Stale::Code | Stale::NotExhausted | Stale::Reuse)))
                if tries < MOST_TRIES =>
            {
                self.stale(stale, &segment);
                return self.bring_back(Task::Run(Box::new(run)), tries);
            }
            Ok(Reply::Done) => {
                self.around.leases.committed(&segment.claims);
                self.trace_segment(&segment);
                self.watch_traps(run.workflow, &segment);
                self.after_commit(std::iter::once(&*segment));
            }
            Ok(Reply::Stale(_)) => self.around.leases.give_back(&segment.claims),
            Ok(_) | Err(_) => {
                self.around.leases.forget(&segment.claims);
                self.put_to_rest(run.id);
            }
        }
        // If nothing was committed, the run is still due and the poller finds it again.
        lock(&self.in_flight).remove(&run.id);
        self.went_on.ring();
    }

    /// Delays a run that is still due: an error that happened once may happen again at once.
    pub(super) fn put_to_rest(&self, run: RunId) {
        lock(&self.resting).insert(run, Instant::now() + REST);
        lock(&self.in_flight).remove(&run);
    }

    /// Releases the codes of a segment that was rejected because the pool has changed.
    fn stale(&self, stale: Stale, segment: &Segment) {
        match stale {
            Stale::Code => self.around.leases.forget(&segment.claims),
            _ => self.around.leases.give_back(&segment.claims),
        }
        if stale == Stale::NotExhausted
            && let Err(error) = self.around.leases.refresh()
        {
            tracing::warn!("cannot read the pool: {error}");
        }
    }

    fn after_commit<'s>(&self, mut segments: impl Iterator<Item = &'s Segment> + Clone) {
        let ends = &self.parts.metrics.segments;
        for segment in segments.clone() {
            match segment.end {
                SegmentEnd::Completed => ends.completed.inc(),
                SegmentEnd::Failed { .. } => ends.failed.inc(),
                SegmentEnd::Retry { .. } => ends.retried.inc(),
                SegmentEnd::Wait { .. } => ends.waiting.inc(),
            }
        }
        if let Some(dispatcher) = &self.parts.dispatcher
            && segments.any(|segment| !segment.deliveries.is_empty())
        {
            dispatcher.look();
        }
    }
}
