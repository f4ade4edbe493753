//! Events and runs: starts, stops, waits, actions.

use std::collections::HashSet;

use serde_json::{Map, json};

use super::{Fixture, Harness, NOW, code_group, segment};
use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_model::trace_context::{Origin, TraceParent};
use promoflow_model::workflow::Repeat;
use promoflow_store::{
    Action, ActionResult, CommitReply, CommitUnit, FailureKind, RetryState, RunId, RunState,
    SegmentEnd, StagedWait, StartRule, StepKey, WaitFor, WakeReason,
};

fn wait_end(awaited: Option<WaitFor>) -> SegmentEnd {
    SegmentEnd::Wait {
        step: 0,
        due: None,
        data: Map::new(),
        wait: awaited.map(|awaited| StagedWait {
            step: StepKey {
                step: "code".into(),
                visit: 1,
                ordinal: 0,
            },
            awaited,
        }),
    }
}

fn for_code() -> WaitFor {
    WaitFor::Code {
        code_group: code_group(0),
        days: 0,
        contact: "ann".into(),
        keeps_code: false,
        found: None,
    }
}

fn rule(repeat: Repeat) -> StartRule {
    StartRule {
        workflow: "w".into(),
        repeat,
        skip_if_running: false,
        stop_event: Some("bought".into()),
    }
}

/// A segment that is to be retried keeps its claims in the pool and its retry state.
pub fn p2_failed_attempts_keep_no_effects<H: Harness>() {
    let fixture = Fixture::<H>::new();
    fixture.add_codes(&["A"]);
    let due = Timestamp(NOW.0 + 100);
    let retry_state = RetryState {
        step: "code".into(),
        kind: FailureKind::Unavailable,
        attempts: 1,
    };
    let mut staged = segment(None, vec![fixture.claim_first()]);
    staged.end = SegmentEnd::Retry {
        error: "no connection".into(),
        due,
        retry_state: retry_state.clone(),
    };
    let run = fixture.start(Some(staged));
    assert_eq!(fixture.first(&code_group(0)).unwrap().code, "A");
    let due_runs = |now, excluded: &[RunId]| {
        let excluded = excluded.iter().copied().collect();
        let due = fixture.store().due_runs(now, 10, &[], &excluded);
        due.unwrap().runs
    };
    assert!(due_runs(NOW, &[]).is_empty());
    assert!(due_runs(due, &[run]).is_empty());
    let again = due_runs(due, &[]);
    assert_eq!((again[0].id, again[0].attempt), (run, 1));
    assert_eq!(again[0].retry_states, [retry_state]);
    fixture.audit();
}

/// A run that nothing was sent for gives its code back.
pub fn p4_cancelled_run_releases_its_code<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.add_codes(&["A"]);
    let mut staged = segment(None, vec![fixture.claim_first()]);
    staged.end = wait_end(None);
    let run = fixture.start(Some(staged));
    assert!(fixture.first(&code_group(0)).is_none());
    let cancel = || store.apply_run_action(run, Action::Cancel, &NOW).unwrap();
    let done = ActionResult::Done {
        released: 1,
        cancelled_deliveries: 0,
    };
    assert_eq!(cancel(), done);
    assert_eq!(fixture.first(&code_group(0)).unwrap().code, "A");
    assert!(matches!(cancel(), ActionResult::Rejected(_)));
    let late = segment(Some((run, 1)), vec![fixture.claim_first()]);
    let reply = fixture.commit(&[CommitUnit::Segment(Box::new(late))]);
    assert!(matches!(reply[0], CommitReply::Stale(_)), "{reply:?}");
    fixture.audit();
}

/// An id with another content is a conflict, with the same content a duplicate, also after a
/// restart.
pub fn p5_event_is_accepted_once<H: Harness>() {
    let fixture = Fixture::<H>::new();
    fixture.commit(&[fixture.accept(Some("one"), None)]);
    let fixture = fixture.reopen();
    let mut other = Event::new("birthday", "bob");
    other.id = Some("one".into());
    let replies = fixture.commit(&[
        fixture.accept(Some("one"), None),
        fixture.accept_event(other, None, None),
    ]);
    assert!(matches!(replies[0], CommitReply::Duplicate { .. }));
    assert_eq!(replies[1], CommitReply::Conflict);
    assert_eq!(fixture.store().runs(None, None, 10).unwrap().len(), 1);
}

/// Of two events in one batch, a rule that allows one start allows one.
pub fn p5_start_rules_hold_in_one_batch<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let accept = |id| fixture.accept_under(Some(rule(Repeat::Once)), Some(id), None);
    let event = Event::new("birthday", "ann");
    let blocked = |repeat, now| {
        let why = fixture.store().start_blocked_by(&event, &rule(repeat), now);
        why.unwrap().is_some()
    };
    assert!(!blocked(Repeat::Once, NOW));
    let replies = fixture.commit(&[accept("one"), accept("two")]);
    let started: Vec<bool> = replies
        .iter()
        .map(|reply| match reply {
            CommitReply::Accepted { runs, .. } => runs[0].is_some(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(started, [true, false]);
    assert!(blocked(Repeat::Once, NOW));
    let hourly = Repeat::Every { seconds: 3_600 };
    let over = Timestamp(NOW.0 + 3_600_000);
    assert!(blocked(hourly, Timestamp(over.0 - 1)));
    assert!(!blocked(hourly, over));
    fixture.audit();
}

/// The stop event of a rule cancels the active run.
pub fn stop_event_ends_a_run<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let mut staged = segment(None, Vec::new());
    staged.end = wait_end(None);
    let rule = rule(Repeat::EveryTime);
    fixture.commit(&[fixture.accept_under(Some(rule), Some("one"), Some(staged))]);
    let mut stop = fixture.accept_event(Event::new("bought", "ann"), None, None);
    if let CommitUnit::Accept(accept) = &mut stop {
        accept.starts.clear();
    }
    fixture.commit(&[stop]);
    let runs = fixture.store().runs(Some(RunState::Cancelled), None, 10);
    assert_eq!(runs.unwrap().len(), 1);
}

/// New codes go to the runs that wait, in the order in which they began to wait.
pub fn waiting_runs_get_codes_in_order<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let wait = || {
        let mut staged = segment(None, Vec::new());
        staged.end = wait_end(Some(for_code()));
        fixture.start(Some(staged))
    };
    let (first, second) = (wait(), wait());
    let due = || {
        let due = fixture.store().due_runs(NOW, 10, &[], &HashSet::new());
        due.unwrap().runs
    };
    assert!(due().is_empty());
    fixture.add_codes(&["A"]);
    let woken = due();
    assert_eq!(woken.iter().map(|run| run.id).collect::<Vec<_>>(), [first]);
    let reason = woken[0].resumed.as_ref().map(|end| &end.reason);
    let Some(WakeReason::Code(Some(granted))) = reason else {
        panic!("{reason:?}")
    };
    assert_eq!(granted.code.code, "A");
    assert!(fixture.first(&code_group(0)).is_none(), "it is reserved");
    let row = fixture.store().run(second).unwrap().unwrap().0;
    assert_eq!(row.state, RunState::Waiting);
    assert!(row.awaited.is_some());
}

/// Only the reply that a run waits for wakes it.
pub fn reply_wakes_its_run<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    let mut staged = segment(None, Vec::new());
    staged.end = wait_end(Some(WaitFor::Reply {
        request: "order".into(),
    }));
    let run = fixture.start(Some(staged));
    assert!(!store.reply(run, "other", "1").unwrap());
    assert!(store.reply(run, "order", "{\"n\":1}").unwrap());
    assert!(!store.reply(run, "order", "2").unwrap());
    let due = store.due_runs(NOW, 10, &[], &HashSet::new());
    let due = due.unwrap().runs;
    let reason = due[0].resumed.clone().map(|end| end.reason);
    assert_eq!(reason, Some(WakeReason::Reply(json!({ "n": 1 }))));
    store
        .fail_unreadable(&[(run, "damaged".into())], NOW)
        .unwrap();
    let row = store.run(run).unwrap().unwrap().0;
    assert_eq!(
        (row.state, row.error.as_deref()),
        (RunState::Failed, Some("damaged"))
    );
    let restarted = store.apply_run_action(run, Action::Retry, &NOW).unwrap();
    assert!(matches!(restarted, ActionResult::Done { .. }));
}

/// Runs are listed with their events, newest first, and an event keeps its trace.
pub fn listings_and_traces<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    let parent = TraceParent {
        trace: [1; 16],
        span: [2; 8],
        sampled: true,
    };
    let mut traced = Event::new("birthday", "ann");
    traced.id = Some("traced".into());
    traced.origin = Some(Box::new(Origin {
        parent: Some(parent),
        received: std::time::SystemTime::UNIX_EPOCH,
    }));
    traced.params.insert("city".into(), json!("Kyiv"));
    fixture.commit(&[fixture.accept_event(traced, None, None)]);
    let second = fixture.start(None);
    let runs = store.runs(None, None, 10).unwrap();
    assert_eq!((runs.len(), runs[0].id), (2, second));
    let before = store.runs(None, Some(second), 10).unwrap();
    assert_eq!((before.len(), before[0].event.as_str()), (1, "traced"));
    let (_, found) = store.trace_of_run(before[0].id).unwrap().unwrap();
    assert_eq!(found, Some(parent));
    let names = store.event_params(Some("birthday")).unwrap();
    assert!(names.contains("city") && names.contains("name"));
    assert!(store.event_params(Some("other")).unwrap().is_empty());
}
