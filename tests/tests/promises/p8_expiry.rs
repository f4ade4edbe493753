//! P8: an expired code is never claimed, and a delivery expires with the code it carries.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use chrono_tz::Europe::Kyiv;
use promoflow::channel::DeliveryOutcome;
use promoflow::event::Event;
use promoflow::pool::Calendar;
use promoflow::store::{Action, ActionResult, DeliveryId, DeliveryRow, DeliveryState, RunId};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{PromoflowExt, TestApp, until};

/// Returns a workflow that asks for codes of its own type that are valid for `days` more days.
fn asking_for_days(days: u32) -> String {
    format!(
        "
workflow: d{days}
start: {{ event: d{days} }}
steps:
  - id: code
    block: get-promocode
    with: {{ type: birthday, discount: 10, days: {days} }}
    ports: {{ exhausted: end }}
"
    )
}

fn got(promoflow: &Promoflow, running: &EngineHandle, kind: &str) -> Option<String> {
    promoflow.code_of(promoflow.run_event(running, kind, "ann@example.com"))
}

/// Asserts that of two codes with one expiry, one is claimed right before a time and none at it.
fn assert_valid_until(zone: Option<chrono_tz::Tz>, date: &str, moment: &str) {
    let (app, promoflow) = TestApp::with_codes(0);
    if let Some(zone) = zone {
        promoflow.set_calendar(Calendar::new(zone)).unwrap();
    }
    promoflow.import_codes(&format!(
        "code,expirationDate,discount,type\nA,{date},10,birthday\nB,{date},10,birthday\n"
    ));
    let running = promoflow.start().unwrap();
    app.clock.set(moment);
    app.clock.advance(-1);
    assert_eq!(
        got(&promoflow, &running, "birthday").as_deref(),
        Some("A"),
        "{date} before {moment}"
    );
    app.clock.advance(1);
    assert_eq!(
        got(&promoflow, &running, "birthday"),
        None,
        "{date} at {moment}"
    );
    assert_eq!(promoflow.available_codes(), ["B"]);
    promoflow.assert_audit();
}

#[test]
fn p8_a_code_is_claimed_until_its_expiry_and_not_at_it() {
    assert_valid_until(None, "2026-06-01", "2026-06-02T00:00:00Z");
    assert_valid_until(None, "2026-06-01T12:00", "2026-06-01T12:01:00Z");
    assert_valid_until(None, "2026-06-01T12:00:30", "2026-06-01T12:00:30Z");
}

#[test]
fn p8_a_date_is_the_end_of_that_day_in_the_database_s_time_zone() {
    assert_valid_until(Some(Kyiv), "2026-06-01", "2026-06-01T21:00:00Z");
    assert_valid_until(Some(Kyiv), "2026-06-01T18:30", "2026-06-01T15:31:00Z");
    // In winter the zone's offset is one hour smaller.
    assert_valid_until(Some(Kyiv), "2026-12-01", "2026-12-01T22:00:00Z");
}

#[test]
fn p8_days_are_whole_days_after_today_in_the_database_s_time_zone() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.set_calendar(Calendar::new(Kyiv)).unwrap();
    promoflow.add_workflows(&asking_for_days(7));
    promoflow.import_codes(
        "code,expirationDate,discount,type\n\
         SHORT,2026-06-07,10,birthday\n\
         A,2026-06-08,10,birthday\n\
         B,2026-06-08,10,birthday\n\
         C,2026-06-09,10,birthday\n",
    );
    let running = promoflow.start().unwrap();
    // 23:59:59.999 on 1 June in that zone.
    app.clock.set("2026-06-01T20:59:59.999Z");
    assert_eq!(got(&promoflow, &running, "d7").as_deref(), Some("A"));
    // 2 June in that zone, still 1 June in UTC: B is valid for six more days now.
    app.clock.advance(1);
    assert_eq!(got(&promoflow, &running, "d7").as_deref(), Some("C"));
    assert_eq!(got(&promoflow, &running, "d7"), None);
    assert_eq!(promoflow.available_codes(), ["B", "SHORT"]);
}

#[test]
fn p8_a_code_that_expires_between_claim_and_commit_is_not_used() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes(
        "code,expirationDate,discount,type\n\
         A,2026-06-01T12:00,10,birthday\n\
         B,2026-06-01T13:00,10,birthday\n",
    );
    let running = promoflow.start().unwrap();
    let clock = app.clock.clone();
    app.clock.before_commit(move || clock.advance(60_000));
    assert_eq!(
        got(&promoflow, &running, "birthday").as_deref(),
        Some("B"),
        "A expired before the commit"
    );
    assert_eq!(app.clock.pending_hooks(), 0);
    assert_eq!(promoflow.available_codes(), ["A"]);
    drop(running);
    assert_eq!(app.channel.texts(), ["B"]);
    promoflow.assert_audit();
}

#[test]
fn p8_a_code_that_expires_while_its_commit_waits_is_not_used() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes(
        "code,expirationDate,discount,type\n\
         A,2026-06-01T12:00,10,birthday\n\
         B,2026-06-01T13:00,10,birthday\n",
    );
    let running = promoflow.start().unwrap();
    let (other, clock) = (app.inspect(), app.clock.clone());
    let (begun, begins) = channel();
    app.clock.before_commit(move || {
        other.lock_writes().unwrap();
        begun.send(other).unwrap();
    });
    let writes = thread::spawn(move || {
        let other = begins.recv().unwrap();
        thread::sleep(Duration::from_millis(200));
        clock.advance(60_000);
        drop(other);
    });
    let code = got(&promoflow, &running, "birthday");
    writes.join().unwrap();
    assert_eq!(code.as_deref(), Some("B"), "A expired before the commit");
    promoflow.assert_audit();
}

#[test]
fn p8_days_use_a_time_zone_that_was_set_while_events_arrive() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.add_workflows(&asking_for_days(7));
    promoflow.import_codes("code,expirationDate,discount,type\nA,2026-06-08T12:00,10,birthday\n");
    let running = promoflow.start().unwrap();
    app.open().set_calendar(Calendar::new(Kyiv)).unwrap();
    // Still 1 June in UTC, 2 June in the new zone: the code is valid for six more days now.
    app.clock.set("2026-06-01T21:00:00Z");
    assert_eq!(got(&promoflow, &running, "d7"), None);
}

/// Returns the only delivery.
fn delivery(promoflow: &Promoflow, run: RunId) -> DeliveryRow {
    let code = promoflow.code_of(run).unwrap();
    let (_, deliveries) = promoflow.code(&code).unwrap().unwrap();
    assert_eq!(deliveries.len(), 1);
    deliveries[0].clone()
}

#[test]
fn p8_a_delivery_with_an_expired_code_fails_with_that_error() {
    for (late, state, messages) in [
        (59_999, DeliveryState::Delivered, 1),
        (60_000, DeliveryState::Failed, 0),
    ] {
        let (app, promoflow) = TestApp::with_codes(0);
        promoflow
            .import_codes("code,expirationDate,discount,type\nA,2026-06-01T12:00,10,birthday\n");
        let running = promoflow.start().unwrap();
        // The first commit is the run's, the second the start of the attempt.
        let clock = app.clock.clone();
        app.clock.before_commit(|| ());
        app.clock.before_commit(move || clock.advance(late));
        let run = promoflow.run_event(&running, "birthday", "ann@example.com");
        drop(running);
        let delivery = delivery(&promoflow, run);
        assert_eq!(delivery.state, state, "{late}");
        assert_eq!(app.channel.sent().len(), messages, "{late}");
        if messages == 0 {
            assert_eq!(
                delivery.error.as_deref(),
                Some("the promo code that it carries has expired")
            );
            assert_eq!(delivery.attempts, 0);
        }
        promoflow.assert_audit();
    }
}

#[test]
fn p8_a_retried_delivery_expires_with_its_code() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes("code,expirationDate,discount,type\nA,2026-06-01T12:30,10,birthday\n");
    app.channel
        .queue_outcome(DeliveryOutcome::RetryableFailure {
            error: "busy".into(),
            after: None,
            ambiguous: false,
        });
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "birthday", "ann@example.com");
    let first = delivery(&promoflow, run);
    assert_eq!((first.state, first.attempts), (DeliveryState::Pending, 1));
    app.clock.advance(3_600_000);
    drop(running);
    let running = promoflow.start().unwrap();
    until(|| delivery(&promoflow, run).state != DeliveryState::Pending);
    drop(running);
    let last = delivery(&promoflow, run);
    assert_eq!((last.state, last.attempts), (DeliveryState::Failed, 1));
    assert!(last.error.unwrap().contains("expired"));
    assert_eq!(app.channel.sent().len(), 1);
    // A retry by hand is rejected: it would only fail again.
    let refused = promoflow
        .apply_delivery_action(last.id, Action::Retry)
        .unwrap();
    assert!(
        matches!(refused, ActionResult::Rejected(why) if why.contains("expired")),
        "{refused:?}"
    );
}

/// Claims a code that expires on 2026-06-02 at 11:01, sleeps until noon, and then sends a message.
fn sent_after(message: &str) -> DeliveryState {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow
        .import_codes("code,expirationDate,discount,type\nCODE-A,2026-06-02T11:00,10,birthday\n");
    promoflow.add_messages(&format!(
        "{{ message: after, channel: sms, text: \"{message}\" }}"
    ));
    promoflow.add_workflows(
        "
workflow: after
start: { event: after }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: sms }
  - id: sms
    block: send-message
    with: { channel: sms, message: after }
",
    );
    let running = promoflow.start().unwrap();
    let event = Event::new("after", "ann").with_param("Phone", "+380501234567");
    let run = running.send(event).unwrap().runs[0];
    app.clock.set("2026-06-02T12:00:00Z");
    running.wait_idle(&[run]).unwrap();
    drop(running);
    let delivery = promoflow.delivery(DeliveryId(1)).unwrap().unwrap();
    promoflow.assert_audit();
    let sent = usize::from(delivery.state == DeliveryState::Delivered);
    assert_eq!(app.channel.sent().len(), sent);
    delivery.state
}

#[test]
fn p8_a_message_expires_only_with_codes_of_earlier_segments_that_it_carries() {
    assert_eq!(sent_after("We miss you"), DeliveryState::Delivered);
    let code = "$!data.get('promocode')";
    assert_eq!(sent_after(code), DeliveryState::Failed);
    assert_eq!(
        sent_after("$!data.get('promocode').toLowerCase().replace('-', ' ')"),
        DeliveryState::Failed
    );
}
