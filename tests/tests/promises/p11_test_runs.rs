//! P11: a test run claims nothing, sends nothing, and reports what it would have done.

use promoflow::event::Event;
use promoflow_tests::{PromoflowExt, TestApp, until};

/// Returns the row counts of every table that a run writes.
fn rows(app: &TestApp) -> Vec<i64> {
    [
        "event",
        "run",
        "journal",
        "claim",
        "start_record",
        "contact_code",
        "code_reuse",
        "delivery",
        "attempt",
        "available_code",
        "run_wait",
    ]
    .map(|table| app.inspect().count(table).unwrap())
    .to_vec()
}

#[test]
fn p11_a_test_run_reports_its_effects_and_has_none() {
    let (app, promoflow) = TestApp::with_codes(2);
    promoflow.add_workflows(
        "
workflow: long
start: { event: birthday, repeat: once }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0, reuse: { contact: 30d } }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
  - id: again
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0, reuse: run }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
",
    );
    let before = rows(&app);
    let event = Event::new("birthday", "ann@example.com")
        .with_id("e-1")
        .with_param("EmailAddress", "ann@example.com");
    for _ in 0..2 {
        let would = promoflow.test_run(event.clone()).unwrap();
        let [main, long] = would.as_slice() else {
            panic!("{would:#?}")
        };
        assert_eq!(main.codes.len(), 1);
        assert_eq!(main.deliveries[0].address, "ann@example.com");
        let text = main.deliveries[0].content.text.as_deref().unwrap();
        assert_eq!(text.trim(), main.codes[0]);
        assert_eq!(long.steps.len(), 4, "{long:#?}");
        assert_eq!(long.codes.len(), 1);
        assert_eq!(long.deliveries.len(), 1);
        assert_eq!((&main.error, &long.error), (&None, &None));
    }
    assert_eq!(rows(&app), before);

    // The event counts as new afterwards, and the pool is unchanged.
    let running = promoflow.start().unwrap();
    let receipt = running.send(event).unwrap();
    running.wait_idle(&receipt.runs).unwrap();
    assert!(!receipt.duplicate);
    assert_eq!(receipt.runs.len(), 2);
    assert!(promoflow.available_codes().is_empty());
    promoflow.assert_audit();
}

#[test]
fn p11_a_test_run_takes_nothing_from_concurrent_runs() {
    let (app, promoflow) = TestApp::with_codes(1);
    let running = promoflow.start().unwrap();
    let event =
        Event::new("birthday", "ann@example.com").with_param("EmailAddress", "ann@example.com");
    let would = promoflow.test_run(event.clone()).unwrap();
    assert_eq!(would[0].codes, ["C-0000"]);
    let code = promoflow.birthday(&running, "ben@example.com");
    assert_eq!(code.as_deref(), Some("C-0000"));
    let would = promoflow.test_run(event).unwrap();
    assert!(would[0].codes.is_empty());
    assert_eq!(app.channel.sent().len(), 1);
    promoflow.assert_audit();
}

#[test]
fn p11_a_test_run_reports_waits_and_blocked_starts() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.add_workflows(
        "
workflow: waits
start: { event: waits, repeat: once }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0, when-empty: wait }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
",
    );
    let event =
        Event::new("waits", "ann@example.com").with_param("EmailAddress", "ann@example.com");
    let before = rows(&app);
    let would = promoflow.test_run(event.clone()).unwrap();
    let waiting_for = would[0].waiting_for.as_deref();
    assert_eq!(
        waiting_for,
        Some("a promo code of type birthday and discount 10")
    );
    assert_eq!((&would[0].error, would[0].blocked_by), (&None, None));
    assert_eq!(would[0].waiting_until, None);
    assert_eq!(rows(&app), before);
    promoflow.add_workflows(&promoflow_tests::chaos("wait", ", until: 1780401600000"));
    let would = promoflow.test_run(Event::new("wait", "ann")).unwrap();
    assert_eq!(would[0].waits.len(), 1);
    assert_eq!(would[0].waits[0].step, "bad");
    assert_eq!(would[0].waits[0].until.0, 1_780_401_600_000);

    let running = promoflow.start().unwrap();
    running.send(event.clone()).unwrap();
    let before = rows(&app);
    let would = promoflow.test_run(event.clone()).unwrap();
    assert!(would[0].blocked_by.unwrap().contains("once"), "{would:#?}");
    assert!(would[0].steps.is_empty());
    let other = Event {
        key: "ben@example.com".into(),
        ..event
    };
    assert_eq!(promoflow.test_run(other).unwrap()[0].blocked_by, None);
    assert_eq!(rows(&app), before);
}

#[test]
fn p11_a_test_run_is_exhausted_exactly_when_runs_are() {
    let (_shop, promoflow) = TestApp::with_codes(1);
    promoflow.add_workflows(
        "
workflow: second
start: { event: birthday }
steps:
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: code }
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
",
    );
    let event =
        Event::new("birthday", "ann@example.com").with_param("EmailAddress", "ann@example.com");
    let would = promoflow.test_run(event).unwrap();
    assert_eq!(would.len(), 2);
    for one in &would {
        assert_eq!(one.error, None, "{one:#?}");
    }
    let codes: Vec<usize> = would.iter().map(|one| one.codes.len()).collect();
    assert_eq!(codes, [1, 0]);
    let last = would[1].steps.last().unwrap();
    assert_eq!(last.port.as_deref(), Some("exhausted"));
}

/// The text message reads contact values that only the directory has, before a step names the
/// contact.
const WAKES: &str = "
workflow: wakes
start: { event: wakes }
steps:
  - { id: text, block: send-message, with: { channel: sms, message: text, to: '+380501234567' } }
  - { id: mail, block: send-message, with: { channel: email, message: hello, contact: ContactId } }
---
workflow: later
start: { event: later }
steps:
  - { id: text, block: send-message, with: { channel: sms, message: text, to: '+380501234567' } }
  - { id: sleep, block: mischief, with: { do: wait, until: 1780401600000 }, ports: { other: end } }
  - { id: mail, block: send-message, with: { channel: email, message: hello, contact: ContactId } }
  - { id: again, block: send-message, with: { channel: sms, message: text, to: '+380501234567' } }
";

#[test]
fn p11_a_test_run_finds_contacts_like_a_run_without_enabling_the_directory() {
    for (kind, texts) in [
        ("wakes", &["Hello a@example.com", "Hello"][..]),
        ("later", &["Hello friend", "Hello", "Hello a@example.com"]),
    ] {
        let (app, promoflow) = TestApp::with_codes(0);
        promoflow.add_messages(
            "{ message: text, channel: sms, text: \"Hello %EMAIL|friend%\" }
---
{ message: hello, channel: email, subject: Hello, text: Hello }",
        );
        promoflow.add_workflows(WAKES);
        let running = promoflow.start().unwrap();
        let asleep = || -> bool {
            let sql = "SELECT (SELECT value FROM setting WHERE name = 'contacts-enabled') = '0'
                           AND NOT EXISTS (SELECT 1 FROM contact)";
            app.inspect().row(sql, &[]).unwrap()
        };
        let event = |kind: &str| Event::new(kind, "order").with_param("ContactId", "A");
        let unknown = promoflow.test_run(event(kind)).unwrap();
        let error = unknown[0].error.as_deref().unwrap();
        assert!(error.contains("contact `A` has no email"), "{error}");
        running
            .send(event("x").with_param("Email", "a@example.com"))
            .unwrap();

        let before = rows(&app);
        let would = promoflow.test_run(event(kind)).unwrap().remove(0);
        assert_eq!(would.error, None);
        let would: Vec<_> = (would.deliveries.iter())
            .map(|one| one.content.text.clone().unwrap_or_default())
            .collect();
        assert_eq!(would, texts);
        assert_eq!(rows(&app), before);
        assert!(asleep());

        let receipt = running.send(event(kind)).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        app.clock.set("2026-06-02T12:30:00Z");
        until(|| app.channel.sent().len() == texts.len());
        let mut sent = app.channel.texts();
        sent.sort();
        let mut wanted = texts.to_vec();
        wanted.sort_unstable();
        assert_eq!(sent, wanted);
        assert!(!asleep());
        promoflow.assert_audit();
    }
}
