//! Options of *Get promo code* besides claiming a new code: P1, P4, P5 and P8 hold for reused
//! codes.

use promoflow::channel::DeliveryOutcome;
use promoflow::event::Event;
use promoflow::store::{Action, ActionResult, DeliveryId, DeliveryState, RunId, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{PromoflowExt, TestApp, until};

/// Returns a workflow that gets a code with these options and sends it.
fn workflow(id: &str, event: &str, more: &str) -> String {
    format!(
        "
workflow: {id}
start: {{ event: {event} }}
steps:
  - id: code
    block: get-promocode
    with: {{ type: birthday, discount: 10, days: 7{more} }}
    ports: {{ exhausted: end }}
  - id: again
    block: get-promocode
    with: {{ type: birthday, discount: 10, days: 7, as: second{more} }}
    ports: {{ exhausted: end }}
  - id: mail
    block: send-message
    with: {{ channel: email, message: mail }}
"
    )
}

fn send(running: &EngineHandle, kind: &str, key: &str) -> Vec<RunId> {
    let event = Event::new(kind, key).with_param("EmailAddress", key);
    let receipt = running.send(event).unwrap();
    running.wait_idle(&receipt.runs).unwrap();
    receipt.runs
}

/// Returns the two codes of a run.
fn codes(promoflow: &Promoflow, run: RunId) -> [String; 2] {
    let (row, steps) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Completed, "{row:?}");
    let value = |step: usize, name: &str| steps[step].data[name].as_str().unwrap().to_owned();
    [value(0, "promocode"), value(1, "second")]
}

#[test]
fn p1_an_empty_pool_gives_every_run_the_default_code() {
    let (app, promoflow) = TestApp::with_codes(1);
    promoflow.add_workflows(&workflow("w", "e", ", when-empty: { code: WELCOME }"));
    let running = promoflow.start().unwrap();
    let ann = promoflow.birthday(&running, "ann@example.com");
    assert_eq!(ann.as_deref(), Some("C-0000"));
    let ben = send(&running, "e", "ben@example.com")[0];
    assert_eq!(codes(&promoflow, ben), ["WELCOME", "WELCOME"]);
    assert_eq!(app.channel.texts(), ["C-0000", "WELCOME"]);
    promoflow.assert_audit();
}

#[test]
fn p1_a_code_is_reused_within_a_run() {
    let (_shop, promoflow) = TestApp::with_codes(3);
    promoflow.add_workflows(&workflow("w", "e", ", reuse: run"));
    let running = promoflow.start().unwrap();
    for code in ["C-0000", "C-0001"] {
        let run = send(&running, "e", "ann@example.com")[0];
        assert_eq!(codes(&promoflow, run), [code, code]);
    }
    assert_eq!(promoflow.available_codes(), ["C-0002"]);
    promoflow.assert_audit();
}

#[test]
fn p1_a_code_is_reused_within_a_run_after_a_wait() {
    let (app, promoflow) = TestApp::with_codes(3);
    promoflow.add_workflows(
        "
workflow: w
start: { event: e }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 7 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
  - id: again
    block: get-promocode
    with: { type: birthday, discount: 10, days: 7, reuse: run }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
",
    );
    let running = promoflow.start().unwrap();
    let run = send(&running, "e", "ann@example.com")[0];
    app.clock.set("2026-06-03T12:00:00Z");
    running.wait_idle(&[run]).unwrap();
    assert_eq!(promoflow.available_codes(), ["C-0001", "C-0002"]);
    assert_eq!(app.channel.texts(), ["C-0000"]);
    promoflow.assert_audit();
}

#[test]
fn p1_a_contact_keeps_a_code_for_a_period_from_the_claim() {
    let (app, promoflow) = TestApp::with_codes(5);
    promoflow.add_workflows(&workflow("w", "e", ", reuse: { contact: 30d }"));
    promoflow.add_workflows(&workflow("other", "other", ", reuse: { contact: 30d }"));
    let running = promoflow.start().unwrap();
    let gets = |kind: &str, key: &str, code: &str| {
        let run = send(&running, kind, key)[0];
        assert_eq!(codes(&promoflow, run), [code, code], "{kind} {key}");
    };
    gets("e", "ann@example.com", "C-0000");
    gets("e", "ben@example.com", "C-0001");
    app.clock.set("2026-06-20T12:00:00Z");
    gets("other", "ann@example.com", "C-0000");
    app.clock.set("2026-06-30T12:00:00Z");
    gets("e", "ann@example.com", "C-0000");
    app.clock.set("2026-07-01T12:00:00Z");
    gets("e", "ann@example.com", "C-0002");
    gets("other", "ann@example.com", "C-0002");
    // A step without `reuse` claims a new code.
    let own = promoflow.birthday(&running, "ann@example.com");
    assert_eq!(own.as_deref(), Some("C-0003"));
    promoflow.assert_audit();
}

#[test]
fn p1_workflows_and_senders_that_race_give_a_contact_one_code() {
    let (_shop, promoflow) = TestApp::with_codes(20);
    promoflow.add_workflows(&workflow("w", "e", ", reuse: { contact: 30d }"));
    promoflow.add_workflows(&workflow("other", "e", ", reuse: { contact: 30d }"));
    let running = promoflow.start().unwrap();
    let runs: Vec<RunId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| send(&running, "e", "ann@example.com")))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.flatten().collect()
    });
    running.wait_all_idle().unwrap();
    assert_eq!(runs.len(), 8);
    let first = codes(&promoflow, runs[0]);
    for run in runs {
        assert_eq!(codes(&promoflow, run), first);
    }
    assert_eq!(promoflow.available_codes().len(), 19);
    promoflow.assert_audit();
}

#[test]
fn p8_a_kept_code_that_expires_too_soon_is_replaced_and_deliveries_expire_with_it() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes(
        "code,expirationDate,discount,type\nSOON,2026-06-15,10,birthday\n\
         LATE,2026-12-31,10,birthday\n",
    );
    promoflow.add_workflows(&workflow("w", "e", ", reuse: { contact: 300d }"));
    let running = promoflow.start().unwrap();
    for (day, code) in [(1, "SOON"), (5, "SOON"), (12, "LATE")] {
        app.clock.set(&format!("2026-06-{day:02}T12:00:00Z"));
        let run = send(&running, "e", "ann@example.com")[0];
        assert_eq!(codes(&promoflow, run), [code, code]);
    }
    let expiries = "SELECT expires_at FROM delivery GROUP BY expires_at ORDER BY min(id)";
    let expiries: Vec<i64> = app.inspect().rows(expiries, &[]).unwrap();
    assert_eq!(expiries.len(), 2);
    assert!(expiries[0] < expiries[1]);
    promoflow.assert_audit();
}

#[test]
fn p4_a_reused_code_is_released_only_when_every_run_is_cancelled() {
    let (app, _) = TestApp::with_codes(2);
    let promoflow = app.builder().delivers(false).open().unwrap();
    let waits = "
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
";
    let yaml = workflow("w", "e", ", reuse: { contact: 30d }");
    promoflow.add_workflows(&format!("{}{waits}", yaml.trim_end()));
    let running = promoflow.start().unwrap();
    let event = || Event::new("e", "ann@example.com").with_param("EmailAddress", "a@example.com");
    let first = running.send(event()).unwrap().runs[0];
    let second = running.send(event()).unwrap().runs[0];
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
    let cancelled = |released| ActionResult::Done {
        released,
        cancelled_deliveries: 1,
    };
    let cancel = |run| promoflow.apply_run_action(run, Action::Cancel).unwrap();
    assert_eq!(cancel(first), cancelled(0));
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
    assert_eq!(cancel(second), cancelled(1));
    assert_eq!(promoflow.available_codes(), ["C-0000", "C-0001"]);
    promoflow.assert_audit();
}

#[test]
fn p4_a_released_code_leaves_in_no_message_of_an_earlier_run() {
    let (app, promoflow) = TestApp::with_codes(1);
    let kept = ", reuse: { contact: 30d }";
    let code = format!(
        "  - id: code
    block: get-promocode
    with: {{ type: birthday, discount: 10, days: 7{kept} }}
"
    );
    let mail = "  - id: mail
    block: send-message
    with: { channel: email, message: mail }
";
    let sleep = "  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
";
    promoflow.add_workflows(&format!(
        "workflow: first\nstart: {{ event: first }}\nsteps:\n{code}{mail}{sleep}"
    ));
    promoflow.add_workflows(&format!(
        "workflow: second\nstart: {{ event: second }}\nsteps:\n{code}{sleep}"
    ));
    // While the first run's message is being delivered, the run is cancelled; then the delivery
    // fails permanently.
    let other = app.builder().delivers(false).open().unwrap();
    let cancel =
        move |promoflow: &Promoflow, run| promoflow.apply_run_action(run, Action::Cancel).unwrap();
    let done = |released, cancelled_deliveries| ActionResult::Done {
        released,
        cancelled_deliveries,
    };
    app.channel.on_delivery(move |message| {
        assert_eq!(
            message.content.text.as_deref().map(str::trim),
            Some("C-0000")
        );
        assert_eq!(cancel(&other, RunId(1)), done(0, 0));
    });
    app.channel
        .queue_outcome(DeliveryOutcome::PermanentFailure {
            error: "no such mailbox".into(),
        });
    let running = promoflow.start().unwrap();
    let event = |kind| Event::new(kind, "ann@example.com").with_param("EmailAddress", "a@b.cd");
    assert_eq!(running.send(event("first")).unwrap().runs, [RunId(1)]);
    let delivery = || promoflow.delivery(DeliveryId(1)).unwrap().unwrap();
    until(|| delivery().state == DeliveryState::Failed);
    let second = running.send(event("second")).unwrap().runs[0];
    assert!(promoflow.available_codes().is_empty());
    assert_eq!(cancel(&promoflow, second), done(1, 1));
    assert_eq!(promoflow.available_codes(), ["C-0000"]);
    assert_eq!(
        promoflow
            .apply_delivery_action(delivery().id, Action::Retry)
            .unwrap(),
        ActionResult::Rejected("it was cancelled")
    );
    promoflow.assert_audit();
}
