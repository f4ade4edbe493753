//! The outbox: attempts, alternatives, and the codes that deliveries carry.

use std::collections::HashSet;

use super::fixture::delivery;
use super::{Fixture, Harness, NOW, code_group, row, segment};
use promoflow_model::clock::Timestamp;
use promoflow_model::message::{ChannelKind, RenderedMessage};
use promoflow_store::{
    Action, ActionResult, Alternative, Atomicity, AttemptBatch, AttemptEnd, AttemptOutcome,
    CommitReply, CommitUnit, DUE_NOW, DeliveryId, DeliveryState, DuePage, RunId, Segment,
    SegmentEnd, ThrottledParty,
};

/// Returns a segment that claims the first code, sends it, and waits.
fn sends_code<H: Harness>(fixture: &Fixture<H>) -> Segment {
    let claim = fixture.claim_first();
    let mut staged = segment(None, Vec::new());
    staged.deliveries = vec![delivery(&format!("Your code: {}", claim.code.code))];
    staged.claims = vec![claim];
    staged.end = SegmentEnd::Wait {
        step: 1,
        due: Some(Timestamp(NOW.0 + 1_000)),
        data: serde_json::Map::new(),
        wait: None,
    };
    staged
}

/// Starts an attempt, and returns its number.
fn begin<H: Harness>(fixture: &Fixture<H>, delivery: DeliveryId) -> Option<u32> {
    let reply = fixture.attempts(AttemptBatch {
        starts: vec![delivery],
        ..AttemptBatch::default()
    });
    let CommitReply::Started(started) = reply else {
        panic!("{reply:?}")
    };
    started.first().map(|(_, number)| *number)
}

/// Ends an attempt.
fn end<H: Harness>(fixture: &Fixture<H>, delivery: DeliveryId, attempt: u32, end: AttemptOutcome) {
    fixture.attempts(AttemptBatch {
        ends: vec![AttemptEnd {
            delivery,
            attempt,
            outcome: end,
        }],
        ..AttemptBatch::default()
    });
}

fn refused() -> AttemptOutcome {
    AttemptOutcome::PermanentFailure {
        error: "no such address".into(),
    }
}

fn state<H: Harness>(fixture: &Fixture<H>, delivery: DeliveryId) -> DeliveryState {
    fixture.store().delivery(delivery).unwrap().unwrap().state
}

fn due<H: Harness>(fixture: &Fixture<H>, now: Timestamp) -> DuePage {
    let page = fixture.store().due_deliveries(
        &[ChannelKind::Email, ChannelKind::Sms],
        now,
        10,
        false,
        &HashSet::new(),
    );
    page.unwrap()
}

/// A retry is a new attempt, a late end of an earlier attempt does not touch the present one, and
/// a delivered message is not attempted again.
pub fn p3_attempts_are_recorded_before_they_are_made<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let mut staged = segment(None, Vec::new());
    staged.deliveries = vec![delivery("Hello")];
    fixture.start(Some(staged));
    let id = fixture.only_delivery();
    assert_eq!(begin(&fixture, id), Some(1));
    let history = || fixture.store().delivery_history(id).unwrap().unwrap();
    assert_eq!(
        (history().attempts.len(), history().attempts[0].ended),
        (1, None)
    );

    let later = Timestamp(NOW.0 + 500);
    end(
        &fixture,
        id,
        1,
        AttemptOutcome::RetryableFailure {
            error: "busy".into(),
            due: later,
            ambiguous: false,
        },
    );
    assert!(due(&fixture, NOW).deliveries.is_empty());
    assert_eq!(fixture.store().next_due(NOW).unwrap(), Some(later));
    assert_eq!(due(&fixture, later).deliveries.len(), 1);
    assert_eq!(begin(&fixture, id), Some(2));
    // As from an executor that was taken for dead.
    end(&fixture, id, 1, AttemptOutcome::Delivered);
    assert_eq!(history().attempts[0].outcome.as_deref(), Some("retryable"));
    assert_eq!(history().attempts[1].ended, None);
    assert_eq!(state(&fixture, id), DeliveryState::Pending);

    end(&fixture, id, 2, AttemptOutcome::NotStarted);
    assert_eq!(history().attempts.len(), 1);
    assert_eq!(begin(&fixture, id), Some(2));
    end(&fixture, id, 2, AttemptOutcome::Delivered);
    assert_eq!(state(&fixture, id), DeliveryState::Delivered);
    assert_eq!(begin(&fixture, id), None);
    fixture.audit();
}

/// After a take-over the attempt of the earlier owner stays without an end: its late end changes
/// neither that attempt nor the delivery.
pub fn p3_late_end_of_an_earlier_attempt_changes_nothing<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let mut staged = segment(None, Vec::new());
    staged.deliveries = vec![delivery("Hello")];
    fixture.start(Some(staged));
    let id = fixture.only_delivery();
    assert_eq!(begin(&fixture, id), Some(1));
    assert_eq!(begin(&fixture, id), Some(2));
    let history = || fixture.store().delivery_history(id).unwrap().unwrap();
    let before = history();
    for outcome in [
        AttemptOutcome::Delivered,
        refused(),
        AttemptOutcome::NotStarted,
        AttemptOutcome::Misconfigured {
            error: "no password".into(),
            due: Timestamp(NOW.0 + 500),
        },
    ] {
        end(&fixture, id, 1, outcome);
        assert_eq!(history(), before);
        assert_eq!(state(&fixture, id), DeliveryState::Pending);
    }
    end(&fixture, id, 2, AttemptOutcome::Delivered);
    assert_eq!(state(&fixture, id), DeliveryState::Delivered);
    fixture.audit();
}

/// A code that may have left the host stays claimed when its run is cancelled.
pub fn p4_code_of_an_attempted_delivery_is_kept<H: Harness>() {
    let fixture = Fixture::<H>::new();
    fixture.add_codes(&["A"]);
    let run = fixture.start(Some(sends_code(&fixture)));
    let id = fixture.only_delivery();
    begin(&fixture, id);
    let cancelled = fixture.store().apply_run_action(run, Action::Cancel, &NOW);
    let kept = ActionResult::Done {
        released: 0,
        cancelled_deliveries: 0,
    };
    assert_eq!(cancelled.unwrap(), kept);
    assert!(fixture.first(&code_group(0)).is_none());
    let cancelled = fixture
        .store()
        .apply_delivery_action(id, Action::Cancel, &NOW);
    assert!(matches!(cancelled.unwrap(), ActionResult::Rejected(_)));
    fixture.audit();
}

/// A code whose only attempt failed permanently is released when its run is cancelled.
pub fn p4_code_of_a_refused_delivery_is_released<H: Harness>() {
    let fixture = Fixture::<H>::new();
    fixture.add_codes(&["A"]);
    let run = fixture.start(Some(sends_code(&fixture)));
    let id = fixture.only_delivery();
    let attempt = begin(&fixture, id).unwrap();
    end(&fixture, id, attempt, refused());
    assert_eq!(state(&fixture, id), DeliveryState::Failed);
    let (_, carrying) = fixture.store().code("A").unwrap().unwrap();
    assert_eq!(carrying, [id]);
    let cancelled = fixture.store().apply_run_action(run, Action::Cancel, &NOW);
    let ActionResult::Done { released: 1, .. } = cancelled.unwrap() else {
        panic!("the code is not released")
    };
    assert_eq!(fixture.first(&code_group(0)).unwrap().code, "A");
    assert_eq!(state(&fixture, id), DeliveryState::Cancelled);
    fixture.audit();
}

/// A delivery is not attempted after its code has expired.
pub fn p8_delivery_expires_with_its_code<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let expires = NOW.0 + 100;
    fixture.upload(&[vec![row("A", Some(expires))]], Atomicity::Batches);
    let mut staged = sends_code(&fixture);
    staged.deliveries[0].expires = Timestamp(expires);
    fixture.start(Some(staged));
    let id = fixture.only_delivery();
    let unit = CommitUnit::Attempts(Box::new(AttemptBatch {
        starts: vec![id],
        ..AttemptBatch::default()
    }));
    let late = fixture
        .store()
        .commit(&[unit], &Timestamp(expires))
        .unwrap();
    assert_eq!(late, [CommitReply::Started(Vec::new())]);
    assert_eq!(state(&fixture, id), DeliveryState::Failed);
    fixture.audit();
}

/// After a permanent failure the next alternative is tried, unless an attempt was ambiguous.
pub fn permanent_failure_switches_to_the_alternative<H: Harness>() {
    for ambiguous in [false, true] {
        let fixture = Fixture::<H>::new();
        let mut staged = segment(None, Vec::new());
        let mut first = delivery("Hello");
        first.alternatives = vec![Alternative {
            channel: ChannelKind::Sms,
            address: "+380501234567".into(),
            message: "m".into(),
            content: RenderedMessage::default(),
        }];
        staged.deliveries = vec![first];
        fixture.start(Some(staged));
        let id = fixture.only_delivery();
        begin(&fixture, id);
        end(
            &fixture,
            id,
            1,
            AttemptOutcome::RetryableFailure {
                error: "timed out".into(),
                due: NOW,
                ambiguous,
            },
        );
        begin(&fixture, id);
        end(&fixture, id, 2, refused());
        let history = fixture.store().delivery_history(id).unwrap().unwrap();
        assert_eq!(history.alternatives.len(), 2);
        if ambiguous {
            assert_eq!(state(&fixture, id), DeliveryState::Failed);
        } else {
            let next = &due(&fixture, NOW).deliveries[0];
            assert_eq!(
                (next.alternative, next.target.channel),
                (1, ChannelKind::Sms)
            );
            assert_eq!(history.current, 1);
        }
    }
}

/// Failed deliveries are listed by state and page, and start again on an operator's request.
pub fn failed_deliveries_are_restarted_and_listed<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    let mut staged = segment(None, Vec::new());
    staged.deliveries = vec![delivery("Hello")];
    let run = fixture.start(Some(staged));
    let id = fixture.only_delivery();
    assert!(!store.are_idle(Some(&[run]), NOW).unwrap());
    assert!(store.are_idle(Some(&[RunId(run.0 + 1)]), NOW).unwrap());
    begin(&fixture, id);
    end(
        &fixture,
        id,
        1,
        AttemptOutcome::RetriesExhausted {
            error: "busy".into(),
            ambiguous: false,
        },
    );
    assert!(store.are_idle(Some(&[run]), NOW).unwrap());
    assert!(store.are_idle(None, NOW).unwrap());
    let list = |state, after| -> Vec<DeliveryId> {
        let rows = store.deliveries(state, after, 10).unwrap();
        rows.into_iter().map(|row| row.id).collect()
    };
    assert_eq!(list(Some(DeliveryState::Failed), None), [id]);
    assert!(list(Some(DeliveryState::Pending), None).is_empty());
    assert!(list(None, Some(id)).is_empty());
    let restarted = store.apply_delivery_action(id, Action::Retry, &NOW);
    assert!(matches!(restarted.unwrap(), ActionResult::Done { .. }));
    assert_eq!(due(&fixture, NOW).deliveries.len(), 1);

    let until = Timestamp(NOW.0 + 60_000);
    fixture.attempts(AttemptBatch {
        throttles: vec![(ChannelKind::Email, until)],
        ..AttemptBatch::default()
    });
    let throttled = |channel| store.throttled_until(ThrottledParty::Channel(channel));
    assert_eq!(throttled(ChannelKind::Email).unwrap(), Some(until));
    assert_eq!(throttled(ChannelKind::Sms).unwrap(), None);
}

/// A rescheduled delivery is due later, but not after its expiry; one that cannot be read fails.
pub fn deliveries_are_rescheduled_or_fail<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let expires = Timestamp(NOW.0 + 1_000);
    let mut staged = segment(None, Vec::new());
    staged.deliveries = vec![delivery("Hello")];
    staged.deliveries[0].expires = expires;
    fixture.start(Some(staged));
    let id = fixture.only_delivery();
    for (until, expected) in [(NOW.0 + 500, NOW.0 + 500), (NOW.0 + 5_000, expires.0)] {
        fixture.attempts(AttemptBatch {
            rescheduled: vec![(id, Timestamp(until))],
            ..AttemptBatch::default()
        });
        let history = fixture.store().delivery_history(id).unwrap().unwrap();
        assert_eq!(history.due, Some(Timestamp(expected)));
        assert!(due(&fixture, Timestamp(expected - 1)).deliveries.is_empty());
        assert_eq!(due(&fixture, Timestamp(expected)).deliveries.len(), 1);
    }
    fixture.attempts(AttemptBatch {
        unreadable: vec![(id, "damaged".into())],
        ..AttemptBatch::default()
    });
    let row = fixture.store().delivery(id).unwrap().unwrap();
    assert_eq!(
        (row.state, row.error.as_deref()),
        (DeliveryState::Failed, Some("damaged"))
    );
}

/// New and scheduled deliveries begin alternately, and a page has neither the excluded ones nor
/// those of other channels.
pub fn due_pages_alternate_and_exclude<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let later = Timestamp(NOW.0 + 10);
    let start = |due: Timestamp, channel| {
        let mut staged = segment(None, Vec::new());
        staged.deliveries = vec![delivery("Hello")];
        staged.deliveries[0].due = due;
        staged.deliveries[0].channel = channel;
        fixture.start(Some(staged));
    };
    for channel in [ChannelKind::Email, ChannelKind::Email, ChannelKind::Sms] {
        start(DUE_NOW, channel);
    }
    start(NOW, ChannelKind::Email);
    start(NOW, ChannelKind::Email);
    start(later, ChannelKind::Email);
    let page = |limit, scheduled_first, excluded: &[DeliveryId]| {
        let excluded = excluded.iter().copied().collect();
        let kinds = [ChannelKind::Email];
        let page = fixture
            .store()
            .due_deliveries(&kinds, NOW, limit, scheduled_first, &excluded);
        let page = page.unwrap();
        let due: Vec<(DeliveryId, bool)> = page
            .deliveries
            .iter()
            .map(|one| (one.id, one.was_scheduled))
            .collect();
        (due, page.more)
    };
    let scheduled = |page: &[(DeliveryId, bool)]| -> Vec<bool> {
        page.iter()
            .map(|(_, was_scheduled)| *was_scheduled)
            .collect()
    };
    let (all, more) = page(10, false, &[]);
    assert_eq!(scheduled(&all), [false, true, false, true]);
    assert!(!more);
    let (first, _) = page(10, true, &[]);
    assert_eq!(scheduled(&first), [true, false, true, false]);
    let (some, more) = page(2, false, &[]);
    assert_eq!((some.len(), more), (2, true));
    let excluded = all[0].0;
    let (rest, _) = page(10, false, &[excluded]);
    assert_eq!(rest.len(), 3);
    assert!(rest.iter().all(|(id, _)| *id != excluded));
}
