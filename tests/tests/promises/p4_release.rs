//! P4: a committed claim is released only if nothing that carries its code may have left.

use promoflow::channel::DeliveryOutcome;
use promoflow::store::{Action, ActionResult, DeliveryId, DeliveryState, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{PromoflowExt, TestApp};

/// Claims a code, sends it, and waits until 2026-06-02.
const SENT_THEN_WAITS: &str = "
workflow: sent
start: { event: sent }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
";

fn app(codes: usize) -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(codes);
    promoflow.add_workflows(SENT_THEN_WAITS);
    (app, promoflow)
}

fn done(released: u64, cancelled_deliveries: u64) -> ActionResult {
    ActionResult::Done {
        released,
        cancelled_deliveries,
    }
}

fn state_of(promoflow: &Promoflow, delivery: i64) -> DeliveryState {
    let row = promoflow.delivery(DeliveryId(delivery)).unwrap().unwrap();
    row.state
}

/// Asserts that the next run gets this code.
fn assert_next_gets(promoflow: &Promoflow, running: &EngineHandle, code: &str) {
    let got = promoflow.birthday(running, "zoe@example.com");
    assert_eq!(got.as_deref(), Some(code));
}

#[test]
fn p4_a_cancelled_run_releases_its_code_if_no_attempt_was_made() {
    let (app, _) = app(2);
    let promoflow = app.builder().delivers(false).open().unwrap();
    let running = promoflow.start().unwrap();
    let event = promoflow::event::Event::new("sent", "ann@example.com")
        .with_param("EmailAddress", "ann@example.com");
    let run = running.send(event).unwrap().runs[0];
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
    assert_eq!(
        promoflow.apply_run_action(run, Action::Cancel).unwrap(),
        done(1, 1)
    );
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Cancelled);
    assert!(row.finished.is_some());
    assert_eq!(promoflow.available_codes(), ["C-0000", "C-0001"]);
    assert_eq!(state_of(&promoflow, 1), DeliveryState::Cancelled);
    for order in [Action::Retry, Action::Cancel] {
        let refused = promoflow
            .apply_delivery_action(DeliveryId(1), order)
            .unwrap();
        assert!(matches!(refused, ActionResult::Rejected(_)), "{order:?}");
        let refused = promoflow.apply_run_action(run, order).unwrap();
        assert!(matches!(refused, ActionResult::Rejected(_)), "{order:?}");
    }
    running.stop();

    // Even in a process that delivers, the cancelled delivery does not leave, and the code is used
    // again.
    let promoflow = app.open();
    let running = promoflow.start().unwrap();
    assert_next_gets(&promoflow, &running, "C-0000");
    app.clock.set("2026-06-03T12:00:00Z");
    running.wait_all_idle().unwrap();
    assert_eq!(app.channel.texts(), ["C-0000"]);
    assert_eq!(promoflow.run_of(run).0.state, RunState::Cancelled);
    promoflow.assert_audit();
}

#[test]
fn p4_a_permanently_failed_delivery_releases_the_code_and_is_never_retried() {
    let (app, promoflow) = app(2);
    let running = promoflow.start().unwrap();
    app.channel
        .queue_outcome(DeliveryOutcome::PermanentFailure {
            error: "no such mailbox".into(),
        });
    let run = promoflow.run_event(&running, "sent", "ann@example.com");
    assert_eq!(state_of(&promoflow, 1), DeliveryState::Failed);
    assert_eq!(
        promoflow.apply_run_action(run, Action::Cancel).unwrap(),
        done(1, 1)
    );
    assert_eq!(state_of(&promoflow, 1), DeliveryState::Cancelled);
    let refused = promoflow.apply_delivery_action(DeliveryId(1), Action::Retry);
    assert!(matches!(refused.unwrap(), ActionResult::Rejected(_)));
    // Leases in memory are refreshed after a moment, or by the next start.
    running.stop();
    let running = promoflow.start().unwrap();
    assert_next_gets(&promoflow, &running, "C-0000");
    promoflow.assert_audit();
}

#[test]
fn p4_a_code_that_may_have_left_stays_with_its_cancelled_run() {
    let later = DeliveryOutcome::RetryableFailure {
        error: "busy".into(),
        after: None,
        ambiguous: false,
    };
    for answer in [DeliveryOutcome::Delivered, later] {
        let (app, promoflow) = app(2);
        let running = promoflow.start().unwrap();
        app.channel.queue_outcome(answer.clone());
        let run = promoflow.run_event(&running, "sent", "ann@example.com");
        let before = state_of(&promoflow, 1);
        assert_eq!(
            promoflow.apply_run_action(run, Action::Cancel).unwrap(),
            done(0, 0),
            "{answer:?}"
        );
        assert_eq!(promoflow.run_of(run).0.state, RunState::Cancelled);
        assert_eq!(state_of(&promoflow, 1), before);
        let refused = promoflow.apply_delivery_action(DeliveryId(1), Action::Cancel);
        assert!(matches!(refused.unwrap(), ActionResult::Rejected(_)));
        assert_next_gets(&promoflow, &running, "C-0001");
        assert!(promoflow.available_codes().is_empty());
        promoflow.assert_audit();
    }
}

#[test]
fn p4_a_code_in_a_running_delivery_stays_with_its_cancelled_run() {
    let (app, promoflow) = app(1);
    let running = promoflow.start().unwrap();
    let database = app.address().to_owned();
    app.channel.on_delivery(move |_| {
        let other = open_again(&database);
        let ordered = other.apply_run_action(promoflow::store::RunId(1), Action::Cancel);
        assert_eq!(ordered.unwrap(), done(0, 0));
    });
    let run = promoflow.run_event(&running, "sent", "ann@example.com");
    assert_eq!(promoflow.run_of(run).0.state, RunState::Cancelled);
    assert!(promoflow.available_codes().is_empty());
    assert_eq!(app.channel.texts(), ["C-0000"]);
    promoflow.assert_audit();
}

fn open_again(database: &str) -> Promoflow {
    Promoflow::open(database).unwrap()
}

#[test]
fn p4_a_completed_run_cannot_be_cancelled() {
    let (_shop, promoflow) = app(1);
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "birthday", "ann@example.com");
    for order in [Action::Retry, Action::Cancel] {
        let refused = promoflow.apply_run_action(run, order).unwrap();
        assert_eq!(refused, ActionResult::Rejected("it is completed"));
    }
    let unknown = promoflow::store::RunId(77);
    assert_eq!(
        promoflow.apply_run_action(unknown, Action::Cancel).unwrap(),
        ActionResult::Unknown
    );
}
