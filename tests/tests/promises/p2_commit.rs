//! P2: a committed step is never done again; an uncommitted segment is discarded as a whole.

use promoflow::event::Event;
use promoflow::store::RunState;
use promoflow_tests::{Helper, PromoflowExt, TestApp, chaos, until};

use crate::HELPER;

/// Returns the row counts of what a segment may commit besides the run: claims, deliveries,
/// journal.
fn effects(app: &TestApp) -> (i64, i64, i64) {
    let database = app.inspect();
    let count = |table: &str| database.count(table).unwrap();
    (count("claim"), count("delivery"), count("journal"))
}

/// Returns the stored state of a run before its retry: attempt, due time, and data.
fn attempt(app: &TestApp) -> (i64, Option<i64>, Option<String>) {
    let sql = "SELECT attempt, due_at, data FROM run ORDER BY id DESC LIMIT 1";
    app.inspect().row(sql, &[]).unwrap()
}

#[test]
fn p2_a_trap_after_a_claim_leaves_the_pool_unchanged_and_is_retried_three_times() {
    let (app, promoflow) = TestApp::with_codes(3);
    promoflow.add_workflows(&chaos("claim-then-trap", ""));
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "claim-then-trap", "ann@example.com");
    for tries in 1..=2 {
        let (row, steps) = promoflow.run_of(run);
        assert_eq!(row.state, RunState::Running);
        assert!(steps.is_empty(), "{steps:?}");
        let (attempts, due, data) = attempt(&app);
        assert_eq!((attempts, data), (tries, None));
        assert!(due.is_some());
        assert_eq!(promoflow.available_codes().len(), 3);
        assert_eq!(effects(&app), (0, 0, 0));
        app.clock.advance(60_000);
        running.wait_idle(&[run]).unwrap();
    }
    let (row, steps) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Failed);
    assert!(row.error.unwrap().contains("step `bad`"));
    assert_eq!(steps.len(), 1);
    assert!(steps[0].error.is_some());
    assert_eq!(effects(&app), (0, 0, 1));
    assert_eq!(
        promoflow.birthday(&running, "ben@example.com").as_deref(),
        Some("C-0000")
    );
    promoflow.assert_audit();
}

#[test]
fn p2_unavailable_is_retried_with_only_attempt_and_due_committed() {
    let (app, promoflow) = TestApp::with_codes(3);
    promoflow.add_workflows(&chaos("unavailable", ", claims: 2"));
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "unavailable", "ann@example.com");
    let (_, before, _) = attempt(&app);
    assert_eq!(effects(&app), (0, 0, 0));
    assert_eq!(promoflow.available_codes().len(), 3);
    // Not before it is due.
    running.wait_idle(&[run]).unwrap();
    assert_eq!(attempt(&app).0, 1);
    app.clock.advance(3_600_000);
    running.wait_idle(&[run]).unwrap();
    let (attempts, due, data) = attempt(&app);
    assert_eq!((attempts, data), (2, None));
    assert!(due > before);
    assert_eq!(effects(&app), (0, 0, 0));
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Running);
    promoflow.assert_audit();
}

#[test]
fn p2_a_permanently_failed_segment_commits_its_error_and_no_effects() {
    let (app, promoflow) = TestApp::with_codes(3);
    // The code is claimed and the message staged before the last step fails.
    promoflow.add_workflows(
        "
workflow: late-no
start: { event: late-no }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
  - id: bad
    block: mischief
    with: { do: rejected }
    ports: { other: end }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "late-no", "ann@example.com");
    let (row, steps) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Failed);
    assert_eq!(
        row.error.as_deref(),
        Some("step `bad` (mischief): as requested")
    );
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[0].port.as_deref(), Some("next"));
    assert_eq!(effects(&app), (0, 0, 1));
    assert_eq!(promoflow.available_codes().len(), 3);
    assert!(app.channel.sent().is_empty());
    promoflow.assert_audit();
}

#[test]
fn p2_an_earlier_segment_is_not_executed_again() {
    let (app, promoflow) = TestApp::with_codes(3);
    promoflow.add_workflows(
        "
workflow: pause
start: { event: pause }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
  - id: again
    block: mischief
    with: { do: unavailable }
    ports: { other: end }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "pause", "ann@example.com");
    assert_eq!(promoflow.run_of(run).0.state, RunState::Waiting);
    assert_eq!(promoflow.code_of(run).as_deref(), Some("C-0000"));
    assert_eq!(effects(&app), (1, 0, 1));
    drop(running);
    drop(promoflow);

    // Another process start; the second segment is tried a few times.
    let promoflow = app.open();
    let running = promoflow.start().unwrap();
    for day in 3..6 {
        app.clock.set(&format!("2026-06-0{day}T12:00:00Z"));
        running.wait_idle(&[run]).unwrap();
    }
    assert_eq!(promoflow.run_of(run).0.state, RunState::Running);
    assert_eq!(attempt(&app).0, 3);
    assert_eq!(effects(&app), (1, 0, 1));
    assert_eq!(promoflow.code_of(run).as_deref(), Some("C-0000"));
    promoflow.assert_audit();
}

#[test]
fn p2_a_kill_between_acceptance_and_commit_gives_the_run_one_code() {
    // Of a file, one process executes, so that the other one only accepts.
    let (app, promoflow) = TestApp::with_codes_in_file(10);
    // This process holds the executor lock, executes nothing, and is stopped in a commit.
    let running = promoflow.start().unwrap();
    let (held, wait) = std::sync::mpsc::channel::<()>();
    app.clock.before_commit(move || {
        // Ends after the sender was killed.
        let _dead = wait.recv();
    });
    // The first event here keeps the committer in that commit.
    running.submit(Event::new("nothing", "nobody"), |_| ());
    until(|| app.clock.pending_hooks() == 0);
    let mut sender = Helper::start(HELPER, &app, &["send", "orphan", "4"]);
    let acks: Vec<_> = (0..4).map(|_| sender.ack().unwrap()).collect();
    assert!(sender.kill().is_empty());
    let pending: Vec<_> = acks.iter().flat_map(|ack| ack.runs.clone()).collect();
    for run in &pending {
        assert_eq!(promoflow.run_of(*run).0.state, RunState::Running);
    }
    assert_eq!(effects(&app), (0, 0, 0));
    drop(held);
    // The killed process used the machine's clock.
    app.clock.set("2998-01-01T00:00:00Z");
    running.wait_all_idle().unwrap();

    assert_eq!(effects(&app), (4, 4, 4));
    let receipt = running
        .send(
            Event::new("birthday", "orphan-0@example.com")
                .with_id("orphan-0")
                .with_param("EmailAddress", "orphan-0@example.com"),
        )
        .unwrap();
    assert!(receipt.duplicate);
    assert_eq!(effects(&app), (4, 4, 4));
    promoflow.assert_audit();
}
