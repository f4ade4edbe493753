//! P4: a committed claim is released only if nothing that carries its code may have left.

use promoflow::channel::Handover;
use promoflow::store::{DeliveryId, DeliveryState, Order, Ordered, RunState};
use promoflow::{Promoflow, Running};
use promoflow_tests::{Shop, Teach};

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
    ports: { aside: end }
";

fn shop(codes: usize) -> (Shop, Promoflow) {
    let (shop, promoflow) = Shop::with_codes(codes);
    promoflow.workflows_of(SENT_THEN_WAITS);
    (shop, promoflow)
}

fn done(released: u64, called_off: u64) -> Ordered {
    Ordered::Done {
        released,
        called_off,
    }
}

fn state_of(promoflow: &Promoflow, delivery: i64) -> DeliveryState {
    let row = promoflow.delivery(DeliveryId(delivery)).unwrap().unwrap();
    row.state
}

/// Asserts that the next run gets this code.
fn next_gets(promoflow: &Promoflow, running: &Running, code: &str) {
    let got = promoflow.birthday(running, "zoe@example.com");
    assert_eq!(got.as_deref(), Some(code));
}

#[test]
fn p4_a_cancelled_run_releases_its_code_if_no_attempt_was_made() {
    let (shop, _) = shop(2);
    let promoflow = shop.builder().delivers(false).open().unwrap();
    let running = promoflow.start().unwrap();
    let event = promoflow::event::Event::new("sent", "ann@example.com")
        .with_param("EmailAddress", "ann@example.com");
    let run = running.send(event).unwrap().runs[0];
    assert_eq!(promoflow.free(), ["C-0001"]);
    assert_eq!(promoflow.order_run(run, Order::Cancel).unwrap(), done(1, 1));
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Cancelled);
    assert!(row.finished.is_some());
    assert_eq!(promoflow.free(), ["C-0000", "C-0001"]);
    assert_eq!(state_of(&promoflow, 1), DeliveryState::Cancelled);
    for order in [Order::Retry, Order::Cancel] {
        let refused = promoflow.order_delivery(DeliveryId(1), order).unwrap();
        assert!(matches!(refused, Ordered::Refused(_)), "{order:?}");
        let refused = promoflow.order_run(run, order).unwrap();
        assert!(matches!(refused, Ordered::Refused(_)), "{order:?}");
    }
    running.stop();

    // Even in a process that delivers, the cancelled delivery does not leave, and the code is used
    // again.
    let promoflow = shop.open();
    let running = promoflow.start().unwrap();
    next_gets(&promoflow, &running, "C-0000");
    shop.clock.set("2026-06-03T12:00:00Z");
    running.rest_all().unwrap();
    assert_eq!(shop.letters.texts(), ["C-0000"]);
    assert_eq!(promoflow.run_of(run).0.state, RunState::Cancelled);
    promoflow.audited();
}

#[test]
fn p4_a_permanently_failed_delivery_releases_the_code_and_is_never_retried() {
    let (shop, promoflow) = shop(2);
    let running = promoflow.start().unwrap();
    shop.letters.answer(Handover::Refused {
        error: "no such mailbox".into(),
    });
    let run = promoflow.one(&running, "sent", "ann@example.com");
    assert_eq!(state_of(&promoflow, 1), DeliveryState::Failed);
    assert_eq!(promoflow.order_run(run, Order::Cancel).unwrap(), done(1, 1));
    assert_eq!(state_of(&promoflow, 1), DeliveryState::Cancelled);
    let refused = promoflow.order_delivery(DeliveryId(1), Order::Retry);
    assert!(matches!(refused.unwrap(), Ordered::Refused(_)));
    // Leases in memory are refreshed after a moment, or by the next start.
    running.stop();
    let running = promoflow.start().unwrap();
    next_gets(&promoflow, &running, "C-0000");
    promoflow.audited();
}

#[test]
fn p4_a_code_that_may_have_left_stays_with_its_cancelled_run() {
    let later = Handover::Later {
        error: "busy".into(),
        after: None,
        unclear: false,
    };
    for answer in [Handover::Delivered, later] {
        let (shop, promoflow) = shop(2);
        let running = promoflow.start().unwrap();
        shop.letters.answer(answer.clone());
        let run = promoflow.one(&running, "sent", "ann@example.com");
        let before = state_of(&promoflow, 1);
        assert_eq!(
            promoflow.order_run(run, Order::Cancel).unwrap(),
            done(0, 0),
            "{answer:?}"
        );
        assert_eq!(promoflow.run_of(run).0.state, RunState::Cancelled);
        assert_eq!(state_of(&promoflow, 1), before);
        let refused = promoflow.order_delivery(DeliveryId(1), Order::Cancel);
        assert!(matches!(refused.unwrap(), Ordered::Refused(_)));
        next_gets(&promoflow, &running, "C-0001");
        assert!(promoflow.free().is_empty());
        promoflow.audited();
    }
}

#[test]
fn p4_a_code_in_a_running_delivery_stays_with_its_cancelled_run() {
    let (shop, promoflow) = shop(1);
    let running = promoflow.start().unwrap();
    let database = shop.database();
    shop.letters.at_delivery(move |_| {
        let other = beside(&database);
        let ordered = other.order_run(promoflow::store::RunId(1), Order::Cancel);
        assert_eq!(ordered.unwrap(), done(0, 0));
    });
    let run = promoflow.one(&running, "sent", "ann@example.com");
    assert_eq!(promoflow.run_of(run).0.state, RunState::Cancelled);
    assert!(promoflow.free().is_empty());
    assert_eq!(shop.letters.texts(), ["C-0000"]);
    promoflow.audited();
}

fn beside(database: &std::path::Path) -> Promoflow {
    Promoflow::open(database).unwrap()
}

#[test]
fn p4_a_completed_run_cannot_be_cancelled() {
    let (_shop, promoflow) = shop(1);
    let running = promoflow.start().unwrap();
    let run = promoflow.one(&running, "birthday", "ann@example.com");
    for order in [Order::Retry, Order::Cancel] {
        let refused = promoflow.order_run(run, order).unwrap();
        assert_eq!(refused, Ordered::Refused("it is completed"));
    }
    let unknown = promoflow::store::RunId(77);
    assert_eq!(
        promoflow.order_run(unknown, Order::Cancel).unwrap(),
        Ordered::Unknown
    );
}
