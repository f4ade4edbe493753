//! Messages, workflows, runs, deliveries and blocks.

use serde_json::json;

use crate::service::{Service, TestApp, ok, problem, until};

fn yaml(service: &Service, path: &str, text: &'static str) -> reqwest::blocking::Response {
    let request = service
        .post(path)
        .header("Content-Type", "application/yaml");
    request.body(text).send().unwrap()
}

#[test]
fn messages_and_workflows_are_applied_and_events_start_them() {
    let app = TestApp::new();
    let service = app.serve();
    let message = "{ message: greeting, channel: sms, text: \"Hi $!data.get('name')\" }";
    let applied = ok(yaml(&service, "/api/v1/messages", message));
    assert_eq!(
        (&applied[0]["message"], &applied[0]["version"]),
        (&json!("greeting"), &json!(1))
    );
    assert_eq!(
        ok(yaml(&service, "/api/v1/messages", message))[0]["changed"],
        false
    );
    assert_eq!(service.at("/api/v1/messages/greeting")["channel"], "sms");
    let values = json!({ "name": "Ann" });
    let rendered = service
        .post_json("/api/v1/messages/greeting/render", &values)
        .send()
        .unwrap();
    assert_eq!(ok(rendered)["text"], "Hi Ann");

    let workflow = "
workflow: hello
start: { event: hello }
steps:
  - { id: sms, block: send-message, with: { channel: sms, message: greeting } }
";
    let faulty = "
workflow: hello
start: { event: hello }
steps:
  - { id: sms, block: send-mesage, with: { channel: sms, message: greeting } }
";
    let checked = ok(yaml(&service, "/api/v1/workflows/check", faulty));
    assert_eq!(checked["valid"], false);
    assert_eq!(checked["errors"][0]["line"], 5);
    assert!(
        checked["errors"][0]["hint"]
            .as_str()
            .unwrap()
            .contains("send-message")
    );
    let refused = problem(
        yaml(&service, "/api/v1/workflows", faulty),
        422,
        "invalid-content",
    );
    assert_eq!(refused["errors"][0]["line"], 5);
    assert_eq!(service.at("/api/v1/workflows"), json!([]));
    assert_eq!(
        ok(yaml(&service, "/api/v1/workflows/check", workflow))["valid"],
        true
    );
    assert_eq!(
        ok(yaml(&service, "/api/v1/workflows", workflow))[0]["version"],
        1
    );
    assert!(service.at("/api/v1/workflows/hello")["definition"].is_object());
    let graph = service.get("/api/v1/workflows/hello/graph").send().unwrap();
    assert!(graph.text().unwrap().starts_with("flowchart"));

    let event = json!({ "eventTypeKey": "hello",
                        "params": [{ "name": "Phone", "value": "+380501234567" }] });
    let send = || ok(service.post_json("/api/v1/event", &event).send().unwrap());
    assert_eq!(send()["runs"].as_array().unwrap().len(), 1);
    ok(service
        .post("/api/v1/workflows/hello/pause")
        .send()
        .unwrap());
    assert_eq!(send()["runs"], json!([]));
    let resumed = ok(service
        .post("/api/v1/workflows/hello/resume")
        .send()
        .unwrap());
    assert_eq!(resumed["state"], "active");
    problem(
        service.post("/api/v1/workflows/none/pause").send().unwrap(),
        404,
        "not-found",
    );
}

#[test]
fn applying_returns_warnings() {
    let app = TestApp::new();
    let service = app.serve();
    let messages = "
message: fine
channel: sms
text: t
---
message: coded
channel: sms
text: Your code $!data.get('promocode')
";
    let applied = ok(yaml(&service, "/api/v1/messages", messages));
    assert_eq!(applied[1]["warnings"], json!([]));
    let workflows = "
workflow: a
start: { event: a }
steps:
  - { id: sms, block: send-message, with: { channel: sms, message: fine } }
---
workflow: b
start: { event: b }
steps:
  - { id: sms, block: send-message, with: { channel: sms, message: coded } }
";
    let applied = ok(yaml(&service, "/api/v1/workflows", workflows));
    assert_eq!(applied[0]["warnings"], json!([]));
    let warning = &applied[1]["warnings"][0];
    assert_eq!(
        (&warning["line"], &warning["column"]),
        (&json!(10), &json!(68))
    );
    let detail = "the message `coded` reads `promocode`, and no step before `sms` sets it";
    assert_eq!(warning["detail"], detail);
    assert!(warning["hint"].as_str().unwrap().contains("get-promocode"));

    let viber = "
message: coded
channel: sms
text: $promocode
---
message: fine
channel: viber
text: t
";
    let applied = ok(yaml(&service, "/api/v1/messages", viber));
    assert_eq!(applied[0]["warnings"][0]["line"], 4);
    let warnings = applied[1]["warnings"].as_array().unwrap();
    assert_eq!((warnings.len(), &warnings[0]["line"]), (1, &json!(7)));
    assert_eq!(service.at("/api/v1/messages/fine")["warnings"], json!(null));
}

#[test]
fn runs_and_deliveries_are_listed_shown_retried_and_cancelled() {
    let app = TestApp::ready();
    let service = app.serve();
    service.codes(5);
    for name in ["ann", "bob", "joe"] {
        let event = json!({ "eventTypeKey": "birthday", "keyValue": format!("{name}@example.com"),
            "params": [{ "name": "EmailAddress", "value": format!("{name}@example.com") }] });
        ok(service.post_json("/api/v1/event", &event).send().unwrap());
    }
    let page = service.get("/api/v1/runs?limit=2").send().unwrap();
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    assert_eq!(ok(page)[0]["key"], "joe@example.com");
    let next = link
        .strip_prefix('<')
        .unwrap()
        .split('>')
        .next()
        .unwrap()
        .to_owned();
    let rest = service.at(&next);
    assert_eq!(rest.as_array().unwrap().len(), 1);
    assert_eq!(rest[0]["key"], "ann@example.com");
    let run = rest[0]["run"].as_str().unwrap().to_owned();
    let shown = service.at(&format!("/api/v1/runs/{run}"));
    assert_eq!(shown["steps"][0]["data"]["promocode"], "C-00000");
    assert_eq!(service.at("/api/v1/runs?state=failed"), json!([]));
    problem(
        service.get("/api/v1/runs?state=odd").send().unwrap(),
        400,
        "invalid-request",
    );
    let retried = service
        .post(&format!("/api/v1/runs/{run}/retry"))
        .send()
        .unwrap();
    problem(retried, 409, "invalid-state");
    problem(
        service.post("/api/v1/runs/999/cancel").send().unwrap(),
        404,
        "not-found",
    );
    problem(
        service.get("/api/v1/runs/odd").send().unwrap(),
        404,
        "not-found",
    );

    until(|| {
        service
            .at("/api/v1/outbox?state=delivered")
            .as_array()
            .unwrap()
            .len()
            == 3
    });
    let first = service.at("/api/v1/outbox?limit=1");
    let delivery = first[0]["delivery"].as_str().unwrap();
    assert_eq!(first[0]["history"], json!(null), "not in listings");
    let shown = service.at(&format!("/api/v1/outbox/{delivery}"));
    assert_eq!(shown["address"], "ann@example.com");
    // The same output as the command line.
    let reply = app.succeed(&["outbox", "show", delivery]);
    assert_eq!(shown, reply[0]);
    let ann = json!({ "channel": "email", "address": "ann@example.com", "message": "mail" });
    assert_eq!(shown["alternatives"], json!([ann]));
    assert_eq!(shown["history"][0]["outcome"], "delivered");
    let began = shown["history"][0]["startedAt"].as_str().unwrap();
    assert!(began.ends_with('Z'), "{began}");
    let cancelled = service
        .post(&format!("/api/v1/outbox/{delivery}/cancel"))
        .send()
        .unwrap();
    problem(cancelled, 409, "invalid-state");
}

#[test]
fn blocks_list_their_parameters() {
    let app = TestApp::new();
    let service = app.serve();
    let all = service.at("/api/v1/blocks");
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|one| one["block"] == "send-message")
    );
    let block = service.at("/api/v1/blocks/get-promocode");
    assert_eq!(block["sha256"].as_str().unwrap().len(), 64);
    assert!(
        block["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == "days")
    );
    problem(
        service.get("/api/v1/blocks/none").send().unwrap(),
        404,
        "not-found",
    );
}
