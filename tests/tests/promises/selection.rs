//! Selection of the next code, and exhaustion: the edge cases that the design decides.

use std::time::{Duration, Instant};

use promoflow::block::Bounds;
use promoflow::event::Event;
use promoflow::store::RunState;
use promoflow_tests::{CODE_THEN_MAIL, MAIL, Shop, Teach, mischief};

/// Sleeps long enough for the executor to notice another process's commit.
fn let_it_look() {
    std::thread::sleep(Duration::from_millis(200));
}

#[test]
fn codes_are_claimed_by_expiry_then_upload_order_and_those_without_expiry_last() {
    let (_shop, promoflow) = Shop::with_codes(0);
    promoflow.codes_of(
        "code,expirationDate,discount,type\n\
         NEVER,,10,birthday\n\
         Z-JULY,2026-07-31,10,birthday\n\
         A-JULY,2026-07-31,10,birthday\n\
         OTHER-LANE,2026-06-02,20,birthday\n\
         OTHER-TYPE,2026-06-02,10,christmas\n\
         JUNE,2026-06-30,10,birthday\n",
    );
    promoflow.codes_of("code,expirationDate,discount,type\nB-JULY,2026-07-31,10,birthday\n");
    let running = promoflow.start().unwrap();
    let next = || promoflow.birthday(&running, "ann@example.com");
    for wanted in ["JUNE", "Z-JULY", "A-JULY", "B-JULY", "NEVER"] {
        assert_eq!(next().as_deref(), Some(wanted));
    }
    assert_eq!(next(), None);
}

#[test]
fn days_skip_codes_of_a_group_and_leave_them_for_other_claims() {
    let (_shop, promoflow) = Shop::with_codes(0);
    promoflow.workflows_of(
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
    promoflow.codes_of(
        "code,expirationDate,discount,type\n\
         SOON-1,2026-06-10,10,birthday\n\
         SOON-2,2026-06-11,10,birthday\n\
         LATE-1,2026-08-01,10,birthday\n\
         LATE-2,2026-09-01,10,birthday\n",
    );
    let running = promoflow.start().unwrap();
    let next = |kind: &str| promoflow.code_of(promoflow.one(&running, kind, "ann@example.com"));
    assert_eq!(next("long").as_deref(), Some("LATE-1"));
    assert_eq!(next("birthday").as_deref(), Some("SOON-1"));
    assert_eq!(next("long").as_deref(), Some("LATE-2"));
    assert_eq!(next("long"), None);
    assert_eq!(next("birthday").as_deref(), Some("SOON-2"));
    assert_eq!(next("birthday"), None);
    promoflow.audited();
}

#[test]
fn an_earlier_expiring_code_from_another_process_is_claimed_next() {
    let (shop, promoflow) = Shop::with_codes(20);
    let running = promoflow.start().unwrap();
    let next = || promoflow.birthday(&running, "ann@example.com");
    assert_eq!(next().as_deref(), Some("C-0000"));
    let other = shop.open();
    other.codes_of("code,expirationDate,discount,type\nSOON,2026-06-10,10,birthday\n");
    let_it_look();
    assert_eq!(next().as_deref(), Some("SOON"));
    assert_eq!(next().as_deref(), Some("C-0001"));
    other.codes_of("code,expirationDate\nC-0015,2026-06-11\n");
    let_it_look();
    assert_eq!(next().as_deref(), Some("C-0015"));
    promoflow.audited();
}

#[test]
fn a_claim_waits_while_the_last_code_is_only_staged() {
    let shop = Shop::new();
    // Longer than a single wait of a claim.
    let bounds = Bounds {
        time: Duration::from_millis(1_500),
        ..Bounds::default()
    };
    let promoflow = shop.builder().bounds(bounds).open().unwrap();
    promoflow.messages_of(MAIL);
    promoflow.workflows_of(CODE_THEN_MAIL);
    promoflow.workflows_of(&mischief("spin", ", claims: 1"));
    promoflow.codes_of("code,discount,type\nLAST,10,birthday\n");
    let running = promoflow.start().unwrap();
    let began = Instant::now();
    let (told, answered) = std::sync::mpsc::channel();
    running.submit(Event::new("spin", "holder"), move |receipt| {
        told.send(receipt.unwrap()).unwrap();
    });
    std::thread::sleep(Duration::from_millis(200));
    let code = promoflow.birthday(&running, "ann@example.com");
    assert_eq!(
        code.as_deref(),
        Some("LAST"),
        "the claim was answered with `exhausted`"
    );
    assert!(
        began.elapsed() >= Duration::from_millis(1_400),
        "no claim waited"
    );
    let holder = answered.recv().unwrap().runs[0];
    assert_eq!(promoflow.run_of(holder).0.state, RunState::Running);
    promoflow.audited();
}

#[test]
fn a_claim_waiting_for_a_staged_code_is_exhausted_once_it_commits() {
    let (shop, promoflow) = Shop::with_codes(1);
    let running = promoflow.start().unwrap();
    // The first commit takes a while; meanwhile the second run claims.
    shop.clock
        .before_commit(|| std::thread::sleep(Duration::from_millis(300)));
    let event = |address: &str| {
        Event::new("birthday", address).with_param("EmailAddress", address.to_owned())
    };
    let (told, answered) = std::sync::mpsc::channel();
    running.submit(event("ann@example.com"), move |receipt| {
        told.send(receipt.unwrap()).unwrap();
    });
    std::thread::sleep(Duration::from_millis(50));
    let second = running.send(event("ben@example.com")).unwrap();
    let first = answered.recv().unwrap();
    assert_eq!(promoflow.code_of(first.runs[0]).as_deref(), Some("C-0000"));
    assert_eq!(promoflow.code_of(second.runs[0]), None);
    let (row, steps) = promoflow.run_of(second.runs[0]);
    assert_eq!(row.state, RunState::Completed);
    assert_eq!(steps[0].port.as_deref(), Some("exhausted"));
}

#[test]
fn an_upload_between_claim_and_commit_prevents_exhausted() {
    let (shop, promoflow) = Shop::with_codes(0);
    let running = promoflow.start().unwrap();
    assert_eq!(promoflow.birthday(&running, "ann@example.com"), None);
    let other = shop.open();
    shop.clock.before_commit(move || {
        other.codes_of("code,discount,type\nJUST-IN-TIME,10,birthday\n");
    });
    assert_eq!(
        promoflow.birthday(&running, "ben@example.com").as_deref(),
        Some("JUST-IN-TIME")
    );
    assert_eq!(shop.clock.commits_to_come(), 0);
    promoflow.audited();
}
