//! A failure stays isolated: of a workflow, a run, a panic, or an alias of the database path.

use std::thread;
use std::time::{Duration, Instant};

use promoflow::event::Event;
use promoflow::store::RunState;
use promoflow_tests::{Letters, MAIL, Shop, Teach, until};

/// Another workflow of the same event, with a block that the main job does not use.
const BESIDE: &str = "
workflow: beside
start: { event: birthday }
steps:
  - id: bad
    block: mischief
    with: { do: aside, type: birthday, discount: 10 }
    ports: { aside: end }
";

#[test]
fn a_broken_workflow_delays_no_other_and_its_runs_continue_once_it_is_repaired() {
    let (shop, promoflow) = Shop::with_codes(1);
    promoflow.workflows_of(BESIDE);
    drop(promoflow);
    let sql = shop.sql();
    let damage = "UPDATE block SET bytes = CAST(substr(bytes, 9) || substr(bytes, 1, 8) AS BLOB)
                  WHERE description LIKE '%\"mischief\"%'";
    assert_eq!(sql.execute(damage, []).unwrap(), 1);
    let promoflow = shop.open();
    let running = promoflow.start().unwrap();
    let ann = Event::new("birthday", "ann").with_param("EmailAddress", "ann@example.com");
    let receipt = running.send(ann).unwrap();
    assert_eq!(receipt.runs.len(), 2);
    running.rest(&receipt.runs).unwrap();
    assert_eq!(shop.letters.texts(), ["C-0000"]);
    let rows = || receipt.runs.iter().map(|run| promoflow.run_of(*run).0);
    let broken: Vec<_> = rows().filter(|row| row.error.is_some()).collect();
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(broken[0].state, RunState::Running);
    let why = broken[0].error.as_deref().unwrap();
    assert!(why.contains("workflow `beside`: block `mischief`"), "{why}");

    let mend = "UPDATE block SET bytes =
                    CAST(substr(bytes, -8) || substr(bytes, 1, length(bytes) - 8) AS BLOB)
                WHERE description LIKE '%\"mischief\"%'";
    assert_eq!(sql.execute(mend, []).unwrap(), 1);
    shop.clock.advance(60_000);
    running.rest(&receipt.runs).unwrap();
    assert!(rows().all(|row| row.state == RunState::Completed));
}

#[test]
fn p4_a_panic_during_a_run_releases_its_code_and_the_run_is_retried() {
    let (shop, promoflow) = Shop::with_codes(1);
    let running = promoflow.start().unwrap();
    shop.clock.panic_here();
    let run = promoflow.one(&running, "birthday", "ann@example.com");
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Running);
    assert!(row.error.unwrap().contains("panicked"));
    assert_eq!(promoflow.free(), ["C-0000"]);
    shop.clock.advance(60_000);
    running.rest(&[run]).unwrap();
    assert_eq!(promoflow.code_of(run).as_deref(), Some("C-0000"));
    promoflow.audited();
}

#[test]
fn p4_a_panic_within_a_commit_claims_nothing_and_the_next_commit_succeeds() {
    let (shop, promoflow) = Shop::with_codes(1);
    let running = promoflow.start().unwrap();
    let clock = shop.clock.clone();
    shop.clock.before_commit(move || clock.panic_here());
    let ann = Event::new("birthday", "ann").with_param("EmailAddress", "ann@example.com");
    assert!(running.send(ann).is_err());
    assert_eq!(
        promoflow.birthday(&running, "ben@example.com").as_deref(),
        Some("C-0000")
    );
    promoflow.audited();
}

#[test]
fn a_panicking_callback_delays_no_other_event() {
    let (_shop, promoflow) = Shop::with_codes(20);
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
    let (shop, promoflow) = Shop::with_codes(1);
    promoflow.workflows_of(
        "
workflow: sleeps
start: { event: sleeps }
steps:
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { aside: end }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.one(&running, "sleeps", "ann@example.com");
    let sql = shop.sql();
    sql.execute_batch(
        "CREATE TRIGGER bad BEFORE UPDATE ON run BEGIN SELECT raise(ABORT, 'an error'); END",
    )
    .unwrap();
    shop.clock.set("2026-06-03T00:00:00Z");
    let (before, began, mut sent) = (shop.clock.commits(), Instant::now(), 0);
    // Each commit wakes the poller.
    while began.elapsed() < Duration::from_millis(2_500) {
        running.send(Event::new("unheard", "ben")).unwrap();
        sent += 1;
        thread::sleep(Duration::from_millis(20));
    }
    let tried = shop.clock.commits() - before - sent;
    assert!((1..=4).contains(&tried), "{tried} times in 2.5 seconds");
    sql.execute_batch("DROP TRIGGER bad").unwrap();
    until(|| promoflow.run_of(run).0.state == RunState::Completed);
}

#[cfg(unix)]
#[test]
fn p1_two_paths_of_one_database_share_one_executor() {
    let (shop, promoflow) = Shop::with_codes(1);
    let running = promoflow.start().unwrap();
    assert!(running.executes());
    let link = shop.beside("link.db");
    std::os::unix::fs::symlink(shop.database(), &link).unwrap();
    let other = shop.builder_at(&link, &Letters::default()).open().unwrap();
    other.messages_of(MAIL);
    let beside = other.start().unwrap();
    thread::sleep(Duration::from_millis(50));
    assert!(!beside.executes());
    drop(running);
    until(|| beside.executes());
}
