//! Allowed hours: a message leaves only within them.

use promoflow::channel::Handover;
use promoflow::pool::Calendar;
use promoflow::store::{DeliveryId, DeliveryRow, DeliveryState, Order, RunState};
use promoflow::{Promoflow, Running};
use promoflow_tests::{Shop, Teach, until};

/// Returns an installation at 2026-06-01 12:00 UTC with a workflow that sends within these hours.
fn shop(hours: &str) -> (Shop, Promoflow) {
    let (shop, promoflow) = Shop::with_codes(2);
    promoflow.workflows_of(&format!(
        "
workflow: hours
start: {{ event: hours }}
steps:
  - id: code
    block: get-promocode
    with: {{ type: birthday, discount: 10, days: 0 }}
    ports: {{ exhausted: end }}
  - id: mail
    block: send-message
    with: {{ channel: email, message: mail, {hours} }}
"
    ));
    (shop, promoflow)
}

fn row(promoflow: &Promoflow) -> DeliveryRow {
    promoflow.delivery(DeliveryId(1)).unwrap().unwrap()
}

/// Returns the due time of the delivery in UTC.
fn due(promoflow: &Promoflow) -> String {
    let history = promoflow.delivery_history(DeliveryId(1)).unwrap().unwrap();
    history.due.map(|due| due.to_string()).unwrap_or_default()
}

fn sends(promoflow: &Promoflow, running: &Running) {
    promoflow.one(running, "hours", "ann@example.com");
}

#[test]
fn a_message_leaves_at_once_within_its_hours() {
    let (shop, promoflow) = shop("allowed-hours: 15:00-16:00, time-zone: Europe/Kyiv");
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert_eq!(shop.letters.texts(), ["C-0000"]);
}

#[test]
fn a_message_waits_until_its_hours_open() {
    let (shop, promoflow) = shop("allowed-hours: 09:00-12:00");
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert_eq!(due(&promoflow), "2026-06-02T09:00:00.000Z");
    // A manual retry does not open them.
    promoflow
        .order_delivery(DeliveryId(1), Order::Retry)
        .unwrap();
    until(|| due(&promoflow) == "2026-06-02T09:00:00.000Z");
    shop.clock.set("2026-06-02T08:59:59Z");
    running.rest_all().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(shop.letters.sent().is_empty());
    shop.clock.set("2026-06-02T09:00:00Z");
    until(|| row(&promoflow).state == DeliveryState::Delivered);
    assert_eq!(row(&promoflow).attempts, 1);
}

#[test]
fn hours_use_the_installation_s_time_zone_by_default() {
    let (shop, promoflow) = shop("allowed-hours: 16:00-20:00");
    promoflow
        .set_calendar(Calendar::new(chrono_tz::Europe::Kyiv))
        .unwrap();
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert!(shop.letters.sent().is_empty());
    assert_eq!(due(&promoflow), "2026-06-01T13:00:00.000Z");
}

#[test]
fn hours_use_the_contact_s_time_zone_if_known() {
    let (shop, promoflow) = shop("allowed-hours: 16:00-20:00");
    let contacts = "contact,email,timeZone\nann,ann@example.com,Asia/Tokyo\n";
    promoflow
        .import_contacts(contacts.as_bytes(), Default::default(), &mut |_| ())
        .unwrap();
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert!(shop.letters.sent().is_empty());
    // Noon in UTC is 21:00 in Tokyo.
    assert_eq!(due(&promoflow), "2026-06-02T07:00:00.000Z");
}

#[test]
fn a_retry_waits_for_the_hours_too() {
    let (shop, promoflow) = shop("allowed-hours: 10:00-20:00");
    shop.clock.set("2026-06-01T19:59:59.500Z");
    shop.letters.answer(Handover::Later {
        error: "busy".into(),
        after: None,
        unclear: false,
    });
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert_eq!(shop.letters.sent().len(), 1);
    assert_eq!(due(&promoflow), "2026-06-02T10:00:00.000Z");
}

#[test]
fn p8_a_code_that_expires_before_the_hours_open_fails_the_run_and_is_released() {
    let (shop, promoflow) = Shop::with_codes(0);
    promoflow.codes_of("code,expirationDate,discount,type\nA,2026-06-01T18:00,10,birthday\n");
    promoflow.workflows_of(
        "
workflow: hours
start: { event: hours }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail, allowed-hours: 09:00-12:00 }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.one(&running, "hours", "ann@example.com");
    let (run, _) = promoflow.run_of(run);
    assert_eq!(run.state, RunState::Failed);
    let error = run.error.unwrap();
    assert!(
        error.contains("09:00-12:00 UTC") && error.contains("2026-06-01T18:01"),
        "{error}"
    );
    assert_eq!(promoflow.free(), ["A"]);
    assert!(shop.letters.sent().is_empty());
}

#[test]
fn p8_a_delivery_fails_at_once_if_an_earlier_code_expires_before_its_hours() {
    let (shop, promoflow) = Shop::with_codes(0);
    promoflow.codes_of("code,expirationDate,discount,type\nA,2026-06-02T20:00,10,birthday\n");
    promoflow.workflows_of(
        "
workflow: tomorrow
start: { event: tomorrow }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { aside: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail, allowed-hours: 09:00-12:00 }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.one(&running, "tomorrow", "ann@example.com");
    // 2026-06-02 at noon: the code expires before the hours open again.
    shop.clock.set("2026-06-02T12:00:00Z");
    running.rest(&[run]).unwrap();
    let row = row(&promoflow);
    assert_eq!(row.state, DeliveryState::Failed);
    assert!(row.error.unwrap().contains("expires before it may be sent"));
    assert_eq!(row.attempts, 0);
}
