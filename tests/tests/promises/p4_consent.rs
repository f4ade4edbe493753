//! P4 and consent: an unsubscribed contact gets no message, and its code is released.

use std::time::Duration;

use promoflow::Promoflow;
use promoflow::channel::DeliveryOutcome;
use promoflow::contact::ContactOptions;
use promoflow::event::Event;
use promoflow::message::ChannelKind;
use promoflow::store::{DeliveryId, DeliveryState, RunState};
use promoflow_tests::{PromoflowExt, TestApp, until};

const EMAIL: [ChannelKind; 1] = [ChannelKind::Email];

/// The main job with a port for unsubscribed contacts.
const ASKS_FIRST: &str = "
workflow: asks
start: { event: asks }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
    ports: { unsubscribed: end, unreachable: end }
";

fn app(codes: usize) -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(codes);
    promoflow.add_workflows(ASKS_FIRST);
    contacts(&promoflow, "contact,email\nA,ann@example.com\n");
    (app, promoflow)
}

fn contacts(promoflow: &Promoflow, csv: &str) {
    let options = ContactOptions::default();
    let report = promoflow.import_contacts(csv.as_bytes(), options, &mut |_| ());
    assert_eq!(report.unwrap().rejected, 0);
}

fn unsubscribe(promoflow: &Promoflow, contact: &str) {
    assert!(promoflow.unsubscribe(contact, &EMAIL).unwrap().is_some());
}

fn delivery(promoflow: &Promoflow, id: i64) -> (DeliveryState, Option<String>) {
    let row = promoflow.delivery(DeliveryId(id)).unwrap().unwrap();
    (row.state, row.error)
}

#[test]
fn p4_the_commit_releases_the_code_of_an_unsubscribed_contact() {
    let (app, promoflow) = app(2);
    unsubscribe(&promoflow, "A");
    let running = promoflow.start().unwrap();
    // In any spelling of the address, and from any workflow.
    for (kind, state) in [
        ("asks", RunState::Completed),
        ("birthday", RunState::Failed),
    ] {
        let run = promoflow.run_event(&running, kind, "Ann@Example.com");
        let (row, _) = promoflow.run_of(run);
        assert_eq!(row.state, state, "{row:?}");
        if state == RunState::Failed {
            let error = row.error.unwrap();
            assert!(error.contains("unsubscribed from email"), "{error}");
        }
        assert_eq!(promoflow.available_codes(), ["C-0000", "C-0001"], "{kind}");
    }
    assert!(app.channel.sent().is_empty());
    let code = promoflow.birthday(&running, "ben@example.com");
    assert_eq!(code.as_deref(), Some("C-0000"));
    promoflow.subscribe("A", &EMAIL).unwrap();
    let code = promoflow.birthday(&running, "ann@example.com");
    assert_eq!(code.as_deref(), Some("C-0001"));
    promoflow.assert_audit();
}

#[test]
fn p4_a_code_carried_by_another_message_stays_with_its_run() {
    let (app, promoflow) = app(2);
    promoflow.add_messages("{ message: text, channel: sms, text: \"$!data.get('promocode')\" }");
    promoflow.add_workflows(
        "
workflow: both
start: { event: both }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: text
    block: send-message
    with: { channel: sms, message: text, to: '+380501234567' }
  - id: another
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0, as: other }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
    ports: { unsubscribed: end }
",
    );
    unsubscribe(&promoflow, "A");
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "both", "ann@example.com");
    assert_eq!(promoflow.run_of(run).0.state, RunState::Completed);
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
    assert_eq!(app.channel.texts(), ["C-0000"]);
    promoflow.assert_audit();
}

#[test]
fn p4_unsubscribing_cancels_pending_deliveries_and_releases_their_codes() {
    let (app, promoflow) = app(2);
    drop(promoflow);
    let promoflow = app.builder().delivers(false).open().unwrap();
    let running = promoflow.start().unwrap();
    let event = Event::new("birthday", "ann@example.com");
    running.send(event).unwrap();
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
    unsubscribe(&promoflow, "A");
    // Consent is checked when the attempt starts.
    assert_eq!(delivery(&promoflow, 1).0, DeliveryState::Pending);
    drop(running);
    drop(promoflow);
    let promoflow = app.open();
    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    let (state, error) = delivery(&promoflow, 1);
    assert_eq!(state, DeliveryState::Cancelled);
    assert!(error.unwrap().contains("unsubscribed"));
    assert!(app.channel.sent().is_empty());
    assert_eq!(promoflow.available_codes(), ["C-0000", "C-0001"]);
    // The running engine hands it out at once, in its order.
    let code = promoflow.birthday(&running, "ben@example.com");
    assert_eq!(code.as_deref(), Some("C-0000"));
    promoflow.assert_audit();
}

/// By email, with SMS as the alternative.
const ONE_FROM_MANY: &str = "
workflow: many
start: { event: many }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: tell
    block: send-message
    with:
      channel: email
      message: mail
      otherwise: [{ channel: sms, message: text, to: '+380501234567' }]
";

#[test]
fn p4_an_ambiguous_delivery_tries_no_alternative_when_its_contact_unsubscribes() {
    for (ambiguous, state, sent) in [
        (false, DeliveryState::Delivered, 2),
        (true, DeliveryState::Cancelled, 1),
    ] {
        let (app, promoflow) = app(1);
        let text = "{ message: text, channel: sms, text: \"$!data.get('promocode')\" }";
        promoflow.add_messages(text);
        promoflow.add_workflows(ONE_FROM_MANY);
        app.channel
            .queue_outcome(DeliveryOutcome::RetryableFailure {
                error: "no answer".into(),
                after: None,
                ambiguous,
            });
        let running = promoflow.start().unwrap();
        promoflow.run_event(&running, "many", "ann@example.com");
        unsubscribe(&promoflow, "A");
        app.clock.advance(60_000);
        until(|| delivery(&promoflow, 1).0 == state);
        drop(running);
        assert_eq!(app.channel.sent().len(), sent);
        assert!(promoflow.available_codes().is_empty());
        promoflow.assert_audit();
    }
}

#[test]
fn p4_an_ambiguous_delivery_keeps_its_code_when_its_contact_unsubscribes() {
    let (app, promoflow) = app(2);
    app.channel
        .queue_outcome(DeliveryOutcome::RetryableFailure {
            error: "busy".into(),
            after: Some(Duration::from_secs(60)),
            ambiguous: false,
        });
    let running = promoflow.start().unwrap();
    promoflow.run_event(&running, "birthday", "ann@example.com");
    assert_eq!(app.channel.sent().len(), 1);
    unsubscribe(&promoflow, "A");
    app.clock.set("2026-06-02T12:00:00Z");
    until(|| delivery(&promoflow, 1).0 == DeliveryState::Cancelled);
    assert_eq!(app.channel.sent().len(), 1);
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
    promoflow.assert_audit();
}
