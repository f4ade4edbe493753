//! Events over HTTP.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::service::{Service, TestApp, ok, problem, until};

fn birthday(address: &str) -> Value {
    json!({ "eventTypeKey": "birthday", "keyValue": address,
            "params": [{ "name": "EmailAddress", "value": address }] })
}

fn deliver(service: &Service, address: &str) -> Value {
    until(|| {
        let all = service.at("/api/v1/outbox?state=delivered");
        all.as_array()
            .unwrap()
            .iter()
            .any(|one| one["address"] == address)
    });
    let all = service.at("/api/v1/outbox?state=delivered");
    let mut of_address = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["address"] == address);
    let found = of_address.next().unwrap().clone();
    assert_eq!(of_address.next(), None);
    found
}

#[test]
fn no_text_contains_u_0000() {
    let app = TestApp::ready();
    let service = app.serve();
    let mut event = birthday("ann@example.com");
    event["params"][0]["value"] = json!("a\0");
    let refused = service.post_json("/api/v1/event", &event).send().unwrap();
    let refused = problem(refused, 400, "invalid-event");
    assert!(refused["detail"].as_str().unwrap().contains("U+0000"));
    for path in ["/api/v1/contacts/a%00", "/api/v1/promocodes?type=a%00"] {
        problem(service.get(path).send().unwrap(), 400, "invalid-request");
    }
}

#[test]
fn an_event_claims_and_delivers_a_code() {
    let app = TestApp::ready();
    let service = app.serve();
    service.codes(3);
    let answer = ok(service
        .post_json("/api/v1/event", &birthday("ann@example.com"))
        .send()
        .unwrap());
    assert_eq!(answer["status"], "accepted");
    let run = service.at(&format!(
        "/api/v1/runs/{}",
        answer["runs"][0].as_str().unwrap()
    ));
    assert_eq!(run["state"], "completed");
    assert_eq!(deliver(&service, "ann@example.com")["text"], "C-00000");
    assert_eq!(
        service.at("/api/v1/promocodes/count?type=birthday")["count"],
        2
    );
    assert_eq!(
        service.at("/api/v1/promocodes/C-00000")["usedBy"]["contact"],
        "ann@example.com"
    );
}

#[test]
fn placeholder_ids_and_keys_are_ignored_in_every_format() {
    let app = TestApp::ready();
    let service = app.serve();
    let params = |address: &str| {
        json!([{ "name": "externalCustomerId", "value": "null" },
               { "name": "EmailAddress", "value": address }])
    };
    for (path, key) in [
        ("/api/v1/event", json!("null")),
        ("/api/v1/event", json!("  ")),
        ("/api/v2/event", json!(null)),
        ("/api/v2/event", json!("undefined")),
    ] {
        let event =
            json!({ "eventTypeKey": "x", "keyValue": key, "params": params("ann@example.com") });
        ok(service.post_json(path, &event).send().unwrap());
        let placeholder = json!({ "eventTypeKey": "x", "keyValue": key, "params": params("null") });
        let refused = service.post_json(path, &placeholder).send().unwrap();
        let refused = problem(refused, 400, "invalid-event");
        assert_eq!(refused["errors"][0]["field"], "keyValue");
    }
    let cloud = |subject: &str, email: &str| {
        let event = json!({ "specversion": "1.0", "id": email, "source": "/shop", "type": "x",
            "subject": subject, "data": { "contact_id": "NULL", "Email": email } });
        let post = service.post("/api/v1/cloudevents");
        let post = post.header("Content-Type", "application/cloudevents+json");
        post.body(event.to_string()).send().unwrap()
    };
    ok(cloud("null", "bob@example.com"));
    problem(cloud("null", "undefined"), 400, "invalid-event");
    let contacts = service.at("/api/v1/contacts");
    let contacts = contacts.as_array().unwrap();
    assert_eq!(contacts.len(), 2, "{contacts:?}");
    assert!(contacts.iter().all(|one| one["externalId"].is_null()));
}

#[test]
fn v2_accepts_lists_and_objects_and_v1_rejects_them() {
    let app = TestApp::ready();
    let service = app.serve();
    let event = json!({ "eventTypeKey": "never seen", "keyValue": "ann",
                        "params": [{ "name": "items", "value": [{ "sku": 1 }] }] });
    ok(service.post_json("/api/v2/event", &event).send().unwrap());
    let refused = service.post_json("/api/v1/event", &event).send().unwrap();
    let reply = problem(refused, 400, "invalid-event");
    assert_eq!(reply["field"], "params[0]");
    // Numbers are converted to text.
    let number =
        json!({ "eventTypeKey": "never seen", "params": [{ "name": "ContactId", "value": 7 }] });
    ok(service.post_json("/api/v1/event", &number).send().unwrap());
}

#[test]
fn rejects_out_of_range_values_naming_the_field() {
    let app = TestApp::ready();
    let service = app.serve();
    for (event, field) in [
        (json!({ "keyValue": "ann" }), "eventTypeKey"),
        (json!({ "eventTypeKey": "birthday" }), "keyValue"),
        (
            json!({ "eventTypeKey": "a;b", "keyValue": "ann" }),
            "eventTypeKey",
        ),
        (
            json!({ "eventTypeKey": "x".repeat(101), "keyValue": "ann" }),
            "eventTypeKey",
        ),
    ] {
        let refused = service.post_json("/api/v1/event", &event).send().unwrap();
        assert_eq!(problem(refused, 400, "invalid-event")["field"], field);
    }
    let large = json!({ "eventTypeKey": "a", "keyValue": "k",
                        "params": [{ "name": "x", "value": "x".repeat(21_000) }] });
    let refused = service.post_json("/api/v2/event", &large).send().unwrap();
    problem(refused, 413, "body-too-large");
    let form = service.post("/api/v1/event").form_body("a=b");
    problem(form.send().unwrap(), 415, "unsupported-media-type");
}

#[test]
fn p5_different_numbers_stay_different_keys() {
    let app = TestApp::ready();
    let service = app.serve();
    let send = |path: &str, body: String| {
        let request = service
            .post(path)
            .header("Content-Type", "application/json");
        request.body(body).send().unwrap()
    };
    for number in ["89014103211118510720", "89014103211118510999"] {
        for (path, field, body) in [
            (
                "/api/v1/event",
                "id",
                r#"{"eventTypeKey": "e", "keyValue": "k", "id": N}"#,
            ),
            (
                "/api/v1/event",
                "keyValue",
                r#"{"eventTypeKey": "e", "keyValue": N}"#,
            ),
            (
                "/api/v2/event",
                "params[1]",
                r#"{"eventTypeKey": "e", "params": {"a": 1, "externalCustomerId": N}}"#,
            ),
            (
                "/api/v1/event",
                "params[0]",
                r#"{"eventTypeKey": "e", "keyValue": "k", "params": [{"name": "card", "value": N}]}"#,
            ),
        ] {
            let reply = problem(send(path, body.replace('N', number)), 400, "invalid-event");
            assert_eq!(reply["field"], field);
            assert!(
                reply["detail"].as_str().unwrap().contains("in quotes"),
                "{reply}"
            );
            let text = format!("\"{number}\"");
            assert_eq!(
                ok(send(path, body.replace('N', &text)))["status"],
                "accepted"
            );
        }
    }
}

#[test]
fn errors_in_a_body_have_positions() {
    let app = TestApp::ready();
    let service = app.serve();
    for (params, field) in [
        (r#"{"a": "1", "a": "2"}"#, "params"),
        (r#"[{"name": "a", "value": 1, "z": 2}]"#, "params[0].z"),
        (r#"[{"name": "a"}, {"name": "b\u0007"}]"#, "params[1]"),
    ] {
        let body = format!(r#"{{"eventTypeKey": "e", "keyValue": "k", "params": {params}}}"#);
        let request = service.post("/api/v2/event").body(body);
        let refused = request.header("Content-Type", "application/json").send();
        let reply = problem(refused.unwrap(), 400, "invalid-event");
        assert_eq!(reply["field"], field, "{reply}");
        assert_eq!(reply["errors"][0]["field"], field);
    }
    let coded = service.post_json("/api/v1/event", &birthday("ann@example.com"));
    let coded = coded.header("Content-Encoding", "gzip").send().unwrap();
    assert_eq!(coded.headers()["accept-encoding"], "identity");
    problem(coded, 415, "unsupported-media-type");
}

#[test]
fn an_address_that_is_no_valid_key_gets_its_code() {
    let app = TestApp::ready();
    let service = app.serve();
    service.codes(1);
    let event = json!({ "eventTypeKey": "birthday", "params": { "Email": "o'brien@example.com" } });
    ok(service.post_json("/api/v1/event", &event).send().unwrap());
    assert_eq!(deliver(&service, "o'brien@example.com")["text"], "C-00000");
    let chosen = birthday("o'brien@example.com");
    let refused = service.post_json("/api/v1/event", &chosen).send().unwrap();
    assert_eq!(problem(refused, 400, "invalid-event")["field"], "keyValue");
}

trait FormBody {
    fn form_body(self, body: &'static str) -> Self;
}

impl FormBody for reqwest::blocking::RequestBuilder {
    fn form_body(self, body: &'static str) -> Self {
        self.header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
    }
}

#[test]
fn p5_the_idempotency_key_is_the_event_s_id() {
    let app = TestApp::ready();
    let service = app.serve();
    service.codes(3);
    let send = |key: &str, event: &Value| {
        let request = service.post_json("/api/v1/event", event);
        request.header("Idempotency-Key", key).send().unwrap()
    };
    let first = ok(send("e-1", &birthday("ann@example.com")));
    let again = ok(send("e-1", &birthday("ann@example.com")));
    assert_eq!(
        (&first["event"], &first["runs"]),
        (&again["event"], &again["runs"])
    );
    assert_eq!(
        (&first["status"], &again["status"]),
        (&json!("accepted"), &json!("duplicate"))
    );
    problem(
        send("e-1", &birthday("bob@example.com")),
        409,
        "event-conflict",
    );
    let mut named = birthday("ann@example.com");
    named["id"] = json!("e-2");
    problem(send("e-3", &named), 400, "invalid-event");
    assert_eq!(service.at("/api/v1/runs").as_array().unwrap().len(), 1);
}

#[test]
fn p7_acknowledged_events_survive_kills_and_have_one_run() {
    const KILLS: usize = 4;
    let app = TestApp::ready();
    let mut service = app.serve_with(&["--events-per-second", "100000"]);
    service.codes(5_000);
    let acknowledged = Mutex::new(HashSet::new());
    let sent = AtomicU64::new(0);
    for _ in 0..KILLS {
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !ended.load(Ordering::SeqCst) {
                        let id = format!("e-{}", sent.fetch_add(1, Ordering::SeqCst));
                        let event = birthday(&format!("{id}@example.com"));
                        let request = service.post_json("/api/v1/event", &event);
                        match request.header("Idempotency-Key", &id).send() {
                            Ok(answer) if answer.status().is_success() => {
                                acknowledged.lock().unwrap().insert(id);
                            }
                            _ => return,
                        }
                    }
                });
            }
            let before = acknowledged.lock().unwrap().len();
            until(|| acknowledged.lock().unwrap().len() >= before + 50);
            let pid = i32::try_from(service.child.id()).unwrap();
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            )
            .unwrap();
            ended.store(true, Ordering::SeqCst);
        });
        drop(service);
        service = app.serve_with(&["--events-per-second", "100000"]);
    }
    assert_eq!(service.end(), Some(0));
    let runs = app.succeed(&["run", "list"]);
    let mut events = HashSet::new();
    for run in &runs {
        let event = run["event"].as_str().unwrap().to_owned();
        assert!(events.insert(event), "two runs: {run}");
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    let lost: Vec<_> = acknowledged.difference(&events).collect();
    assert!(lost.is_empty(), "{lost:?}");
    app.assert_audit();
}
