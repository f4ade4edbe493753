//! P5: for one event key a workflow starts as often as its start condition allows.

use promoflow::event::Event;
use promoflow::store::{Action, RunId, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{Helper, PromoflowExt, TestApp};

use serde_json::json;

use crate::HELPER;

/// Returns the main job with additional start options, and a wait until 2026-06-02 before its last
/// step.
fn workflow(start: &str, stop: &str) -> String {
    format!(
        "
workflow: birthday
start: {{ event: birthday{start} }}
{stop}
steps:
  - id: code
    block: get-promocode
    with: {{ type: birthday, discount: 10, days: 0 }}
    ports: {{ exhausted: end }}
  - id: mail
    block: send-message
    with: {{ channel: email, message: mail }}
  - id: sleep
    block: mischief
    with: {{ do: wait, until: 1780401600000 }}
    ports: {{ other: end }}
  - id: last
    block: send-message
    with: {{ channel: email, message: mail }}
"
    )
}

fn app(start: &str, stop: &str) -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(50);
    promoflow.add_workflows(&workflow(start, stop));
    (app, promoflow)
}

fn send(running: &EngineHandle, kind: &str, key: &str) -> Vec<RunId> {
    let event = Event::new(kind, key).with_param("EmailAddress", key);
    let receipt = running.send(event).unwrap();
    running.wait_idle(&receipt.runs).unwrap();
    receipt.runs
}

#[test]
fn p5_repeat_once_holds_per_key_and_across_versions() {
    let (app, promoflow) = app(", repeat: once", "");
    let running = promoflow.start().unwrap();
    assert_eq!(send(&running, "birthday", "ann@example.com").len(), 1);
    assert_eq!(send(&running, "birthday", "ann@example.com").len(), 0);
    assert_eq!(send(&running, "birthday", "ben@example.com").len(), 1);
    app.clock.set("2030-06-01T12:00:00Z");
    promoflow.add_workflows(&workflow(", repeat: once, skip-if-running: true", ""));
    assert_eq!(send(&running, "birthday", "ann@example.com").len(), 0);
    // The codes claimed in advance are available again.
    assert_eq!(promoflow.available_codes().len(), 48);
    assert_eq!(
        promoflow.birthday(&running, "cem@example.com").as_deref(),
        Some("C-0002")
    );
    promoflow.assert_audit();
}

#[test]
fn p5_runs_of_a_version_without_a_condition_count() {
    let (_shop, promoflow) = app("", "");
    let running = promoflow.start().unwrap();
    send(&running, "birthday", "ann@example.com");
    assert_eq!(send(&running, "birthday", "ann@example.com").len(), 1);
    promoflow.add_workflows(&workflow(", repeat: once", ""));
    assert_eq!(send(&running, "birthday", "ann@example.com").len(), 0);
    promoflow.add_workflows(&workflow("", ""));
    assert_eq!(send(&running, "birthday", "ben@example.com").len(), 1);
    promoflow.add_workflows(&workflow(", repeat: once", ""));
    assert_eq!(send(&running, "birthday", "ben@example.com").len(), 0);
    promoflow.assert_audit();
}

#[test]
fn p5_a_period_counts_from_the_last_start() {
    let (app, promoflow) = app(", repeat: { every: 10d }", "");
    let running = promoflow.start().unwrap();
    for (day, starts) in [(1, 1), (2, 0), (10, 0), (11, 1), (12, 0), (20, 0), (21, 1)] {
        app.clock.set(&format!("2026-06-{day:02}T12:00:00Z"));
        let runs = send(&running, "birthday", "ann@example.com");
        assert_eq!(runs.len(), starts, "day {day}");
    }
    promoflow.assert_audit();
}

#[test]
fn p5_skip_if_running_prevents_a_second_run() {
    let (app, promoflow) = app(", skip-if-running: true", "");
    let running = promoflow.start().unwrap();
    let first = send(&running, "birthday", "ann@example.com")[0];
    assert_eq!(promoflow.run_of(first).0.state, RunState::Waiting);
    assert!(send(&running, "birthday", "ann@example.com").is_empty());
    assert_eq!(send(&running, "birthday", "ben@example.com").len(), 1);
    app.clock.set("2026-06-03T12:00:00Z");
    running.wait_all_idle().unwrap();
    assert_eq!(send(&running, "birthday", "ann@example.com").len(), 1);
    promoflow.assert_audit();
}

#[test]
fn p5_threads_racing_for_one_key_start_one_run() {
    let (_shop, promoflow) = app(", repeat: once", "");
    let running = promoflow.start().unwrap();
    for round in 0..6 {
        let key = format!("race-{round}@example.com");
        let started: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| send(&running, "birthday", &key).len()))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.sum()
        });
        assert_eq!(started, 1);
    }
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.available_codes().len(), 44);
    promoflow.assert_audit();
}

#[test]
fn p5_processes_racing_for_one_key_start_one_run() {
    let (app, promoflow) = app(", repeat: once", "");
    // Each process uses different ids, so that only the key prevents a start.
    let mut helpers: Vec<Helper> = (0..3)
        .map(|number| {
            let prefix = format!("p{number}");
            Helper::start(HELPER, &app, &["once", &prefix, "5"])
        })
        .collect();
    let acks: Vec<_> = helpers.iter_mut().flat_map(Helper::acks).collect();
    helpers.into_iter().for_each(Helper::end);
    assert_eq!(acks.len(), 15);
    let started: usize = acks.iter().map(|ack| ack.runs.len()).sum();
    assert_eq!(started, 1);
    assert_eq!(promoflow.available_codes().len(), 49);
    promoflow.assert_audit();
}

#[test]
fn p5_a_stop_event_ends_the_runs_of_its_key() {
    let (app, promoflow) = app("", "stop: { event: left }");
    let running = promoflow.start().unwrap();
    let ann = send(&running, "birthday", "ann@example.com")[0];
    let ben = send(&running, "birthday", "ben@example.com")[0];
    assert!(send(&running, "left", "ann@example.com").is_empty());
    let (row, _) = promoflow.run_of(ann);
    assert_eq!(row.state, RunState::Cancelled);
    assert!(row.error.unwrap().starts_with("stopped by event "));
    assert_eq!(promoflow.run_of(ben).0.state, RunState::Waiting);
    // The next version has no stop event; the runs of this version keep theirs.
    promoflow.add_workflows(&workflow("", ""));
    assert!(send(&running, "left", "ben@example.com").is_empty());
    assert_eq!(promoflow.run_of(ben).0.state, RunState::Cancelled);
    app.clock.set("2026-06-03T12:00:00Z");
    running.wait_all_idle().unwrap();
    // Their codes had left.
    assert_eq!(promoflow.available_codes().len(), 48);
    assert_eq!(app.channel.sent().len(), 2);
    let refused = promoflow.apply_run_action(ann, Action::Retry).unwrap();
    assert!(matches!(
        refused,
        promoflow::store::ActionResult::Rejected(_)
    ));
    promoflow.assert_audit();
}

#[test]
fn p5_an_earlier_stop_event_does_not_prevent_a_run() {
    let (_shop, promoflow) = app("", "stop: { event: left }");
    let running = promoflow.start().unwrap();
    assert!(send(&running, "left", "ann@example.com").is_empty());
    let ann = send(&running, "birthday", "ann@example.com")[0];
    assert_eq!(promoflow.run_of(ann).0.state, RunState::Waiting);
    assert!(send(&running, "left", "ann@example.com").is_empty());
    assert_eq!(promoflow.run_of(ann).0.state, RunState::Cancelled);
    // A returning contact is greeted again.
    let again = send(&running, "birthday", "ann@example.com")[0];
    assert_eq!(promoflow.run_of(again).0.state, RunState::Waiting);
    promoflow.assert_audit();
}

#[test]
fn p5_an_event_that_fails_the_conditions_starts_nothing_and_claims_nothing() {
    let conditions = ", where: [{ param: EmailAddress, is: set }, { any: [{ param: country, \
                      one-of: [UA, PL] }, { param: vip, equals: \"yes\" }] }]";
    let (app, promoflow) = app(conditions, "");
    let running = promoflow.start().unwrap();
    let runs = |params: &[(&str, &str)]| {
        let event = Event::new("birthday", "ann@example.com");
        let event = (params.iter()).fold(event, |event, (name, value)| {
            event.with_param(*name, value.to_owned())
        });
        let receipt = running.send(event).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        receipt.runs.len()
    };
    let email = ("EmailAddress", "ann@example.com");
    for unmet in [
        &[email][..],
        &[("country", "UA")],
        &[email, ("country", "DE"), ("vip", "no")],
    ] {
        assert_eq!(runs(unmet), 0, "{unmet:?}");
    }
    assert_eq!(promoflow.available_codes().len(), 50);
    assert!(app.channel.sent().is_empty());
    for met in [
        &[email, ("country", "PL")][..],
        &[email, ("country", "DE"), ("vip", "yes")],
    ] {
        assert_eq!(runs(met), 1, "{met:?}");
    }
    assert_eq!(promoflow.available_codes().len(), 48);
    // Events that started nothing were accepted all the same.
    assert_eq!(app.inspect().count("event"), Ok(5));
    promoflow.assert_audit();
}

#[test]
fn p5_a_negation_starts_runs_for_events_without_the_parameter() {
    let conditions = ", where: [{ param: country, not-one-of: [UA, PL] }, { any: [{ param: total, \
                      at-least: 100 }, { param: EmailAddress, ends-with: \"@vip.example\" }] }]";
    let (_app, promoflow) = app(conditions, "");
    let running = promoflow.start().unwrap();
    for (params, starts) in [
        (json!({ "total": 99 }), 0),
        (json!({ "total": 100, "country": "UA" }), 0),
        (json!({ "EmailAddress": "ann@vip.example.com" }), 0),
        (json!({ "total": 100 }), 1),
        (json!({ "total": "1000.50", "country": "DE" }), 1),
        (json!({ "EmailAddress": "ann@vip.example" }), 1),
    ] {
        let params_of_event = params.as_object().unwrap().iter();
        let event = params_of_event.fold(
            Event::new("birthday", "ann@example.com"),
            |event, (name, value)| event.with_param(name, value.clone()),
        );
        let receipt = running.send(event).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        assert_eq!(receipt.runs.len(), starts, "{params}");
    }
    promoflow.assert_audit();
}

#[test]
fn p5_the_audit_finds_runs_that_should_not_have_started() {
    for (start, day) in [
        (", repeat: once", 20),
        (", repeat: { every: 10d }", 5),
        (", skip-if-running: true", 1),
    ] {
        let (app, promoflow) = app("", "");
        let running = promoflow.start().unwrap();
        send(&running, "birthday", "ann@example.com");
        app.clock.set(&format!("2026-06-{day:02}T12:00:00Z"));
        send(&running, "birthday", "ann@example.com");
        promoflow.assert_audit();
        running.stop();
        promoflow.add_workflows(&workflow(start, ""));
        // The same state as if both had been started under the rule.
        let sql = "UPDATE run SET workflow = (SELECT max(row) FROM workflow)";
        app.inspect().execute(sql, &[]).unwrap();
        let audited = promoflow.audit().unwrap();
        let p5 = audited.iter().find(|one| one.promise == "P5").unwrap();
        assert!(!p5.holds, "{start}");
        assert_eq!(p5.violations.len(), 1, "{:#?}", p5.violations);
    }
}
