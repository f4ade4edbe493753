//! What a segment does to its run.

use promoflow_model::clock::Timestamp;
use serde_json::{Map, Value};

use crate::{DUE_NOW, RunState, Segment, SegmentEnd};

/// Returns true if a run in this state continues: it has not ended.
pub fn is_active(state: RunState) -> bool {
    matches!(state, RunState::Running | RunState::Waiting)
}

/// Returns true if what a segment staged is kept. A segment that is retried or failed keeps only
/// its error.
pub fn keeps_effects(end: &SegmentEnd) -> bool {
    matches!(end, SegmentEnd::Completed | SegmentEnd::Wait { .. })
}

/// A run after a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunAfter<'s> {
    /// The state.
    pub state: RunState,
    /// True if the segment is finished; false if it is retried, or is the first one and has not
    /// been executed.
    pub is_segment_finished: bool,
    /// The next step; `None`: as before.
    pub step: Option<u32>,
    /// The attempts of the next segment so far, or of the failed one.
    pub attempt: u32,
    /// When it may continue; `None` if it has ended or waits without a limit.
    pub due: Option<Timestamp>,
    /// The values; `None`: as before.
    pub data: Option<&'s Map<String, Value>>,
    /// The error.
    pub error: Option<&'s str>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

/// Returns the run after a segment that is committed at `now`; without a segment, the run as it
/// starts.
pub fn after(segment: Option<&Segment>, now: Timestamp) -> RunAfter<'_> {
    let started = RunAfter {
        state: RunState::Running,
        is_segment_finished: false,
        step: None,
        attempt: 0,
        due: Some(DUE_NOW),
        data: None,
        error: None,
        finished: None,
    };
    let Some(segment) = segment else {
        return started;
    };
    match &segment.end {
        SegmentEnd::Completed => RunAfter {
            state: RunState::Completed,
            is_segment_finished: true,
            due: None,
            finished: Some(now),
            ..started
        },
        SegmentEnd::Failed { error } => RunAfter {
            state: RunState::Failed,
            is_segment_finished: true,
            attempt: segment.attempt,
            due: None,
            error: Some(error),
            finished: Some(now),
            ..started
        },
        SegmentEnd::Retry { error, due, .. } => RunAfter {
            attempt: segment.attempt,
            due: Some(*due),
            error: Some(error),
            ..started
        },
        SegmentEnd::Wait {
            step, due, data, ..
        } => RunAfter {
            state: RunState::Waiting,
            is_segment_finished: true,
            step: Some(*step),
            due: *due,
            data: Some(data),
            ..started
        },
    }
}

/// What happens to the codes of a run that did not send a message, because its contact cannot or
/// must not be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsentCodes {
    /// Those that may be are [released](super::release) now.
    Release,
    /// They are released when the run completes.
    ReleaseOnCompletion,
    /// Nothing: cancelling the run has released them.
    Keep,
}

/// Returns what happens to the codes of a run in this state that did not send a message. A run that
/// has not completed may still send another message with its code.
pub fn after_unsent_message(state: RunState) -> UnsentCodes {
    match state {
        RunState::Completed => UnsentCodes::Release,
        RunState::Cancelled => UnsentCodes::Keep,
        RunState::Running | RunState::Waiting | RunState::Failed => {
            UnsentCodes::ReleaseOnCompletion
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FailureKind, RetryState};

    const NOW: Timestamp = Timestamp(1_000);

    fn ending(attempt: u32, end: SegmentEnd) -> Segment {
        Segment::without_effects(None, attempt, None, end)
    }

    #[test]
    fn a_run_starts_at_once_and_ends_with_its_segment() {
        let started = after(None, NOW);
        assert_eq!(
            (started.state, started.due),
            (RunState::Running, Some(DUE_NOW))
        );
        assert!(!started.is_segment_finished);

        let completed = ending(2, SegmentEnd::Completed);
        let done = after(Some(&completed), NOW);
        assert_eq!(
            (done.state, done.due, done.finished),
            (RunState::Completed, None, Some(NOW))
        );
        assert_eq!((done.attempt, done.error), (0, None));
        assert!(keeps_effects(&completed.end));

        let failed = ending(3, SegmentEnd::Failed { error: "no".into() });
        let done = after(Some(&failed), NOW);
        assert_eq!(
            (done.state, done.due, done.finished),
            (RunState::Failed, None, Some(NOW))
        );
        assert_eq!((done.attempt, done.error), (3, Some("no")));
        assert!(!keeps_effects(&failed.end));
    }

    #[test]
    fn p2_a_retried_segment_keeps_its_number_and_none_of_its_effects() {
        let due = Timestamp(2_000);
        let retried = ending(
            2,
            SegmentEnd::Retry {
                error: "busy".into(),
                due,
                retry_state: RetryState {
                    step: "code".into(),
                    kind: FailureKind::Unavailable,
                    attempts: 2,
                },
            },
        );
        let run = after(Some(&retried), NOW);
        assert_eq!((run.state, run.due), (RunState::Running, Some(due)));
        assert_eq!((run.attempt, run.error), (2, Some("busy")));
        assert_eq!((run.is_segment_finished, run.step), (false, None));
        assert!(!keeps_effects(&retried.end));
    }

    #[test]
    fn a_waiting_run_keeps_its_values_and_its_next_step() {
        let mut data = Map::new();
        data.insert("n".into(), 1.into());
        let waits = ending(
            2,
            SegmentEnd::Wait {
                step: 4,
                due: None,
                data: data.clone(),
                wait: None,
            },
        );
        let run = after(Some(&waits), NOW);
        assert_eq!((run.state, run.due), (RunState::Waiting, None));
        assert_eq!((run.step, run.data), (Some(4), Some(&data)));
        assert_eq!((run.attempt, run.finished), (0, None));
        assert!(run.is_segment_finished && keeps_effects(&waits.end));
    }

    #[test]
    fn p4_codes_of_an_unsent_message_are_released_once_no_other_message_can_carry_them() {
        use RunState::{Cancelled, Completed, Failed, Running, Waiting};
        assert_eq!(after_unsent_message(Completed), UnsentCodes::Release);
        assert_eq!(after_unsent_message(Cancelled), UnsentCodes::Keep);
        for state in [Running, Waiting, Failed] {
            let codes = after_unsent_message(state);
            assert_eq!(codes, UnsentCodes::ReleaseOnCompletion, "{state:?}");
        }
    }
}
