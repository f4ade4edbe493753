//! Pauses workflows whose blocks trap repeatedly, and raises an alert.
//!
//! Each trap costs a worker up to the time limit of a step, and each run its attempts. The counts
//! are kept in memory and start at zero with each process.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::engine::Shared;
use super::worker::Task;
use crate::sync::lock;
use promoflow_model::alert;
use promoflow_store::{
    NewNotification, Segment, SegmentEnd, StepRecord, StoreError, WorkflowVersionId,
};

/// Number of consecutive traps and time-outs after which a workflow is paused.
pub const MAX_TRAPS_IN_A_ROW: u32 = 10;

/// Counts the traps of workflows.
#[derive(Default)]
pub(super) struct TrapMonitor {
    /// True if any count is above zero, to skip the lock in the common case.
    any: AtomicBool,
    /// The consecutive traps by workflow version.
    counts: Mutex<HashMap<WorkflowVersionId, u32>>,
    /// Workflows to pause, with the last error.
    to_pause: Mutex<Vec<(WorkflowVersionId, String)>>,
}

impl TrapMonitor {
    /// Counts the result of a segment. Returns true if its workflow must be paused.
    fn count(&self, workflow: WorkflowVersionId, segment: &Segment) -> bool {
        if segment.trapped {
            let mut counts = lock(&self.counts);
            self.any.store(true, Ordering::SeqCst);
            let count = counts.entry(workflow).or_default();
            *count += 1;
            if *count < MAX_TRAPS_IN_A_ROW {
                return false;
            }
            counts.remove(&workflow);
            drop(counts);
            let error = last_error(segment).unwrap_or("a block trapped").to_owned();
            lock(&self.to_pause).push((workflow, error));
            return true;
        }
        let succeeded = matches!(segment.end, SegmentEnd::Completed | SegmentEnd::Wait { .. });
        if succeeded && self.any.load(Ordering::SeqCst) {
            let mut counts = lock(&self.counts);
            counts.remove(&workflow);
            self.any.store(!counts.is_empty(), Ordering::SeqCst);
        }
        false
    }
}

fn last_error(segment: &Segment) -> Option<&str> {
    let step = |record: &'_ StepRecord| record.error.is_some();
    let record = segment.steps.iter().rev().find(|record| step(record))?;
    record.error.as_deref()
}

impl Shared {
    /// Counts the result of a segment of this workflow.
    pub(super) fn count_traps(&self, workflow: WorkflowVersionId, segment: &Segment) {
        if self.traps.count(workflow, segment) {
            self.poller_wakeup.notify();
        }
    }

    /// Pauses the workflows that trapped too often in a row. If that fails, the next call tries
    /// again.
    pub(super) fn pause_trapping_workflows(&self) {
        let to_pause = std::mem::take(&mut *lock(&self.traps.to_pause));
        for (workflow, error) in to_pause {
            if let Err(failure) = self.pause_workflow(workflow, &error) {
                tracing::error!("cannot pause a trapping workflow: {failure}");
                lock(&self.traps.to_pause).push((workflow, error));
            }
        }
    }

    fn pause_workflow(&self, row: WorkflowVersionId, error: &str) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let mut workflows = store.workflows()?.into_iter();
        // Pause only the version that trapped: a later one may be fixed.
        let Some(stored) = workflows.find(|stored| stored.row == row) else {
            return Ok(());
        };
        let id = &stored.workflow.id;
        let reason = format!("{MAX_TRAPS_IN_A_ROW} traps in a row, the last: {error}");
        tracing::error!(workflow = id, "paused: {reason}");
        let installation = store.installation()?;
        let config = store.config()?;
        let event = alert::workflow_paused(&installation, id, &reason, config.0);
        let event = match event.checked() {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::error!("invalid alert event: {error}");
                None
            }
        };
        let webhooks = self.parts.alerts.webhooks();
        let body = event
            .as_ref()
            .map(|event| alert::event_json(event).to_string());
        let notifications: Vec<NewNotification> = webhooks
            .into_iter()
            .zip(body.iter().cycle())
            .map(|(webhook, event)| NewNotification {
                webhook: webhook.to_owned(),
                event: event.clone(),
            })
            .collect();
        store.pause_workflow(id, &reason, &notifications, self.parts.clock.now())?;
        if let Some(event) = event {
            let answer = Box::new(|receipt: Result<_, super::SubmitError>| {
                if let Err(error) = receipt {
                    tracing::error!("the alert of the paused workflow was not stored: {error}");
                }
            });
            let event = Box::new(event);
            self.submit_unbounded(Task::Event { event, answer });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(trapped: bool, end: SegmentEnd) -> Segment {
        Segment {
            trapped,
            ..Segment::without_effects(None, 1, None, end)
        }
    }

    fn failed() -> SegmentEnd {
        let error = "stopped".to_owned();
        SegmentEnd::Failed { error }
    }

    #[test]
    fn counts_consecutive_traps_and_resets_on_success() {
        let watch = TrapMonitor::default();
        let (one, other) = (WorkflowVersionId(1), WorkflowVersionId(2));
        for _ in 1..MAX_TRAPS_IN_A_ROW {
            assert!(!watch.count(one, &segment(true, failed())));
            // Other workflows and other kinds of errors do not count.
            assert!(!watch.count(other, &segment(false, SegmentEnd::Completed)));
            assert!(!watch.count(one, &segment(false, failed())));
        }
        assert!(!watch.count(one, &segment(false, SegmentEnd::Completed)));
        for _ in 1..MAX_TRAPS_IN_A_ROW {
            assert!(!watch.count(one, &segment(true, failed())));
        }
        assert!(watch.count(one, &segment(true, failed())));
        assert_eq!(lock(&watch.to_pause).len(), 1);
        assert!(
            !watch.count(one, &segment(true, failed())),
            "the count starts again"
        );
    }
}
