//! A row that cannot be read never hides or blocks other rows.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice::from_ref;

use promoflow::alert::{Kind, Rule, Rules};
use promoflow::contact::ContactOptions;
use promoflow::event::Event;
use promoflow::key::Scope;
use promoflow::message::ChannelKind;
use promoflow::pool::ImportOptions;
use promoflow::store::{Action, ActionResult, RunId, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_test_support::Value;
use promoflow_tests::{PromoflowExt, TestApp, until};

/// Workflows whose runs wait: for a refill, for a reply, for a time.
const WAITING: &str = "
workflow: refill
start: { event: refill, repeat: every-time, skip-if-running: true }
stop: { event: stop }
steps:
  - id: code
    block: get-promocode
    with: { type: refill, discount: 10, days: 0, when-empty: wait, reuse: { contact: 30d } }
    ports: { exhausted: end }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
---
workflow: asks
start: { event: asks }
steps:
  - { id: ask, block: mischief, with: { do: wait-reply, until: 1790000000000 }, ports: { other: end } }
---
workflow: sleeps
start: { event: sleeps }
steps:
  - { id: sleep, block: mischief, with: { do: wait, until: 1780401600000 }, ports: { other: end } }
---
workflow: tries
start: { event: tries }
steps:
  - { id: try, block: mischief, with: { do: unavailable }, ports: { other: end } }
---
workflow: ways
start: { event: ways }
steps:
  - id: mail
    block: send-message
    with: { channel: email, message: mail, otherwise: [{ channel: sms, message: text, to: '+380501234567' }] }
---
workflow: keeps
start: { event: keeps }
steps:
  - id: code
    block: get-promocode
    with: { type: keeps, discount: 10, days: 0, reuse: { contact: 30d } }
---
workflow: drops
start: { event: drops }
steps:
  - { id: code, block: get-promocode, with: { type: keeps, discount: 10, days: 0 } }
  - { id: sleep, block: mischief, with: { do: wait, until: 1780401600000 }, ports: { other: end } }
";

/// Returns unreadable values: invalid JSON, JSON that is nested too deeply, an unknown name,
/// out-of-range numbers, invalid UTF-8.
fn unreadable_values() -> Vec<Value> {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    vec![
        Value::Text("{\"a\":".to_owned()),
        Value::Text(deep),
        Value::Text("no-such-name".to_owned()),
        Value::Integer(-1),
        Value::Integer(i64::MAX),
        Value::InvalidText(vec![0xff, b'"']),
    ]
}

fn event(kind: &str, address: &str) -> Event {
    Event::new(kind, address).with_param("EmailAddress", address)
}

/// Creates waiting runs of two contacts each; the first of each pair is damaged later.
fn with_waiting_runs(app: &TestApp) -> Promoflow {
    let rule = Rule {
        kind: Kind::Available,
        code_type: None,
        discount: None,
        warning: 5,
        alarm: 3,
        within_days: 7,
        webhooks: Vec::new(),
    };
    let promoflow = app.builder().alerts(Rules::new(vec![rule])).open().unwrap();
    promoflow.add_messages(promoflow_tests::MAIL);
    promoflow.add_messages("{ message: text, channel: sms, text: hello }");
    promoflow.add_workflows(promoflow_tests::CODE_THEN_MAIL);
    promoflow.add_workflows(WAITING);
    promoflow
}

fn send_all(promoflow: &Promoflow, running: &EngineHandle) {
    for (number, address) in ["victim@example.com", "other@example.com"]
        .iter()
        .enumerate()
    {
        let mut upload = String::from("code,expirationDate,discount,type\n");
        upload.push_str(&format!(
            "V-{number},2999-12-31,10,victim-{number}\nbad,no date,10,victim\n\
             K-{number},2999-12-31,10,keeps\nD-{number},2999-12-31,10,keeps\n"
        ));
        promoflow
            .import(upload.as_bytes(), &ImportOptions::default(), &mut |_| ())
            .unwrap();
        for kind in [
            "refill", "asks", "sleeps", "tries", "ways", "keeps", "drops",
        ] {
            let mut event = event(kind, address);
            event.id = Some(format!("{kind}-{number}"));
            let receipt = running.send(event).unwrap();
            running.wait_idle(&receipt.runs).unwrap();
            if kind == "drops" {
                // Its code is released.
                let cancelled = promoflow.apply_run_action(receipt.runs[0], Action::Cancel);
                assert!(matches!(cancelled, Ok(ActionResult::Done { .. })));
            }
        }
        let contacts = format!(
            "[{{ \"contact\": \"p{number}\", \"email\": \"{address}\", \"fields\": {{ \"a\": {{}} }},
                 \"languages\": \"uk\", \"timeZone\": \"Europe/Kyiv\", \"consent\": {{ \"sms\": true }} }}]"
        );
        let options = ContactOptions::default();
        promoflow
            .import_contacts(contacts.as_bytes(), options.clone(), &mut |_| ())
            .unwrap();
        // A contact with a former address, whose present one has unsubscribed.
        for address in ["old", "new"] {
            let contact = format!(
                "[{{ \"contact\": \"q{number}\", \"email\": \"{address}{number}@example.com\" }}]"
            );
            promoflow
                .import_contacts(contact.as_bytes(), options.clone(), &mut |_| ())
                .unwrap();
        }
        promoflow
            .unsubscribe(&format!("q{number}"), &[ChannelKind::Email])
            .unwrap();
        let key = promoflow.create_key(&[Scope::Read]).unwrap();
        assert!(!key.key.id.is_empty());
        promoflow
            .unsubscribe(&format!("p{number}"), &[ChannelKind::Viber])
            .unwrap();
    }
}

/// Calls everything that lists or counts.
fn read_everything(promoflow: &Promoflow, what: &str) {
    let go_on = ControlFlow::<()>::Continue(());
    let runs = promoflow.runs(None, 1_000).expect(what);
    assert!(runs.len() >= 10, "{what}: {} runs", runs.len());
    for run in &runs {
        promoflow.run(run.id).expect(what);
    }
    for state in [RunState::Failed, RunState::Waiting] {
        promoflow.runs_before(Some(state), None, 10).expect(what);
    }
    let (mut deliveries, mut codes, mut contacts) = (0, 0, 0);
    promoflow
        .deliveries(None, |_| {
            deliveries += 1;
            go_on
        })
        .expect(what);
    promoflow
        .codes(&Default::default(), |_| {
            codes += 1;
            go_on
        })
        .expect(what);
    promoflow
        .contacts(|_| {
            contacts += 1;
            go_on
        })
        .expect(what);
    assert!(deliveries >= 1 && codes >= 3 && contacts >= 1, "{what}");
    assert!(!promoflow.workflows().expect(what).is_empty(), "{what}");
    assert!(!promoflow.messages().expect(what).is_empty(), "{what}");
    promoflow.workflow_names().expect(what);
    assert!(!promoflow.keys().expect(what).is_empty(), "{what}");
    assert!(
        !promoflow.uploads(None, 100).expect(what).is_empty(),
        "{what}"
    );
    for upload in promoflow.uploads(None, 100).expect(what) {
        promoflow.upload(upload.id).expect(what);
    }
    assert!(!promoflow.alerts().expect(what).is_empty(), "{what}");
    promoflow.notifications(None, None, 10).expect(what);
    promoflow.forecast().expect(what);
    promoflow.count(&Default::default()).expect(what);
    promoflow.is_idle().expect(what);
    promoflow.audit().expect(what);
}

/// The tables whose rows are damaged one at a time. Excludes settings, which are single rows, and
/// tables of keys; of tables that every workflow needs, the row that only the damaged workflow needs.
const TABLES: [(&str, &str); 29] = [
    ("run", "1 = 1"),
    ("event", "1 = 1"),
    ("journal", "1 = 1"),
    ("delivery", "1 = 1"),
    ("attempt", "1 = 1"),
    ("delivery_alternative", "1 = 1"),
    ("run_wait", "1 = 1"),
    ("retry_state", "1 = 1"),
    ("start_record", "1 = 1"),
    ("claim", "1 = 1"),
    ("claim_release", "1 = 1"),
    ("contact_code", "1 = 1"),
    ("contact", "1 = 1"),
    ("contact_address", "1 = 1"),
    ("consent", "1 = 1"),
    ("suppression", "1 = 1"),
    ("former_address", "1 = 1"),
    ("api_key", "1 = 1"),
    ("upload", "1 = 1"),
    ("upload_batch", "1 = 1"),
    ("upload_end", "1 = 1"),
    ("upload_rejection", "1 = 1"),
    ("alert", "1 = 1"),
    ("code_group", "type LIKE 'victim%'"),
    ("code", "code LIKE 'V-%'"),
    ("available_code", "code LIKE 'V-%'"),
    ("workflow", "id <> 'birthday'"),
    ("message", "id <> 'mail'"),
    ("workflow_state", "workflow <> 'birthday'"),
];

#[test]
fn a_damaged_row_of_any_table_hides_no_other_and_blocks_nothing() {
    // The columns of a file take any value.
    let app = TestApp::with_file();
    let promoflow = with_waiting_runs(&app);
    let mut csv = "code,expirationDate,discount,type\n".to_owned();
    (0..20).for_each(|n| csv.push_str(&format!("C-{n:04},2999-12-31,10,birthday\n")));
    promoflow.import_codes(&csv);
    let running = promoflow.start().unwrap();
    send_all(&promoflow, &running);
    read_everything(&promoflow, "whole");
    let database = app.inspect();
    let (mut damaged, mut faults) = (0, Vec::new());
    for (table, which) in TABLES {
        let before_table = damaged;
        let columns = database.columns(table).unwrap();
        let (keys, others): (Vec<_>, Vec<_>) = columns.into_iter().partition(|one| one.is_key);
        let keys: Vec<_> = keys.into_iter().map(|key| key.name).collect();
        let place = keys.join(", ");
        for column in others.into_iter().map(|column| column.name) {
            let first = format!(
                "({place}) = (SELECT {place} FROM {table} WHERE {which} ORDER BY {place} LIMIT 1)"
            );
            let read = format!("SELECT {column} FROM {table} WHERE {first}");
            let Some(before) = database.rows::<Value>(&read, &[]).unwrap().pop() else {
                continue;
            };
            let write = format!("UPDATE {table} SET {column} = $1 WHERE {first}");
            for value in unreadable_values() {
                let what = format!("{table}.{column} = {value:?}");
                // A numeric column does not accept text, and vice versa.
                if database.execute(&write, &[value]) != Ok(1) {
                    continue;
                }
                damaged += 1;
                let looked = catch_unwind(AssertUnwindSafe(|| {
                    read_everything(&promoflow, &what);
                    // Whatever is damaged, other runs get their codes and messages.
                    let address = format!("c{damaged}@example.com");
                    let code = promoflow.birthday(&running, &address);
                    assert!(code.is_some(), "{what}");
                    promoflow.import_codes(&format!(
                        "code,expirationDate,discount,type\nN-{damaged},2999-12-31,10,birthday\n"
                    ));
                }));
                faults.extend(looked.err().map(|_| what));
                database.execute(&write, from_ref(&before)).unwrap();
            }
        }
        if damaged == before_table {
            faults.push(format!("no row of {table} was damaged"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(damaged > 200, "{damaged}");
}

/// Damages a due run and checks its error.
fn assert_fails_alone(kind: &str, damage: &str, says: &str) {
    let app = TestApp::new();
    let promoflow = with_waiting_runs(&app);
    let running = promoflow.start().unwrap();
    let victim = promoflow.run_event(&running, kind, "victim@example.com");
    let other = promoflow.run_event(&running, kind, "other@example.com");
    let damage = damage.replace("RUN", &victim.to_string());
    app.inspect().execute(&damage, &[]).unwrap();
    // All others continue: the refill, the reply, the time, the next attempt.
    let before = promoflow.run_of(other).0;
    if kind == "refill" {
        promoflow.import_codes(
            "code,expirationDate,discount,type\nR-1,2999-12-31,10,refill\nR-2,2999-12-31,10,refill\n",
        );
    }
    for run in [victim, other] {
        let reply = serde_json::json!("yes");
        drop(promoflow.reply(run, "question", &reply));
    }
    app.clock.set("2026-06-03T00:00:00Z");
    until(|| {
        let (row, _) = promoflow.run_of(victim);
        row.state == RunState::Failed && row.error.is_some_and(|error| error.contains("repair it"))
    });
    let error = promoflow.run_of(victim).0.error.unwrap();
    assert!(error.contains(says), "{kind}: {error}");
    until(|| {
        let (row, _) = promoflow.run_of(other);
        row.state == RunState::Completed
            || (kind == "tries" && row.error != before.error)
            || (kind == "tries"
                && row
                    .retry_state
                    .is_some_and(|retry_state| retry_state.attempts > 1))
    });
    running.wait_all_idle().unwrap();
}

#[test]
fn an_unreadable_due_run_fails_alone_with_the_reason() {
    let deep = format!("'{{\"a\":{}{}}}'", "[".repeat(200), "]".repeat(200));
    let deep = format!("UPDATE run SET data = {deep} WHERE id = RUN");
    assert_fails_alone("refill", &deep, "the values of run");
    assert_fails_alone(
        "sleeps",
        "UPDATE run SET data = '{' WHERE id = RUN",
        "the values of run",
    );
    assert_fails_alone(
        "sleeps",
        "UPDATE journal SET steps = '[1]' WHERE run = RUN",
        "the steps of run",
    );
    assert_fails_alone(
        "asks",
        "UPDATE run_wait SET reply = '{' , is_served = 1 WHERE run = RUN;
                         UPDATE run SET due_at = 0 WHERE id = RUN",
        "the reply to run",
    );
    assert_fails_alone(
        "sleeps",
        "UPDATE run SET event = 99999 WHERE id = RUN",
        "its event is missing",
    );
    assert_fails_alone(
        "sleeps",
        "UPDATE run SET step = -1 WHERE id = RUN",
        "a value",
    );
    assert_fails_alone(
        "tries",
        "UPDATE retry_state SET kind = 'odd' WHERE run = RUN",
        "the kind of a failure",
    );
}

#[test]
fn a_repaired_run_can_be_retried() {
    let app = TestApp::new();
    let promoflow = with_waiting_runs(&app);
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "sleeps", "victim@example.com");
    let database = app.inspect();
    let write = "UPDATE run SET data = $2 WHERE id = $1";
    let data = |data: &str| database.execute(write, &[run.0.into(), data.into()]);
    assert_eq!(data("{"), Ok(1));
    app.clock.set("2026-06-03T00:00:00Z");
    until(|| promoflow.run_of(run).0.state == RunState::Failed);
    promoflow.assert_audit();
    assert_eq!(data("{}"), Ok(1));
    let retried = promoflow.apply_run_action(run, Action::Retry).unwrap();
    assert!(matches!(retried, ActionResult::Done { .. }), "{retried:?}");
    until(|| promoflow.run_of(run).0.state == RunState::Completed);
    promoflow.assert_audit();
}

#[test]
fn values_that_cannot_be_read_back_are_never_stored() {
    let app = TestApp::new();
    let promoflow = with_waiting_runs(&app);
    let running = promoflow.start().unwrap();
    let deep = |depth| (0..depth).fold(serde_json::json!(1), |value, _| serde_json::json!([value]));
    let run = promoflow.run_event(&running, "asks", "ann@example.com");
    let refused = promoflow.reply(run, "question", &deep(65)).unwrap_err();
    assert!(
        refused.to_string().contains("64 levels deep"),
        "{refused:#}"
    );
    let event = event("asks", "ben@example.com").with_param("deep", deep(65));
    let refused = running.send(event).unwrap_err();
    assert!(refused.to_string().contains("64 levels deep"), "{refused}");
    assert!(promoflow.reply(run, "question", &deep(64)).unwrap());
    until(|| promoflow.run_of(run).0.state == RunState::Completed);
    assert_eq!(promoflow.run(RunId(run.0 + 1)).unwrap(), None);
    let contacts = format!(
        "[{{ \"contact\": \"a\", \"deep\": {} }}, {{ \"contact\": \"b\" }}]",
        deep(65)
    );
    let report = promoflow
        .import_contacts(contacts.as_bytes(), ContactOptions::default(), &mut |_| ())
        .unwrap();
    assert_eq!(
        (report.inserted, report.rejected),
        (1, 1),
        "{:?}",
        report.errors
    );
}
