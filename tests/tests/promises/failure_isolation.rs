//! A failure stays isolated: of a workflow, a run, a panic, or an alias of the database path.

use std::thread;
use std::time::{Duration, Instant};

use promoflow::event::Event;
use promoflow::store::RunState;
use promoflow_test_support::Change;
use promoflow_tests::{MAIL, PromoflowExt, RecordingChannel, TestApp, until};

/// Another workflow of the same event, with a block that the main job does not use.
const SECOND_WORKFLOW: &str = "
workflow: beside
start: { event: birthday }
steps:
  - id: bad
    block: mischief
    with: { do: other, type: birthday, discount: 10 }
    ports: { other: end }
";

#[test]
fn a_broken_workflow_delays_no_other_and_its_runs_continue_once_it_is_repaired() {
    let (app, promoflow) = TestApp::with_codes(1);
    promoflow.add_workflows(SECOND_WORKFLOW);
    drop(promoflow);
    let database = app.inspect();
    let mischief = "SELECT component FROM block WHERE description LIKE '%\"mischief\"%'";
    let component: Vec<u8> = database.row(mischief, &[]).unwrap();
    let store = |component: Vec<u8>| {
        let sql = "UPDATE block SET component = $1 WHERE description LIKE '%\"mischief\"%'";
        assert_eq!(database.execute(sql, &[component.into()]), Ok(1));
    };
    let mut damaged = component.clone();
    damaged.rotate_left(8);
    store(damaged);
    let promoflow = app.open();
    let running = promoflow.start().unwrap();
    let ann = Event::new("birthday", "ann").with_param("EmailAddress", "ann@example.com");
    let receipt = running.send(ann).unwrap();
    assert_eq!(receipt.runs.len(), 2);
    running.wait_idle(&receipt.runs).unwrap();
    assert_eq!(app.channel.texts(), ["C-0000"]);
    let rows = || receipt.runs.iter().map(|run| promoflow.run_of(*run).0);
    let broken: Vec<_> = rows().filter(|row| row.error.is_some()).collect();
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(broken[0].state, RunState::Running);
    let why = broken[0].error.as_deref().unwrap();
    assert!(why.contains("workflow `beside`: block `mischief`"), "{why}");

    store(component);
    app.clock.advance(60_000);
    running.wait_idle(&receipt.runs).unwrap();
    assert!(rows().all(|row| row.state == RunState::Completed));
}

#[test]
fn p4_a_panic_during_a_run_releases_its_code_and_the_run_is_retried() {
    let (app, promoflow) = TestApp::with_codes(1);
    let running = promoflow.start().unwrap();
    app.clock.panic_on_next_call();
    let run = promoflow.run_event(&running, "birthday", "ann@example.com");
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Running);
    assert!(row.error.unwrap().contains("panicked"));
    assert_eq!(promoflow.available_codes(), ["C-0000"]);
    app.clock.advance(60_000);
    running.wait_idle(&[run]).unwrap();
    assert_eq!(promoflow.code_of(run).as_deref(), Some("C-0000"));
    promoflow.assert_audit();
}

#[test]
fn p4_a_panic_within_a_commit_claims_nothing_and_the_next_commit_succeeds() {
    let (app, promoflow) = TestApp::with_codes(1);
    let running = promoflow.start().unwrap();
    let clock = app.clock.clone();
    app.clock.before_commit(move || clock.panic_on_next_call());
    let ann = Event::new("birthday", "ann").with_param("EmailAddress", "ann@example.com");
    assert!(running.send(ann).is_err());
    assert_eq!(
        promoflow.birthday(&running, "ben@example.com").as_deref(),
        Some("C-0000")
    );
    promoflow.assert_audit();
}

#[test]
fn a_panicking_callback_delays_no_other_event() {
    let (_shop, promoflow) = TestApp::with_codes(20);
    let running = promoflow.start().unwrap();
    for number in 0..12 {
        let address = format!("a{number}@example.com");
        let event = Event::new("birthday", &address).with_param("EmailAddress", &*address);
        running.submit(event, |_| panic!("a panicking callback"));
    }
    thread::scope(|scope| {
        let event = scope.spawn(|| promoflow.birthday(&running, "ben@example.com"));
        until(|| event.is_finished());
        assert!(event.join().unwrap().is_some());
    });
}

#[test]
fn a_run_that_cannot_be_committed_is_retried_with_back_off() {
    let (app, promoflow) = TestApp::with_codes(1);
    promoflow.add_workflows(
        "
workflow: sleeps
start: { event: sleeps }
steps:
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "sleeps", "ann@example.com");
    let database = app.inspect();
    database.reject(Change::Update, "run", "TRUE").unwrap();
    app.clock.set("2026-06-03T00:00:00Z");
    let (before, began, mut sent) = (app.clock.commits(), Instant::now(), 0);
    // Each commit wakes the poller.
    while began.elapsed() < Duration::from_millis(2_500) {
        running.send(Event::new("unheard", "ben")).unwrap();
        sent += 1;
        thread::sleep(Duration::from_millis(20));
    }
    let tried = app.clock.commits() - before - sent;
    assert!((1..=4).contains(&tried), "{tried} times in 2.5 seconds");
    database.accept(Change::Update, "run").unwrap();
    until(|| promoflow.run_of(run).0.state == RunState::Completed);
}

#[cfg(unix)]
#[test]
fn p1_two_paths_of_one_file_share_one_executor() {
    let (app, promoflow) = TestApp::with_codes_in_file(1);
    let running = promoflow.start().unwrap();
    assert!(running.is_executor());
    let link = app.sibling("link.db");
    std::os::unix::fs::symlink(app.database().file(), &link).unwrap();
    let other = app
        .builder_at(&link, &RecordingChannel::default())
        .open()
        .unwrap();
    other.add_messages(MAIL);
    let second = other.start().unwrap();
    thread::sleep(Duration::from_millis(50));
    assert!(!second.is_executor());
    drop(running);
    until(|| second.is_executor());
}
