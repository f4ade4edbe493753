//! Waits: for a code until the pool is refilled, and for a reply.

use std::io::Read;
use std::sync::Arc;
use std::thread;

use promoflow::event::Event;
use promoflow::pool::ImportOptions;
use promoflow::store::{Action, ActionResult, RunId, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{Helper, PromoflowExt, TestApp, TestClock, ids, until};
use serde_json::json;

use crate::HELPER;

/// The main job, with runs that wait if the pool is empty.
const WAITS: &str = "
workflow: waits
start: { event: waits }
stop: { event: enough }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 3, when-empty: wait }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
";

/// Claims a code and keeps it until 2026-06-02.
const HOLDS: &str = "
workflow: holds
start: { event: holds }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
";

fn app() -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.add_workflows(WAITS);
    (app, promoflow)
}

fn event(kind: &str, name: &str) -> Event {
    let address = format!("{name}@example.com");
    Event::new(kind, &address).with_param("EmailAddress", address)
}

/// Returns `count` codes of the type from number `first`, which expire at the end of that day.
fn codes(first: usize, count: usize, expires: &str) -> String {
    let mut csv = "code,expirationDate,discount,type\n".to_owned();
    for number in first..first + count {
        csv.push_str(&format!("W-{number:03},{expires},10,birthday\n"));
    }
    csv
}

/// Starts a run that waits.
fn waiting(promoflow: &Promoflow, running: &EngineHandle, name: &str) -> RunId {
    let run = promoflow.run_event(running, "waits", &format!("{name}@example.com"));
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Waiting, "{row:?}");
    let waiting_for = row.waiting_for().unwrap();
    assert!(waiting_for.contains("type birthday"), "{waiting_for}");
    run
}

fn waiters(app: &TestApp) -> i64 {
    app.inspect().count("run_wait").unwrap()
}

#[test]
fn p2_a_run_waiting_for_a_refill_continues_after_a_restart() {
    let (app, promoflow) = app();
    let running = promoflow.start().unwrap();
    let run = waiting(&promoflow, &running, "ann");
    running.stop();
    drop(promoflow);

    // The upload assigns the code, whether or not a process executes runs.
    let promoflow = app.open();
    promoflow.import_codes(&codes(0, 2, "2999-12-31"));
    assert_eq!(promoflow.available_codes(), ["W-001"]);
    assert_eq!(promoflow.run_of(run).0.waiting_for(), None);
    promoflow.assert_audit();
    drop(promoflow);

    let promoflow = app.open();
    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Completed);
    assert_eq!(promoflow.code_of(run).as_deref(), Some("W-000"));
    assert_eq!(app.channel.texts(), ["W-000"]);
    assert_eq!((promoflow.available_codes().len(), waiters(&app)), (1, 0));
    promoflow.assert_audit();
}

#[test]
fn p2_waiting_runs_stay_in_the_queue_when_their_process_is_killed() {
    let (app, promoflow) = app();
    let mut sender = Helper::start(HELPER, &app, &["send-as", "waits", "w", "5"]);
    let acks: Vec<_> = (0..5).map(|_| sender.ack().unwrap()).collect();
    let _left = sender.kill();
    let runs: Vec<RunId> = acks.into_iter().flat_map(|ack| ack.runs).collect();
    promoflow.import_codes(&codes(0, 5, "2999-12-31"));
    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    for run in runs {
        assert_eq!(promoflow.run_of(run).0.state, RunState::Completed);
    }
    let mut texts = app.channel.texts();
    texts.sort();
    assert_eq!(texts, ["W-000", "W-001", "W-002", "W-003", "W-004"]);
    promoflow.assert_audit();
}

#[test]
fn p1_waiting_runs_get_codes_before_new_runs_in_stored_order() {
    let (app, promoflow) = app();
    let promoflow = Arc::new(promoflow);
    let running = promoflow.start().unwrap();
    let first: Vec<RunId> = ["ann", "ben", "cem", "dora"]
        .map(|name| waiting(&promoflow, &running, name))
        .to_vec();
    // New runs race with the uploads: those of `birthday` take a port if no code is available.
    let uploads = {
        let promoflow = Arc::clone(&promoflow);
        thread::spawn(move || {
            for number in 0..3 {
                promoflow.import_codes(&codes(number, 1, "2999-12-31"));
                thread::sleep(std::time::Duration::from_millis(5));
            }
        })
    };
    let new_runs: Vec<_> = (0..60)
        .map(|number| {
            let kind = ["birthday", "waits"][number % 2];
            running.send(event(kind, &format!("new-{number}"))).unwrap()
        })
        .collect();
    uploads.join().unwrap();
    running.wait_all_idle().unwrap();
    for (number, run) in first[..3].iter().enumerate() {
        let code = promoflow.code_of(*run);
        assert_eq!(code, Some(format!("W-{number:03}")), "waiter {number}");
    }
    assert_eq!(promoflow.run_of(first[3]).0.state, RunState::Waiting);
    let got = |run: &RunId| promoflow.code_of(*run).is_some();
    assert!(!ids(&new_runs).iter().any(got));

    // The rest of the queue is served in order; then nothing waits and new runs get the remaining
    // codes.
    promoflow.import_codes(&codes(3, 40, "2999-12-31"));
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.code_of(first[3]).as_deref(), Some("W-003"));
    let waited = new_runs.iter().skip(1).step_by(2);
    let codes: Vec<String> = waited
        .filter_map(|receipt| promoflow.code_of(receipt.runs[0]))
        .collect();
    assert_eq!(codes.len(), 30);
    assert!(codes.is_sorted(), "{codes:?}");
    let late = promoflow.birthday(&running, "late@example.com");
    assert_eq!(late.as_deref(), Some("W-034"));
    assert_eq!(waiters(&app), 0);
    promoflow.assert_audit();
}

#[test]
fn p4_a_cancelled_run_leaves_the_queue_and_its_code_goes_to_the_next() {
    let (app, promoflow) = app();
    let running = promoflow.start().unwrap();
    let [ann, ben, cem] = ["ann", "ben", "cem"].map(|name| waiting(&promoflow, &running, name));
    running.stop();
    let done = |released| ActionResult::Done {
        released,
        cancelled_deliveries: 0,
    };
    assert_eq!(
        promoflow.apply_run_action(ann, Action::Cancel).unwrap(),
        done(0)
    );
    assert_eq!(waiters(&app), 2);
    // Without an executor: ben has been assigned the code but has not continued.
    promoflow.import_codes(&codes(0, 1, "2999-12-31"));
    assert_eq!(promoflow.run_of(ben).0.waiting_for(), None);
    assert!(promoflow.run_of(cem).0.waiting_for().is_some());
    assert_eq!(
        promoflow.apply_run_action(ben, Action::Cancel).unwrap(),
        done(1)
    );
    assert_eq!(promoflow.run_of(cem).0.waiting_for(), None);
    promoflow.assert_audit();

    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.code_of(cem).as_deref(), Some("W-000"));
    assert_eq!(app.channel.texts(), ["W-000"]);
    promoflow.assert_audit();
}

#[test]
fn p4_a_released_or_reinstated_code_goes_to_a_waiting_run() {
    let (_shop, promoflow) = app();
    promoflow.import_codes(&codes(0, 2, "2999-12-31"));
    promoflow.retire(&["W-000".to_owned()]).unwrap();
    promoflow.add_workflows(HOLDS);
    let running = promoflow.start().unwrap();
    let holder = promoflow.run_event(&running, "holds", "holder@example.com");
    let [ann, ben] = ["ann", "ben"].map(|name| waiting(&promoflow, &running, name));
    promoflow.apply_run_action(holder, Action::Cancel).unwrap();
    until(|| promoflow.run_of(ann).0.state == RunState::Completed);
    assert_eq!(promoflow.code_of(ann).as_deref(), Some("W-001"));
    promoflow.reinstate(&["W-000".to_owned()]).unwrap();
    until(|| promoflow.run_of(ben).0.state == RunState::Completed);
    assert_eq!(promoflow.code_of(ben).as_deref(), Some("W-000"));
    promoflow.assert_audit();
}

#[test]
fn p4_a_stop_event_ends_a_waiting_run() {
    let (app, promoflow) = app();
    let running = promoflow.start().unwrap();
    let run = waiting(&promoflow, &running, "ann");
    running.send(event("enough", "ann")).unwrap();
    promoflow.import_codes(&codes(0, 1, "2999-12-31"));
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Cancelled);
    assert_eq!(promoflow.available_codes(), ["W-000"]);
    assert!(app.channel.texts().is_empty());
    promoflow.assert_audit();
}

#[test]
fn p8_days_count_from_the_assignment_of_a_code_not_from_the_start_of_the_wait() {
    let (app, promoflow) = app();
    let running = promoflow.start().unwrap();
    let run = waiting(&promoflow, &running, "ann");
    app.clock.set("2026-06-10T12:00:00Z");
    // Valid for three more days when the wait began, and one day short now.
    promoflow.import_codes(&codes(0, 1, "2026-06-12"));
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Waiting);
    let other = promoflow.birthday(&running, "ben@example.com");
    assert_eq!(other.as_deref(), Some("W-000"));
    promoflow.import_codes(&codes(1, 1, "2026-06-13"));
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.code_of(run).as_deref(), Some("W-001"));
    promoflow.assert_audit();
}

#[test]
fn p8_a_code_that_expires_before_its_run_continues_is_not_sent() {
    let (app, promoflow) = app();
    let running = promoflow.start().unwrap();
    let run = waiting(&promoflow, &running, "ann");
    running.stop();
    promoflow.import_codes(&codes(0, 1, "2026-06-10"));
    app.clock.set("2026-06-20T12:00:00Z");
    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Waiting);
    promoflow.import_codes(&codes(1, 1, "2999-12-31"));
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Completed);
    assert_eq!(app.channel.texts(), ["W-001"]);
    promoflow.assert_audit();
}

/// Returns a workflow that waits for a code or a reply until 2026-06-02.
fn timing_out(action: &str) -> String {
    format!(
        "
workflow: {action}
start: {{ event: {action} }}
steps:
  - id: wait
    block: mischief
    with: {{ do: {action}, until: 1780401600000, type: birthday, discount: 10 }}
    ports: {{ next: mail, other: end }}
  - id: mail
    block: send-message
    with: {{ channel: email, message: mail }}
"
    )
}

#[test]
fn p2_a_timed_out_wait_claims_no_code_and_one_in_time_claims_one() {
    let (app, promoflow) = app();
    promoflow.add_workflows(&timing_out("wait-code"));
    let running = promoflow.start().unwrap();
    let [late, timely] = ["ann", "ben"].map(|name| {
        let run = promoflow.run_event(&running, "wait-code", &format!("{name}@example.com"));
        assert_eq!(promoflow.run_of(run).0.state, RunState::Waiting);
        run
    });
    promoflow.import_codes(&codes(0, 1, "2999-12-31"));
    running.wait_all_idle().unwrap();
    // In queue order, whatever the order of this test's calls.
    let (late, timely) = (timely, late);
    assert_eq!(promoflow.code_of(timely).as_deref(), Some("W-000"));
    app.clock.set("2026-06-03T12:00:00Z");
    running.wait_all_idle().unwrap();
    let (row, steps) = promoflow.run_of(late);
    assert_eq!(row.state, RunState::Completed);
    assert_eq!(steps.last().unwrap().port.as_deref(), Some("other"));
    promoflow.import_codes(&codes(1, 1, "2999-12-31"));
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.available_codes(), ["W-001"]);
    assert_eq!(waiters(&app), 0);
    promoflow.assert_audit();
}

#[test]
fn a_block_waiting_for_an_available_code_continues_at_once() {
    let (_shop, promoflow) = app();
    promoflow.add_workflows(&timing_out("wait-code"));
    promoflow.import_codes(&codes(0, 1, "2999-12-31"));
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "wait-code", "ann@example.com");
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.code_of(run).as_deref(), Some("W-000"));
    promoflow.assert_audit();
}

#[test]
fn p2_a_run_continues_once_with_its_reply() {
    let (app, promoflow) = app();
    promoflow.add_workflows(&timing_out("wait-reply"));
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "wait-reply", "ann@example.com");
    let waiting_for = promoflow.run_of(run).0.waiting_for().unwrap();
    assert_eq!(waiting_for, "the reply to question");
    let until = promoflow.run_of(run).0.waiting_until().unwrap();
    assert!(until > promoflow.now(), "{until}");
    assert!(!promoflow.reply(run, "another", &json!("yes")).unwrap());
    running.stop();
    assert!(promoflow.reply(run, "question", &json!("yes")).unwrap());
    assert!(!promoflow.reply(run, "question", &json!("no")).unwrap());
    drop(promoflow);

    let promoflow = app.open();
    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    let (row, steps) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Completed, "{row:?}");
    assert_eq!(steps[1].data["reply"], "yes");
    assert_eq!(waiters(&app), 0);
    promoflow.assert_audit();
}

#[test]
fn p8_a_run_whose_code_expired_keeps_its_place_in_the_queue() {
    let (app, promoflow) = app();
    let running = promoflow.start().unwrap();
    let ann = waiting(&promoflow, &running, "ann");
    let ben = waiting(&promoflow, &running, "ben");
    running.stop();
    promoflow.import_codes(&codes(0, 1, "2026-06-10"));
    app.clock.set("2026-06-20T12:00:00Z");
    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    promoflow.import_codes(&codes(1, 1, "2999-12-31"));
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.run_of(ann).0.state, RunState::Completed);
    assert_eq!(promoflow.run_of(ben).0.state, RunState::Waiting);
    assert_eq!(app.channel.texts(), ["W-001"]);
    promoflow.assert_audit();
}

#[test]
fn p1_a_contact_waiting_twice_keeps_one_code_whatever_the_clock_does() {
    let (app, promoflow) = app();
    promoflow.add_workflows(&WAITS.replace("when-empty", "reuse: { contact: 30d }, when-empty"));
    let running = promoflow.start().unwrap();
    let first = waiting(&promoflow, &running, "ann");
    let second = waiting(&promoflow, &running, "ann");
    app.clock.set("2026-05-30T12:00:00Z");
    promoflow.import_codes(&codes(0, 2, "2999-12-31"));
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.code_of(first).as_deref(), Some("W-000"));
    assert_eq!(app.channel.texts(), ["W-000", "W-000"]);
    assert_eq!(promoflow.run_of(second).0.state, RunState::Completed);
    assert_eq!(promoflow.available_codes(), ["W-001"]);
    promoflow.assert_audit();
}

/// A file that takes a day to arrive.
struct Slow<'f>(TestClock, &'f [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.1.read(out)?;
        self.0.advance(if read > 0 { 86_400_000 } else { 0 });
        Ok(read)
    }
}

#[test]
fn p8_a_waiting_run_gets_a_code_valid_at_the_time_of_its_insertion() {
    for strict in [false, true] {
        let (app, promoflow) = app();
        let running = promoflow.start().unwrap();
        let run = promoflow.run_event(&running, "waits", "ann@example.com");
        let options = ImportOptions {
            strict,
            ..ImportOptions::default()
        };
        let upload = |date| {
            let file = codes(0, 1, date);
            let slow = Slow(app.clock.clone(), file.as_bytes());
            promoflow.import(slow, &options, &mut |_| ()).unwrap();
            running.wait_idle(&[run]).unwrap();
            promoflow.code_of(run)
        };
        // Valid for three more days when its upload starts, and for two when it is inserted.
        assert_eq!(upload("2026-06-04"), None, "strict: {strict}");
        assert_eq!(upload("2026-06-09").as_deref(), Some("W-000"));
        promoflow.assert_audit();
    }
}

#[test]
fn p1_a_contact_that_gets_a_code_during_another_claim_keeps_that_code() {
    let (app, promoflow) = app();
    promoflow.add_workflows(&WAITS.replace("when-empty", "reuse: { contact: 30d }, when-empty"));
    let running = promoflow.start().unwrap();
    let first = waiting(&promoflow, &running, "ann");
    // The second run has found no code and is not stored yet.
    let other = app.builder().delivers(false).open().unwrap();
    app.clock.before_commit(move || {
        other.import_codes(&codes(0, 1, "2999-12-31"));
    });
    let second = promoflow.run_event(&running, "waits", "ann@example.com");
    running.wait_all_idle().unwrap();
    assert_eq!(promoflow.code_of(first).as_deref(), Some("W-000"));
    assert_eq!(promoflow.run_of(second).0.state, RunState::Completed);
    promoflow.import_codes(&codes(1, 1, "2999-12-31"));
    running.wait_all_idle().unwrap();
    assert_eq!(app.channel.texts(), ["W-000", "W-000"]);
    assert_eq!(promoflow.available_codes(), ["W-001"]);
    promoflow.assert_audit();
}
