//! What follows the commit of an event or of a segment.
//!
//! Runs on the thread that committed: the committer's, or the worker's (or sender's) that submitted
//! a unit when no other one was waiting. Nothing here blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{EventCallback, MAX_CONFLICTS, Receipt, Shared, SubmitError};
use super::worker::Task;
use crate::committer::{CommitError, Committed, Completion};
use crate::sync::lock;
use promoflow_model::redact;
use promoflow_store::{
    ChangedGroups, CommitReply, CommitUnit, DueRun, EventRowId, RunId, Segment, SegmentEnd, Stale,
    StoreError,
};

/// Time before a run whose segment could not be committed is tried again.
const BACK_OFF: Duration = Duration::from_secs(1);

/// What follows the commit of an event.
pub(super) struct EventCompletion {
    pub(super) shared: Arc<Shared>,
    /// Number of earlier tries that ended in a conflict.
    pub(super) tries: u32,
    /// Answers the sender.
    pub(super) answer: EventCallback,
}

impl Completion for EventCompletion {
    fn complete(self: Box<Self>, committed: Committed) {
        let EventCompletion {
            shared,
            tries,
            answer,
        } = *self;
        shared.on_event_committed(committed, tries, answer);
    }
}

/// What follows the commit of a segment.
pub(super) struct SegmentCompletion {
    pub(super) shared: Arc<Shared>,
    /// The run that the segment continued.
    pub(super) run: DueRun,
    /// Number of earlier tries that ended in a conflict.
    pub(super) tries: u32,
}

impl Completion for SegmentCompletion {
    fn complete(self: Box<Self>, committed: Committed) {
        let SegmentCompletion { shared, run, tries } = *self;
        shared.on_segment_committed(run, tries, committed);
    }
}

impl Shared {
    /// Handles the reply to an event.
    fn on_event_committed(
        self: &Arc<Self>,
        committed: Committed,
        tries: u32,
        answer: EventCallback,
    ) {
        let Committed {
            unit: CommitUnit::Accept(accept),
            reply,
            transaction,
        } = committed
        else {
            return;
        };
        let segments = || accept.starts.iter().flat_map(|start| &start.segment);
        let (leases, events) = (&self.context.leases, &self.parts.metrics.events);
        let id = |row: EventRowId| accept.event.id.clone().unwrap_or_else(|| row.to_string());
        match reply {
            Ok(CommitReply::Accepted { event, runs }) => {
                events.accepted.inc();
                self.trace_event(event, &accept, &runs, transaction);
                if tracing::enabled!(tracing::Level::DEBUG) {
                    let claims = segments().flat_map(|segment| &segment.claims);
                    let codes: Vec<String> =
                        claims.map(|claim| redact::code(&claim.code.code)).collect();
                    let key = redact::address(&accept.event.key);
                    let kind = &accept.event.event_type;
                    tracing::debug!(event = event.0, kind, key, ?codes, "event accepted");
                }
                for (start, run) in accept.starts.iter().zip(&runs) {
                    match (&start.segment, run) {
                        (Some(segment), Some(_)) => {
                            leases.committed(&segment.claims);
                            self.count_traps(start.workflow, segment);
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
                self.progress.notify();
            }
            Ok(CommitReply::Duplicate { event, runs }) => {
                events.duplicate.inc();
                segments().for_each(|segment| leases.give_back(&segment.claims));
                answer(Ok(Receipt {
                    event: id(event),
                    duplicate: true,
                    runs,
                }));
            }
            Ok(CommitReply::Stale(stale)) => {
                segments().for_each(|segment| self.release_after_conflict(stale, segment));
                if stale == Stale::Config {
                    self.parts.workflow_cache.invalidate(accept.config);
                }
                let event = Box::new(accept.event);
                self.resubmit(Task::Event { event, answer }, tries);
            }
            Ok(CommitReply::Conflict) => {
                events.rejected.inc();
                segments().for_each(|segment| leases.give_back(&segment.claims));
                let id = accept.event.id.clone().unwrap_or_default();
                answer(Err(SubmitError::Conflict(id)));
            }
            Ok(CommitReply::Failed(error)) => {
                events.failed.inc();
                segments().for_each(|segment| leases.forget(&segment.claims));
                let error = CommitError(Arc::new(StoreError::Engine(error)));
                answer(Err(SubmitError::Store(error)));
            }
            Ok(CommitReply::Done | CommitReply::Started(_)) => {
                answer(Err(SubmitError::Unavailable(
                    "the store sent an unexpected reply",
                )));
            }
            Err(error) => {
                events.failed.inc();
                segments().for_each(|segment| leases.forget(&segment.claims));
                answer(Err(error.into()));
            }
        }
    }

    /// Handles the reply to a segment.
    fn on_segment_committed(self: &Arc<Self>, run: DueRun, tries: u32, committed: Committed) {
        let Committed {
            unit: CommitUnit::Segment(segment),
            reply,
            transaction,
        } = committed
        else {
            return;
        };
        match reply {
            Ok(CommitReply::Stale(stale @ (Stale::Code | Stale::NotExhausted | Stale::Reuse)))
                if tries < MAX_CONFLICTS =>
            {
                self.release_after_conflict(stale, &segment);
                return self.resubmit(Task::Run(Box::new(run)), tries);
            }
            Ok(CommitReply::Done) => {
                self.context.leases.committed(&segment.claims);
                self.trace_segment(&segment, transaction);
                self.count_traps(run.workflow, &segment);
                self.after_commit(std::iter::once(&*segment));
            }
            Ok(CommitReply::Stale(_)) => self.context.leases.give_back(&segment.claims),
            Ok(_) | Err(_) => {
                self.context.leases.forget(&segment.claims);
                self.back_off(run.id);
            }
        }
        // If nothing was committed, the run is still due and the poller finds it again.
        lock(&self.in_flight).remove(&run.id);
        self.progress.notify();
    }

    /// Delays a run that is still due: an error that happened once may happen again at once.
    pub(super) fn back_off(&self, run: RunId) {
        lock(&self.backing_off).insert(run, Instant::now() + BACK_OFF);
        lock(&self.in_flight).remove(&run);
    }

    /// Releases the codes of a segment that was rejected because the pool has changed.
    fn release_after_conflict(&self, stale: Stale, segment: &Segment) {
        match stale {
            Stale::Code => self.context.leases.forget(&segment.claims),
            _ => self.context.leases.give_back(&segment.claims),
        }
        if stale == Stale::NotExhausted {
            let exhausted = segment.exhausted.iter();
            let groups = exhausted.map(|one| one.code_group.clone()).collect();
            let changed = ChangedGroups::Only(groups);
            self.context.leases.pool_changed(&changed);
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
            dispatcher.poll_now();
        }
    }
}
