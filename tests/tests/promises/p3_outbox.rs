//! P3: nothing leaves the host before the commit that records it.

use std::sync::{Arc, Mutex};

use promoflow::channel::DeliveryOutcome;
use promoflow_test_support::inspect;
use promoflow_tests::{PromoflowExt, TestApp, until};

/// The state of the database, as another connection sees it during a delivery.
#[derive(Clone, Debug, PartialEq)]
struct Snapshot {
    run: String,
    claims: i64,
    journal: i64,
    attempt: Option<(i64, Option<i64>)>,
}

#[test]
fn p3_the_run_and_the_attempt_s_start_are_committed_before_each_delivery() {
    let (app, promoflow) = TestApp::with_codes(2);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (database, look) = (app.address().to_owned(), Arc::clone(&seen));
    app.channel.on_delivery(move |message| {
        let number: i64 = message
            .id
            .strip_prefix("delivery-")
            .unwrap()
            .parse()
            .unwrap();
        // A connection that shares nothing with the host's.
        let other = inspect(&database).unwrap();
        let sql = "SELECT run.state, (SELECT count(*) FROM claim WHERE claim.run = run.id),
                          (SELECT count(*) FROM journal WHERE journal.run = run.id),
                          attempt.number, attempt.ended_at
                   FROM delivery JOIN run ON run.id = delivery.run
                   LEFT JOIN attempt ON attempt.delivery = delivery.id
                       AND attempt.number = delivery.attempts
                   WHERE delivery.id = $1";
        let (run, claims, journal, number, ended) = other.row(sql, &[number.into()]).unwrap();
        look.lock().unwrap().push(Snapshot {
            run,
            claims,
            journal,
            attempt: Option::map(number, |number| (number, ended)),
        });
    });
    app.channel
        .queue_outcome(DeliveryOutcome::RetryableFailure {
            error: "busy".into(),
            after: None,
            ambiguous: false,
        });
    let running = promoflow.start().unwrap();
    promoflow.run_event(&running, "birthday", "ann@example.com");
    app.clock.advance(60_000);
    until(|| app.channel.sent().len() == 2);
    drop(running);

    let attempt = |number| Snapshot {
        run: "completed".into(),
        claims: 1,
        journal: 1,
        attempt: Some((number, None)),
    };
    assert_eq!(*seen.lock().unwrap(), [attempt(1), attempt(2)]);
    let messages = app.channel.sent();
    assert_eq!(messages[0], messages[1], "the retry is a different message");
}

#[test]
fn p3_a_delivery_without_a_commit_never_starts() {
    let (app, promoflow) = TestApp::with_codes(2);
    promoflow.add_workflows(
        "
workflow: no
start: { event: no }
steps:
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
  - id: bad
    block: mischief
    with: { do: trap }
    ports: { other: end }
",
    );
    let running = promoflow.start().unwrap();
    promoflow.run_event(&running, "no", "ann@example.com");
    drop(running);
    assert!(app.channel.sent().is_empty());
}
