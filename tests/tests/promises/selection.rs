//! Selection of the next code, and exhaustion: the edge cases that the design decides.

use std::time::{Duration, Instant};

use promoflow::block::Bounds;
use promoflow::event::Event;
use promoflow::store::RunState;
use promoflow_tests::{CODE_THEN_MAIL, MAIL, PromoflowExt, TestApp, chaos, until};

#[test]
fn codes_are_claimed_by_expiry_then_upload_order_and_those_without_expiry_last() {
    let (_shop, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes(
        "code,expirationDate,discount,type\n\
         NEVER,,10,birthday\n\
         Z-JULY,2026-07-31,10,birthday\n\
         A-JULY,2026-07-31,10,birthday\n\
         OTHER-LANE,2026-06-02,20,birthday\n\
         OTHER-TYPE,2026-06-02,10,christmas\n\
         JUNE,2026-06-30,10,birthday\n",
    );
    promoflow.import_codes("code,expirationDate,discount,type\nB-JULY,2026-07-31,10,birthday\n");
    let running = promoflow.start().unwrap();
    let next = || promoflow.birthday(&running, "ann@example.com");
    for wanted in ["JUNE", "Z-JULY", "A-JULY", "B-JULY", "NEVER"] {
        assert_eq!(next().as_deref(), Some(wanted));
    }
    assert_eq!(next(), None);
}

#[test]
fn days_skip_codes_of_a_group_and_leave_them_for_other_claims() {
    let (_shop, promoflow) = TestApp::with_codes(0);
    promoflow.add_workflows(
        "
workflow: long
start: { event: long }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 30 }
    ports: { exhausted: end }
",
    );
    promoflow.import_codes(
        "code,expirationDate,discount,type\n\
         SOON-1,2026-06-10,10,birthday\n\
         SOON-2,2026-06-11,10,birthday\n\
         LATE-1,2026-08-01,10,birthday\n\
         LATE-2,2026-09-01,10,birthday\n",
    );
    let running = promoflow.start().unwrap();
    let next =
        |kind: &str| promoflow.code_of(promoflow.run_event(&running, kind, "ann@example.com"));
    assert_eq!(next("long").as_deref(), Some("LATE-1"));
    assert_eq!(next("birthday").as_deref(), Some("SOON-1"));
    assert_eq!(next("long").as_deref(), Some("LATE-2"));
    assert_eq!(next("long"), None);
    assert_eq!(next("birthday").as_deref(), Some("SOON-2"));
    assert_eq!(next("birthday"), None);
    promoflow.assert_audit();
}

#[test]
fn an_earlier_expiring_code_from_another_process_is_claimed_next() {
    // Of a file, one process executes.
    let (app, promoflow) = TestApp::with_codes_in_file(20);
    let running = promoflow.start().unwrap();
    let next = |from| promoflow.birthday(from, "ann@example.com");
    assert_eq!(next(&running).as_deref(), Some("C-0000"));
    let other = app.open();
    let waiting = other.start().unwrap();
    other.import_codes("code,expirationDate,discount,type\nSOON,2026-06-10,10,birthday\n");
    // The executor notices an event of another process after that process's upload.
    assert_eq!(next(&waiting).as_deref(), Some("SOON"));
    assert_eq!(next(&running).as_deref(), Some("C-0001"));
    other.import_codes("code,expirationDate\nC-0015,2026-06-11\n");
    assert_eq!(next(&waiting).as_deref(), Some("C-0015"));
    assert!(!waiting.is_executor());
    promoflow.assert_audit();
}

#[test]
fn a_claim_waits_while_the_last_code_is_only_staged() {
    let app = TestApp::new();
    // Longer than a single wait of a claim.
    let bounds = Bounds {
        time: Duration::from_secs(3),
        ..Bounds::default()
    };
    let promoflow = app.builder().bounds(bounds).open().unwrap();
    promoflow.add_messages(MAIL);
    promoflow.add_workflows(CODE_THEN_MAIL);
    promoflow.add_workflows(&chaos("spin", ", claims: 1"));
    promoflow.import_codes("code,discount,type\nLAST,10,birthday\n");
    let running = promoflow.start().unwrap();
    let began = Instant::now();
    let (sender, receiver) = std::sync::mpsc::channel();
    running.submit(Event::new("spin", "holder"), move |receipt| {
        sender.send(receipt.unwrap()).unwrap();
    });
    // Time to claim the code.
    std::thread::sleep(Duration::from_secs(1));
    let code = promoflow.birthday(&running, "ann@example.com");
    assert_eq!(
        code.as_deref(),
        Some("LAST"),
        "the claim was answered with `exhausted`"
    );
    assert!(
        began.elapsed() >= Duration::from_millis(2_900),
        "no claim waited"
    );
    let holder = receiver.recv().unwrap().runs[0];
    assert_eq!(promoflow.run_of(holder).0.state, RunState::Running);
    promoflow.assert_audit();
}

#[test]
fn a_claim_waiting_for_a_staged_code_is_exhausted_once_it_commits() {
    let (app, promoflow) = TestApp::with_codes(1);
    let running = promoflow.start().unwrap();
    // The first commit takes a while; meanwhile the second run claims.
    app.clock
        .before_commit(|| std::thread::sleep(Duration::from_millis(300)));
    let event = |address: &str| {
        Event::new("birthday", address).with_param("EmailAddress", address.to_owned())
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    running.submit(event("ann@example.com"), move |receipt| {
        sender.send(receipt.unwrap()).unwrap();
    });
    until(|| app.clock.pending_hooks() == 0);
    let second = running.send(event("ben@example.com")).unwrap();
    let first = receiver.recv().unwrap();
    assert_eq!(promoflow.code_of(first.runs[0]).as_deref(), Some("C-0000"));
    assert_eq!(promoflow.code_of(second.runs[0]), None);
    let (row, steps) = promoflow.run_of(second.runs[0]);
    assert_eq!(row.state, RunState::Completed);
    assert_eq!(steps[0].port.as_deref(), Some("exhausted"));
}

#[test]
fn an_upload_between_claim_and_commit_prevents_exhausted() {
    let (app, promoflow) = TestApp::with_codes(0);
    let running = promoflow.start().unwrap();
    assert_eq!(promoflow.birthday(&running, "ann@example.com"), None);
    let other = app.open();
    app.clock.before_commit(move || {
        other.import_codes("code,discount,type\nJUST-IN-TIME,10,birthday\n");
    });
    assert_eq!(
        promoflow.birthday(&running, "ben@example.com").as_deref(),
        Some("JUST-IN-TIME")
    );
    assert_eq!(app.clock.pending_hooks(), 0);
    promoflow.assert_audit();
}
