//! P5: an event id is unique in a database, for ever.

use std::collections::{HashMap, HashSet};

use promoflow::event::Event;
use promoflow::run::{Receipt, SubmitError};
use promoflow::store::RunId;
use promoflow_tests::{Ack, CODE_THEN_MAIL, Helper, PromoflowExt, TestApp, ids};

use crate::HELPER;

fn event(id: &str) -> Event {
    Event::new("birthday", "ann@example.com")
        .with_id(id)
        .with_param("EmailAddress", "ann@example.com")
        .with_param("n", 7)
}

#[test]
fn p5_a_repeated_event_is_a_duplicate_with_the_same_runs_even_after_a_restart() {
    let (app, promoflow) = TestApp::with_codes(3);
    let running = promoflow.start().unwrap();
    let first = running.send(event("e-1")).unwrap();
    assert!(!first.duplicate);
    // The order of parameters does not matter.
    let turned = Event::new("birthday", "ann@example.com")
        .with_id("e-1")
        .with_param("n", 7)
        .with_param("EmailAddress", "ann@example.com");
    let second = running.send(turned).unwrap();
    assert!(second.duplicate);
    assert_eq!(second.runs, first.runs);
    drop(running);
    drop(promoflow);

    let promoflow = app.open();
    let running = promoflow.start().unwrap();
    let third = running.send(event("e-1")).unwrap();
    assert!(third.duplicate);
    assert_eq!(third.runs, first.runs);
    running.wait_all_idle().unwrap();
    drop(running);
    assert_eq!(promoflow.available_codes().len(), 2);
    assert_eq!(app.channel.sent().len(), 1);
    promoflow.assert_audit();
}

#[test]
fn p5_rejects_the_same_id_with_other_content() {
    let (_shop, promoflow) = TestApp::with_codes(3);
    let running = promoflow.start().unwrap();
    running.send(event("e-1")).unwrap();
    let others = [
        event("e-1").with_param("n", 8),
        event("e-1").with_param("n", "7"),
        event("e-1").with_param("more", true),
        Event {
            key: "ben@example.com".into(),
            ..event("e-1")
        },
        Event {
            event_type: "christmas".into(),
            ..event("e-1")
        },
    ];
    for other in others {
        let refused = running.send(other.clone()).unwrap_err();
        assert!(
            matches!(&refused, SubmitError::Conflict(id) if id == "e-1"),
            "{other:?}: {refused}"
        );
    }
    assert_eq!(promoflow.available_codes().len(), 2);
    promoflow.assert_audit();
}

#[test]
fn p5_events_without_an_id_are_separate() {
    let (_shop, promoflow) = TestApp::with_codes(3);
    let running = promoflow.start().unwrap();
    let nameless = Event {
        id: None,
        ..event("")
    };
    let receipts: Vec<Receipt> = (0..3)
        .map(|_| running.send(nameless.clone()).unwrap())
        .collect();
    assert!(receipts.iter().all(|receipt| !receipt.duplicate));
    let runs: HashSet<RunId> = ids(&receipts).into_iter().collect();
    assert_eq!(runs.len(), 3);
    assert!(promoflow.available_codes().is_empty());
}

#[test]
fn p5_threads_racing_with_one_id_start_one_run() {
    let (_shop, promoflow) = TestApp::with_codes(50);
    let running = promoflow.start().unwrap();
    for round in 0..10 {
        let send = || running.send(event(&format!("race-{round}"))).unwrap();
        let receipts: Vec<Receipt> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(send)).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        let new = receipts.iter().filter(|receipt| !receipt.duplicate).count();
        assert_eq!(new, 1);
        let runs: HashSet<RunId> = ids(&receipts).into_iter().collect();
        assert_eq!(runs.len(), 1);
    }
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.available_codes().len(), 40);
    promoflow.assert_audit();
}

#[test]
fn p5_processes_racing_with_the_same_ids_start_one_run_per_id() {
    let (app, promoflow) = TestApp::with_codes(50);
    let mut helpers: Vec<Helper> = (0..4)
        .map(|_| Helper::start(HELPER, &app, &["send", "same", "40"]))
        .collect();
    let acks: Vec<Ack> = helpers.iter_mut().flat_map(Helper::acks).collect();
    helpers.into_iter().for_each(Helper::end);
    assert_eq!(acks.len(), 160);
    assert_eq!(acks.iter().filter(|ack| !ack.duplicate).count(), 40);
    let mut runs: HashMap<String, Vec<RunId>> = HashMap::new();
    for ack in acks {
        let known = runs.entry(ack.event).or_insert_with(|| ack.runs.clone());
        assert_eq!(*known, ack.runs);
    }
    assert_eq!(runs.len(), 40);
    assert_eq!(promoflow.available_codes().len(), 10);
    promoflow.assert_audit();
}

#[test]
fn p5_an_event_without_a_listener_is_stored_and_starts_a_run_once_there_is_one() {
    let (app, promoflow) = TestApp::with_codes(1);
    let running = promoflow.start().unwrap();
    let send = |id: &str| {
        let (answer, answered) = std::sync::mpsc::channel();
        let event = Event::new("late", "ann@example.com")
            .with_id(id)
            .with_param("EmailAddress", "ann@example.com");
        running.submit(event, move |receipt| answer.send(receipt).unwrap());
        answered.recv().unwrap().unwrap()
    };
    let first = send("e-1");
    assert_eq!((first.duplicate, first.runs.len()), (false, 0));
    assert!(send("e-1").duplicate);
    // Another process applies a workflow that this process does not know yet.
    let other = app.builder().delivers(false).open().unwrap();
    other.add_workflows(&CODE_THEN_MAIL.replace("birthday }", "late }"));
    let second = send("e-2");
    assert_eq!(second.runs.len(), 1);
    running.wait_idle(&second.runs).unwrap();
    assert_eq!(promoflow.code_of(second.runs[0]).as_deref(), Some("C-0000"));
    // Earlier events are not processed again.
    assert!(send("e-1").duplicate);
    promoflow.assert_audit();
}
