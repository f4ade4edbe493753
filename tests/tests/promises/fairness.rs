//! A slow workflow, or one whose blocks are stopped, does not block others.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use promoflow::block::Bounds;
use promoflow::event::Event;
use promoflow::run::Receipt;
use promoflow::store::{RunState, WorkflowState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_engine::run::MAX_TRAPS_IN_A_ROW;
use promoflow_tests::{CODE_THEN_MAIL, MAIL, PromoflowExt, TestApp, chaos, until};

/// Time for which a spinning block occupies its worker.
const SPIN: Duration = Duration::from_secs(6);

fn app(workers: usize) -> (TestApp, Promoflow) {
    let app = TestApp::new();
    let bounds = Bounds {
        time: SPIN,
        ..Bounds::default()
    };
    let promoflow = app
        .builder()
        .bounds(bounds)
        .workers(workers)
        .open()
        .unwrap();
    promoflow.add_messages(MAIL);
    promoflow.add_workflows(CODE_THEN_MAIL);
    promoflow.import_codes("code,type,discount\nC-1,birthday,10\nC-2,birthday,10\n");
    (app, promoflow)
}

fn submit(running: &EngineHandle, kind: &str, key: &str) -> Receiver<Receipt> {
    let (answer, answered) = channel();
    let event = Event::new(kind, key).with_param("EmailAddress", format!("{key}@example.com"));
    running.submit(event, move |receipt| drop(answer.send(receipt.unwrap())));
    answered
}

#[test]
fn an_event_is_stored_and_executed_while_another_workflow_occupies_all_workers() {
    let (_shop, promoflow) = app(2);
    promoflow.add_workflows(&chaos("spin", ""));
    let running = promoflow.start().unwrap();
    let began = Instant::now();
    let spinning: Vec<_> = (0..8)
        .map(|n| submit(&running, "spin", &format!("s{n}")))
        .collect();
    let good = submit(&running, "birthday", "ann");
    let receipt = good
        .recv_timeout(SPIN / 2)
        .expect("the event was not stored");
    running.wait_idle(&receipt.runs).unwrap();
    assert!(began.elapsed() < SPIN, "{:?}", began.elapsed());
    assert!(promoflow.code_of(receipt.runs[0]).is_some());
    // Events queued behind the two spinning runs are stored as well.
    for answered in &spinning[2..] {
        answered
            .recv_timeout(SPIN)
            .expect("the event was not stored");
    }
    assert!(began.elapsed() < SPIN, "{:?}", began.elapsed());
}

#[test]
fn due_runs_of_a_slow_workflow_do_not_delay_other_workflows() {
    let (app, promoflow) = app(2);
    let wait = "do: wait, until: 1780401600000";
    for (name, then) in [("slow", "spin"), ("fast", "next")] {
        promoflow.add_workflows(&format!(
            "
workflow: {name}
start: {{ event: {name} }}
steps:
  - {{ id: wait, block: mischief, with: {{ {wait} }}, ports: {{ other: end }} }}
  - {{ id: then, block: mischief, with: {{ do: {then} }}, ports: {{ other: end }} }}
"
        ));
    }
    let running = promoflow.start().unwrap();
    for number in 0..300 {
        running
            .send(Event::new("slow", format!("s{number}")))
            .unwrap();
    }
    let fast = running.send(Event::new("fast", "ann")).unwrap().runs[0];
    let began = Instant::now();
    app.clock.set("2026-06-03T00:00:00Z");
    until(|| promoflow.run_of(fast).0.state == RunState::Completed);
    assert!(began.elapsed() < SPIN, "{:?}", began.elapsed());
    // The shutdown does not wait for runs that have not started.
    running.stop();
    assert!(began.elapsed() < SPIN * 3, "{:?}", began.elapsed());
}

/// A template that takes most of a second.
const HEAVY: &str = "#set($x='a')#foreach($i in [1..20])#set($x=\"$x$x\")#end#set($y=\"${x}b\")\
                     #foreach($i in [1..60])#set($q=$x.indexOf($y))#end$q";

#[test]
fn the_templates_of_a_step_share_one_budget_of_work() {
    let (_shop, promoflow) = app(2);
    let parts = format!(
        "subject: \"{0}\", text: \"{0}\"",
        HEAVY.replace('"', "\\\"")
    );
    promoflow.add_messages(&format!("{{ message: heavy, channel: email, {parts} }}"));
    promoflow.add_workflows(
        "
workflow: heavy
start: { event: heavy }
steps:
  - id: mail
    block: send-message
    with:
      channel: email
      message: heavy
      to: a@example.com
      otherwise: [{ channel: email, message: heavy, to: b@example.com }, { channel: email, message: heavy, to: c@example.com }]
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "heavy", "ann@example.com");
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Failed);
    let error = row.error.unwrap();
    assert!(
        error.contains("together exceed their work limit"),
        "{error}"
    );
}

#[test]
fn a_workflow_with_repeated_traps_is_paused_and_raises_an_alert() {
    let (_shop, promoflow) = app(2);
    promoflow.add_workflows(&chaos("trap", ""));
    promoflow.add_workflows(
        "
workflow: noted
start: { event: alertSettingsAlarmTriggerEvent }
steps:
  - { id: note, block: mischief, with: { do: next }, ports: { other: end } }
",
    );
    let running = promoflow.start().unwrap();
    let stored = || {
        let all = promoflow.workflows().unwrap();
        all.into_iter()
            .find(|one| one.workflow.id == "w-trap")
            .unwrap()
    };
    for number in 1..MAX_TRAPS_IN_A_ROW {
        promoflow.run_event(&running, "trap", &format!("t{number}@example.com"));
    }
    assert_eq!(stored().state, WorkflowState::Active);
    promoflow.run_event(&running, "trap", "last@example.com");
    until(|| stored().state == WorkflowState::Paused);
    let reason = stored().reason.unwrap();
    assert!(
        reason.contains("10 traps in a row") && reason.contains("step `bad`"),
        "{reason}"
    );
    let alert_run = || {
        let runs = promoflow.runs(None, 100).unwrap();
        runs.into_iter().find(|run| run.key == "w-trap")
    };
    until(|| alert_run().is_some_and(|run| run.state == RunState::Completed));
    // Its events are stored but no longer start it; other workflows continue.
    let receipt = running.send(Event::new("trap", "ann")).unwrap();
    assert!(receipt.runs.is_empty());
    assert!(promoflow.birthday(&running, "ann@example.com").is_some());
    promoflow
        .set_workflow_state("w-trap", WorkflowState::Active)
        .unwrap();
    assert_eq!(stored().reason, None);
    until(|| {
        !running
            .send(Event::new("trap", "ann"))
            .unwrap()
            .runs
            .is_empty()
    });
}
