//! P1: a promo code has at most one unreleased claim, ever.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use promoflow::Promoflow;
use promoflow::event::Event;
use promoflow::run::Receipt;
use promoflow::store::RunState;
use promoflow_tests::{Ack, CODE_THEN_MAIL, FileChannel, Helper, PromoflowExt, TestApp, ids};

use crate::HELPER;

/// Asserts that each code went to at most one run, and that no code is left if a run got none.
fn assert_each_code_once(promoflow: &Promoflow, runs: usize, codes: usize) {
    let rows = promoflow.runs(None, usize::MAX).unwrap();
    assert_eq!(rows.len(), runs);
    let mut got = HashSet::new();
    let mut without = 0;
    for row in &rows {
        assert_eq!(row.state, RunState::Completed, "{row:?}");
        match promoflow.code_of(row.id) {
            Some(code) => assert!(got.insert(code.clone()), "{code} went to two runs"),
            None => without += 1,
        }
    }
    assert_eq!(got.len(), codes.min(runs));
    assert_eq!(without, runs.saturating_sub(codes));
    for code in promoflow.all_codes() {
        assert_eq!(code.in_use, got.contains(&code.code), "{code:?}");
        assert_eq!(code.used_by.is_some(), code.in_use, "{code:?}");
    }
    promoflow.assert_audit();
}

#[test]
fn p1_eight_threads_get_each_code_once_and_exhausted_exactly_for_the_rest() {
    let (app, promoflow) = TestApp::with_codes(50);
    let running = promoflow.start().unwrap();
    let send_forty = |thread: usize| -> Vec<Receipt> {
        let send = |number| {
            let address = format!("t{thread}-{number}@example.com");
            let event = Event::new("birthday", &address).with_param("EmailAddress", address);
            running.send(event).unwrap()
        };
        (0..40).map(send).collect()
    };
    let receipts: Vec<Receipt> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| scope.spawn(move || send_forty(thread)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.flatten().collect()
    });
    running.wait_idle(&ids(&receipts)).unwrap();
    drop(running);

    assert_each_code_once(&promoflow, 320, 50);
    let texts: HashSet<String> = app.channel.texts().into_iter().collect();
    assert_eq!(texts.len(), 50);
    assert_eq!(app.channel.sent().len(), 50);
}

/// Asserts that no code is in messages of two deliveries, and that every code in a message is
/// claimed.
fn assert_messages_are_claimed(promoflow: &Promoflow, messages: &FileChannel, count: usize) {
    let sent = messages.sent();
    let codes: HashSet<String> = sent.iter().map(|message| message.text.clone()).collect();
    let deliveries: HashSet<&String> = sent.iter().map(|message| &message.id).collect();
    assert_eq!((codes.len(), deliveries.len()), (count, count));
    for message in &sent {
        let (code, _) = promoflow.code(&message.text).unwrap().unwrap();
        assert_eq!(code.used_by.unwrap().contact, message.address);
    }
}

#[test]
fn p1_eight_processes_on_one_database_get_each_code_once() {
    let (app, promoflow) = TestApp::with_codes(50);
    let messages = app.helper_messages();
    let mut helpers: Vec<Helper> = (0..8)
        .map(|number| {
            let prefix = format!("p{number}");
            Helper::start(HELPER, &app, &["send", &prefix, "30"])
        })
        .collect();
    for helper in &mut helpers {
        let acks = helper.acks();
        assert_eq!(acks.len(), 30);
        assert!(acks.iter().all(|ack| !ack.duplicate && ack.runs.len() == 1));
    }
    helpers.into_iter().for_each(Helper::end);

    assert_each_code_once(&promoflow, 240, 50);
    assert_messages_are_claimed(&promoflow, &messages, 50);
    assert_eq!(messages.sent().len(), 50, "a message left twice");
}

#[test]
fn p1_after_a_kill_of_the_executor_others_take_over_without_losses_or_duplicates() {
    let (app, promoflow) = TestApp::with_codes(300);
    let messages = app.helper_messages();
    let start = |prefix: &str| Helper::start(HELPER, &app, &["send", prefix, "150"]);
    let mut executor = start("first");
    let mut acks: Vec<Ack> = (0..5).map(|_| executor.ack().unwrap()).collect();
    let mut others = [start("second"), start("third")];
    for other in &mut others {
        acks.push(other.ack().unwrap());
    }
    acks.extend(executor.kill());
    for mut other in others {
        acks.extend(other.acks());
        other.end();
    }
    // Whatever the killed process left is completed by its successors.
    let mut last = Helper::start(HELPER, &app, &["work"]);
    last.expect("working");
    last.end();

    let runs: HashSet<_> = acks.iter().flat_map(|ack| &ack.runs).collect();
    assert_eq!(
        runs.len(),
        acks.len(),
        "each acknowledged event has its run"
    );
    let stored = promoflow.runs(None, usize::MAX).unwrap();
    assert!(
        runs.iter()
            .all(|run| stored.iter().any(|row| row.id == **run))
    );
    assert_each_code_once(&promoflow, stored.len(), 300);
    assert_messages_are_claimed(&promoflow, &messages, stored.len().min(300));
}

#[test]
fn p1_a_process_releases_the_executor_lock_only_after_its_last_delivery() {
    let (app, promoflow) = TestApp::with_codes(1);
    let running = promoflow.start().unwrap();
    let heir = app.open();
    let waiting = heir.start().unwrap();
    let (begun, delivery) = std::sync::mpsc::channel();
    app.channel.on_delivery(move |_| {
        begun.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    });
    let event = Event::new("birthday", "ann@example.com");
    let event = event.with_param("EmailAddress", "ann@example.com");
    running.send(event).unwrap();
    delivery.recv().unwrap();
    // In the middle of a delivery.
    drop(running);
    waiting.wait_all_idle().unwrap();
    drop(waiting);
    assert_eq!(app.channel.sent().len(), 1, "the message left twice");
}

#[test]
fn p1_workflows_of_one_event_share_the_last_codes() {
    let (_shop, promoflow) = TestApp::with_codes(5);
    for name in ["second", "third"] {
        let twin = CODE_THEN_MAIL.replace("workflow: birthday", &format!("workflow: {name}"));
        promoflow.add_workflows(&twin);
    }
    let running = promoflow.start().unwrap();
    let mut got = Vec::new();
    let began = Instant::now();
    for address in ["ann@example.com", "ben@example.com", "eva@example.com"] {
        let event = Event::new("birthday", address).with_param("EmailAddress", address);
        let receipt = running.send(event).unwrap();
        assert_eq!(receipt.runs.len(), 3);
        running.wait_idle(&receipt.runs).unwrap();
        let codes = receipt.runs.iter().map(|run| promoflow.code_of(*run));
        got.push(codes.flatten().count());
    }
    assert_eq!(got, [3, 2, 0]);
    assert!(promoflow.available_codes().is_empty());
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "a run waited for a code of its own event"
    );
    promoflow.assert_audit();
}
