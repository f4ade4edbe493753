//! The state of a run's row after a segment.

use super::{Result, damaged};
use promoflow_model::clock::Timestamp;
use promoflow_store::{DUE_NOW, RunState, Segment, SegmentEnd};

/// The columns of a run's row after a segment; without a segment, a run that may start at once.
pub(super) struct RunUpdate {
    pub(super) state: RunState,
    /// 1 if the segment is finished, 0 if it is retried.
    pub(super) advance: u32,
    pub(super) step: Option<u32>,
    pub(super) attempt: u32,
    pub(super) due: Option<i64>,
    pub(super) data: Option<String>,
    pub(super) error: Option<String>,
    pub(super) finished: Option<i64>,
}

impl RunUpdate {
    pub(super) fn after(segment: Option<&Segment>, now: Timestamp) -> Result<RunUpdate> {
        let pending = RunUpdate {
            state: RunState::Running,
            advance: 0,
            step: None,
            attempt: 0,
            due: Some(DUE_NOW.0),
            data: None,
            error: None,
            finished: None,
        };
        let Some(segment) = segment else {
            return Ok(pending);
        };
        Ok(match &segment.end {
            SegmentEnd::Completed => RunUpdate {
                state: RunState::Completed,
                advance: 1,
                due: None,
                finished: Some(now.0),
                ..pending
            },
            SegmentEnd::Failed { error } => RunUpdate {
                state: RunState::Failed,
                advance: 1,
                attempt: segment.attempt,
                due: None,
                error: Some(error.clone()),
                finished: Some(now.0),
                ..pending
            },
            SegmentEnd::Retry { error, due, .. } => RunUpdate {
                attempt: segment.attempt,
                due: Some(due.0),
                error: Some(error.clone()),
                ..pending
            },
            SegmentEnd::Wait {
                step, due, data, ..
            } => RunUpdate {
                state: RunState::Waiting,
                advance: 1,
                step: Some(*step),
                due: due.map(|due| due.0),
                data: Some(
                    serde_json::to_string(data)
                        .map_err(|error| damaged("the values of a run", error))?,
                ),
                ..pending
            },
        })
    }
}
