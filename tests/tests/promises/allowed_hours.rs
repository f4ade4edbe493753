//! Allowed hours: a message leaves only within them.

use promoflow::channel::DeliveryOutcome;
use promoflow::pool::Calendar;
use promoflow::store::{Action, DeliveryId, DeliveryRow, DeliveryState, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{PromoflowExt, TestApp, until};

/// Returns an installation at 2026-06-01 12:00 UTC with a workflow that sends within these hours.
fn app(hours: &str) -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(2);
    promoflow.add_workflows(&format!(
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
    (app, promoflow)
}

fn row(promoflow: &Promoflow) -> DeliveryRow {
    promoflow.delivery(DeliveryId(1)).unwrap().unwrap()
}

/// Returns the due time of the delivery in UTC.
fn due(promoflow: &Promoflow) -> String {
    let history = promoflow.delivery_history(DeliveryId(1)).unwrap().unwrap();
    history.due.map(|due| due.to_string()).unwrap_or_default()
}

fn sends(promoflow: &Promoflow, running: &EngineHandle) {
    promoflow.run_event(running, "hours", "ann@example.com");
}

#[test]
fn a_message_leaves_at_once_within_its_hours() {
    let (app, promoflow) = app("allowed-hours: 15:00-16:00, time-zone: Europe/Kyiv");
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert_eq!(app.channel.texts(), ["C-0000"]);
}

#[test]
fn a_message_waits_until_its_hours_open() {
    let (app, promoflow) = app("allowed-hours: 09:00-12:00");
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert_eq!(due(&promoflow), "2026-06-02T09:00:00.000Z");
    // A manual retry does not open them.
    promoflow
        .apply_delivery_action(DeliveryId(1), Action::Retry)
        .unwrap();
    until(|| due(&promoflow) == "2026-06-02T09:00:00.000Z");
    app.clock.set("2026-06-02T08:59:59Z");
    running.wait_all_idle().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(app.channel.sent().is_empty());
    app.clock.set("2026-06-02T09:00:00Z");
    until(|| row(&promoflow).state == DeliveryState::Delivered);
    assert_eq!(row(&promoflow).attempts, 1);
}

#[test]
fn hours_use_the_installation_s_time_zone_by_default() {
    let (app, promoflow) = app("allowed-hours: 16:00-20:00");
    promoflow
        .set_calendar(Calendar::new(chrono_tz::Europe::Kyiv))
        .unwrap();
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert!(app.channel.sent().is_empty());
    assert_eq!(due(&promoflow), "2026-06-01T13:00:00.000Z");
}

#[test]
fn hours_use_the_contact_s_time_zone_if_known() {
    let (app, promoflow) = app("allowed-hours: 16:00-20:00");
    let contacts = "contact,email,timeZone\nann,ann@example.com,Asia/Tokyo\n";
    promoflow
        .import_contacts(contacts.as_bytes(), Default::default(), &mut |_| ())
        .unwrap();
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert!(app.channel.sent().is_empty());
    // Noon in UTC is 21:00 in Tokyo.
    assert_eq!(due(&promoflow), "2026-06-02T07:00:00.000Z");
}

#[test]
fn a_retry_waits_for_the_hours_too() {
    let (app, promoflow) = app("allowed-hours: 10:00-20:00");
    app.clock.set("2026-06-01T19:59:59.500Z");
    app.channel
        .queue_outcome(DeliveryOutcome::RetryableFailure {
            error: "busy".into(),
            after: None,
            ambiguous: false,
        });
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert_eq!(app.channel.sent().len(), 1);
    assert_eq!(due(&promoflow), "2026-06-02T10:00:00.000Z");
}

#[test]
fn p8_a_code_that_expires_before_the_hours_open_fails_the_run_and_is_released() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes("code,expirationDate,discount,type\nA,2026-06-01T18:00,10,birthday\n");
    promoflow.add_workflows(
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
    let run = promoflow.run_event(&running, "hours", "ann@example.com");
    let (run, _) = promoflow.run_of(run);
    assert_eq!(run.state, RunState::Failed);
    let error = run.error.unwrap();
    assert!(
        error.contains("09:00-12:00 UTC") && error.contains("2026-06-01T18:01"),
        "{error}"
    );
    assert_eq!(promoflow.available_codes(), ["A"]);
    assert!(app.channel.sent().is_empty());
}

#[test]
fn p8_a_delivery_fails_at_once_if_an_earlier_code_expires_before_its_hours() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes("code,expirationDate,discount,type\nA,2026-06-02T20:00,10,birthday\n");
    promoflow.add_workflows(
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
    ports: { other: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail, allowed-hours: 09:00-12:00 }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "tomorrow", "ann@example.com");
    // 2026-06-02 at noon: the code expires before the hours open again.
    app.clock.set("2026-06-02T12:00:00Z");
    running.wait_idle(&[run]).unwrap();
    let row = row(&promoflow);
    assert_eq!(row.state, DeliveryState::Failed);
    assert!(row.error.unwrap().contains("expires before it may be sent"));
    assert_eq!(row.attempts, 0);
}
