//! Reports committed events and runs to the tracer.

use std::time::SystemTime;

use super::engine::Shared;
use crate::committer::Transaction;
use promoflow_model::trace_context::Origin;
use promoflow_store::{AcceptEvent, EventRowId, RunId, Segment, SegmentEnd};
use promoflow_trace::{CommitSpan, SegmentSpan, StepSpan, TraceRecord};

impl Shared {
    /// Records an accepted event and its runs.
    pub(super) fn trace_event(
        &self,
        row: EventRowId,
        accept: &AcceptEvent,
        runs: &[Option<RunId>],
        transaction: Transaction,
    ) {
        let Some(tracer) = &self.parts.tracer else {
            return;
        };
        let commit = commit_span(transaction);
        let started = accept.starts.iter().zip(runs);
        let segments = started
            .filter_map(|(start, run)| Some(segment_span(start.segment.as_ref()?, (*run)?, 0)))
            .collect();
        tracer.record(TraceRecord::Event {
            row,
            kind: accept.event.event_type.clone(),
            origin: match &accept.event.origin {
                Some(origin) => (**origin).clone(),
                None => Origin {
                    parent: None,
                    received: commit.began,
                },
            },
            segments,
            commit,
        });
    }

    /// Records a committed segment.
    pub(super) fn trace_segment(&self, segment: &Segment, transaction: Transaction) {
        if let Some(tracer) = &self.parts.tracer
            && let Some((run, number)) = segment.run
        {
            tracer.record(TraceRecord::Segment {
                segment: segment_span(segment, run, number),
                commit: commit_span(transaction),
            });
        }
    }
}

/// Returns the span of a transaction.
fn commit_span(transaction: Transaction) -> CommitSpan {
    let now = SystemTime::now();
    let began = now.checked_sub(transaction.began.elapsed()).unwrap_or(now);
    CommitSpan {
        began,
        ended: began.checked_add(transaction.duration).unwrap_or(now),
        units: transaction.units,
    }
}

fn segment_span(segment: &Segment, run: RunId, number: u32) -> SegmentSpan {
    SegmentSpan {
        run,
        number,
        attempt: segment.attempt,
        end: match segment.end {
            SegmentEnd::Completed => "completed",
            SegmentEnd::Failed { .. } => "failed",
            SegmentEnd::Retry { .. } => "retried",
            SegmentEnd::Wait { .. } => "waiting",
        },
        steps: segment.steps.iter().map(StepSpan::from).collect(),
    }
}
