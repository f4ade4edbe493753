//! P2: a manual retry of a run does nothing twice.

use promoflow::store::{Action, ActionResult, DeliveryId, DeliveryState, RunState};
use promoflow_tests::{PromoflowExt, TestApp, chaos};

const DONE: ActionResult = ActionResult::Done {
    released: 0,
    cancelled_deliveries: 0,
};

/// Claims a code, waits until 2026-06-02, and claims one of another type, which fails if none is
/// available.
const TWO_CODES: &str = "
workflow: two
start: { event: two }
steps:
  - id: first
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
  - id: second
    block: get-promocode
    with: { type: late, discount: 10, days: 0, as: second, when-empty: fail }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
";

#[test]
fn p2_a_retried_run_keeps_its_commits_and_continues_where_it_failed() {
    let (app, promoflow) = TestApp::with_codes(3);
    promoflow.add_workflows(TWO_CODES);
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "two", "ann@example.com");
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.waiting_for().as_deref(), Some("a point in time"));
    assert_eq!(row.waiting_until().unwrap().0, 1_780_401_600_000);
    let refused = promoflow.apply_run_action(run, Action::Retry).unwrap();
    assert!(
        matches!(refused, ActionResult::Rejected(_)),
        "the run waits, but the retry was accepted"
    );
    app.clock.set("2026-06-03T12:00:00Z");
    running.wait_idle(&[run]).unwrap();
    for _ in 0..2 {
        let (row, _) = promoflow.run_of(run);
        assert_eq!(row.state, RunState::Failed, "{row:?}");
        assert_eq!(
            promoflow.apply_run_action(run, Action::Retry).unwrap(),
            DONE
        );
        running.wait_idle(&[run]).unwrap();
        promoflow.assert_audit();
    }
    promoflow.import_codes("code,expirationDate,discount,type\nL-1,2999-12-31,10,late\n");
    assert_eq!(
        promoflow.apply_run_action(run, Action::Retry).unwrap(),
        DONE
    );
    running.wait_idle(&[run]).unwrap();

    let (row, steps) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Completed, "{row:?}");
    assert_eq!(row.error, None);
    let steps: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(
        steps,
        [
            "first", "sleep", "second", "second", "second", "second", "mail"
        ]
    );
    assert_eq!(promoflow.available_codes(), ["C-0001", "C-0002"]);
    assert_eq!(app.channel.texts(), ["C-0000"]);
    promoflow.assert_audit();
}

#[test]
fn p2_a_manual_retry_starts_the_next_attempt_at_once() {
    let (app, promoflow) = TestApp::with_codes(3);
    promoflow.add_workflows(&chaos("unavailable", ", claims: 2"));
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "unavailable", "ann@example.com");
    let attempts = || -> i64 {
        let sql = "SELECT attempt FROM run";
        app.inspect().row(sql, &[]).unwrap()
    };
    assert_eq!(attempts(), 1);
    let (row, _) = promoflow.run_of(run);
    let retry_state = row.retry_state.clone().unwrap();
    assert_eq!(
        (retry_state.step.as_str(), retry_state.attempts),
        ("bad", 1)
    );
    assert!(row.due.unwrap() > promoflow.now(), "{row:?}");
    assert_eq!(
        promoflow.apply_run_action(run, Action::Retry).unwrap(),
        DONE
    );
    running.wait_idle(&[run]).unwrap();
    assert_eq!(attempts(), 2);
    // Cancelled while it waits for the next attempt: there is none.
    assert_eq!(
        promoflow.apply_run_action(run, Action::Cancel).unwrap(),
        DONE
    );
    app.clock.advance(86_400_000);
    running.wait_all_idle().unwrap();
    assert_eq!(attempts(), 2);
    assert_eq!(promoflow.available_codes().len(), 3);
    promoflow.assert_audit();
}

#[test]
fn p2_a_retried_run_gets_all_of_its_attempts_again() {
    let (app, promoflow) = TestApp::with_codes(1);
    promoflow.add_workflows(&chaos("unavailable", ", claims: 1"));
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "unavailable", "ann@example.com");
    let state = || promoflow.run_of(run).0.state;
    let mut days = 0;
    while state() == RunState::Running {
        app.clock.advance(86_400_000);
        running.wait_idle(&[run]).unwrap();
        days += 1;
        assert!(days < 100, "the run never failed");
    }
    assert_eq!(state(), RunState::Failed);
    assert_eq!(
        promoflow.apply_run_action(run, Action::Retry).unwrap(),
        DONE
    );
    running.wait_idle(&[run]).unwrap();
    assert_eq!(state(), RunState::Running);
    let sql = "SELECT attempt FROM run";
    assert_eq!(app.inspect().row(sql, &[]), Ok(1_i64));
    assert_eq!(promoflow.available_codes(), ["C-0000"]);
}

#[test]
fn p2_cancelling_a_run_during_its_commit_leaves_no_effects() {
    let (app, promoflow) = TestApp::with_codes(3);
    promoflow.import_codes("code,expirationDate,discount,type\nL-1,2999-12-31,10,late\n");
    promoflow.add_workflows(TWO_CODES);
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "two", "ann@example.com");
    let beside = app.open();
    app.clock.before_commit(move || {
        beside.apply_run_action(run, Action::Cancel).unwrap();
    });
    app.clock.set("2026-06-03T12:00:00Z");
    running.wait_idle(&[run]).unwrap();
    promoflow_tests::until(|| app.clock.pending_hooks() == 0);
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Cancelled);
    assert_eq!(promoflow.available_codes().len(), 4);
    assert!(app.channel.sent().is_empty());
    promoflow.assert_audit();
}

#[test]
fn p2_a_failed_delivery_can_be_retried_unless_its_code_has_expired() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes("code,expirationDate,discount,type\nSOON,2026-06-10,10,birthday\n");
    let running = promoflow.start().unwrap();
    let refuses = || {
        app.channel
            .queue_outcome(promoflow::channel::DeliveryOutcome::PermanentFailure {
                error: "no".into(),
            });
    };
    refuses();
    promoflow.run_event(&running, "birthday", "ann@example.com");
    let delivery = DeliveryId(1);
    let state = || promoflow.delivery(delivery).unwrap().unwrap().state;
    assert_eq!(state(), DeliveryState::Failed);
    refuses();
    let retry = || {
        promoflow
            .apply_delivery_action(delivery, Action::Retry)
            .unwrap()
    };
    assert_eq!(retry(), DONE);
    promoflow_tests::until(|| app.channel.sent().len() == 2);
    promoflow_tests::until(|| state() == DeliveryState::Failed);
    app.clock.set("2026-06-11T12:00:00Z");
    assert!(matches!(retry(), ActionResult::Rejected(_)));
    app.clock.set("2026-06-01T12:00:00Z");
    assert_eq!(retry(), DONE);
    promoflow_tests::until(|| state() == DeliveryState::Delivered);
    assert!(matches!(retry(), ActionResult::Rejected(_)));
    assert_eq!(app.channel.sent().len(), 3);
    promoflow.assert_audit();
}
