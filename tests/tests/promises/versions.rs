//! Versions: a run keeps the workflow, messages and blocks that it started with.

use promoflow::Promoflow;
use promoflow::event::Event;
use promoflow::store::{RunState, WorkflowState};
use promoflow_tests::{CODE_THEN_MAIL, PromoflowExt, TestApp};

/// Waits until 2026-06-02 12:00, then sends the message.
const SLEEP_THEN_MAIL: &str = "
workflow: slow
start: { event: slow }
steps:
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
  - id: mail
    block: send-message
    with: { channel: email, message: note }
";

fn note(text: &str) -> String {
    format!("message: note\nchannel: email\nsubject: Note\ntext: {text}\n")
}

fn slow(text: &str) -> (TestApp, Promoflow) {
    let app = TestApp::new();
    let promoflow = app.open();
    promoflow.add_messages(&note(text));
    promoflow.add_workflows(SLEEP_THEN_MAIL);
    (app, promoflow)
}

#[test]
fn a_run_keeps_its_message_version_and_new_runs_use_the_new_one() {
    let (app, promoflow) = slow("old");
    let running = promoflow.start().unwrap();
    let old = promoflow.run_event(&running, "slow", "ann@example.com");
    promoflow.add_messages(&note("new"));
    let new = promoflow.run_event(&running, "slow", "ben@example.com");
    app.clock.set("2026-06-02T12:00:00Z");
    running.wait_idle(&[old, new]).unwrap();
    drop(running);
    let mut sent: Vec<(String, String)> = app
        .channel
        .sent()
        .into_iter()
        .map(|message| (message.address, message.text))
        .collect();
    sent.sort();
    let message = |address: &str, text: &str| (address.to_owned(), text.to_owned());
    assert_eq!(
        sent,
        [
            message("ann@example.com", "old"),
            message("ben@example.com", "new")
        ]
    );
}

#[test]
fn a_run_keeps_its_versions_in_a_process_without_those_files() {
    let (app, promoflow) = slow("old");
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "slow", "ann@example.com");
    drop(running);
    promoflow.add_messages(&note("new"));
    promoflow.add_workflows(
        "
workflow: slow
start: { event: slow }
steps:
  - id: other
    block: mischief
    with: { do: trap }
    ports: { other: end }
",
    );
    drop(promoflow);

    // Without a folder of blocks: everything that the run needs is in the database.
    let promoflow = Promoflow::builder(app.address())
        .clock(app.clock.clone())
        .channel(app.channel.clone())
        .cache(app.sibling("compiled"))
        .open()
        .unwrap();
    app.clock.set("2026-06-02T12:00:00Z");
    let running = promoflow.start().unwrap();
    running.wait_idle(&[run]).unwrap();
    drop(running);
    let (row, steps) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Completed, "{row:?}");
    let steps: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["sleep", "mail"]);
    assert_eq!(app.channel.texts(), ["old"]);
    assert_eq!(promoflow.workflow_names().unwrap()[&row.workflow].1, 1);
}

#[test]
fn a_paused_workflow_starts_nothing_and_its_runs_continue() {
    let (app, promoflow) = slow("note");
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "slow", "ann@example.com");
    assert!(
        promoflow
            .set_workflow_state("slow", WorkflowState::Paused)
            .unwrap()
    );
    let event = || Event::new("slow", "ben@example.com");
    assert!(running.send(event()).unwrap().runs.is_empty());
    app.clock.set("2026-06-02T12:00:00Z");
    running.wait_idle(&[run]).unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Completed);
    promoflow
        .set_workflow_state("slow", WorkflowState::Active)
        .unwrap();
    assert_eq!(running.send(event()).unwrap().runs.len(), 1);
    assert!(
        !promoflow
            .set_workflow_state("none", WorkflowState::Paused)
            .unwrap()
    );
}

#[test]
fn a_workflow_applied_before_an_event_s_commit_is_used() {
    let (app, promoflow) = TestApp::with_codes(5);
    let running = promoflow.start().unwrap();
    let other = app.open();
    let without_mail: String = CODE_THEN_MAIL.split("  - id: mail").next().unwrap().into();
    app.clock
        .before_commit(move || other.add_workflows(&without_mail));
    let run = promoflow.run_event(&running, "birthday", "ann@example.com");
    assert_eq!(app.clock.pending_hooks(), 0);
    let (row, steps) = promoflow.run_of(run);
    assert_eq!(promoflow.workflow_names().unwrap()[&row.workflow].1, 2);
    assert_eq!(steps.len(), 1);
    assert_eq!(promoflow.code_of(run).as_deref(), Some("C-0000"));
    promoflow.assert_audit();
}
