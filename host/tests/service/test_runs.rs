//! Test runs, and the recipient of a code, as the command line shows them.

use serde_json::json;

use crate::service::{TestApp, ok, problem, until};

#[test]
fn p11_a_test_event_over_http_reports_its_effects_and_has_none() {
    let app = TestApp::ready();
    let mut service = app.serve();
    service.codes(2);
    let event = json!({ "id": "e-1", "eventTypeKey": "birthday", "keyValue": "ann@example.com",
                        "params": { "EmailAddress": "ann@example.com" } });
    let test = || {
        service
            .post_json("/api/v1/event/test", &event)
            .send()
            .unwrap()
    };
    for _ in 0..2 {
        let reply = ok(test());
        assert_eq!(
            (&reply["event"], &reply["status"]),
            (&json!("e-1"), &json!("test"))
        );
        let [run] = &reply["plan"].as_array().unwrap()[..] else {
            panic!("{reply}")
        };
        assert_eq!(run["workflow"], "birthday");
        assert_eq!(run["code"], "C-00000");
        assert_eq!(run["steps"][0]["port"], "next");
        let delivery = &run["deliveries"][0];
        assert_eq!(delivery["address"], "ann@example.com");
        assert_eq!(
            (&delivery["channel"], &delivery["text"]),
            (&json!("email"), &json!("C-00000"))
        );
        assert_eq!(run["error"], json!(null));
    }
    // The same output as the command line.
    let file = app.path("event.jsonl");
    std::fs::write(&file, event.to_string()).unwrap();
    let printed = app.succeed(&["event", "send", "--test", "--file", file.to_str().unwrap()]);
    let mut over_http = ok(test());
    let mut here = printed[0]["plan"].clone();
    for plan in [&mut here, &mut over_http["plan"]] {
        for step in plan[0]["steps"].as_array_mut().unwrap() {
            step["startedAt"] = json!(null);
            step["finishedAt"] = json!(null);
        }
    }
    assert_eq!(here, over_http["plan"]);
    // Nothing was done, and the event can still be sent.
    assert_eq!(service.at("/api/v1/promocodes/count")["available"], 2);
    for path in ["/api/v1/runs", "/api/v1/outbox"] {
        assert_eq!(service.at(path), json!([]), "{path}");
    }
    let sent = ok(service.post_json("/api/v1/event", &event).send().unwrap());
    assert_eq!(sent["status"], "accepted");
    let invalid = json!({ "eventTypeKey": "a/b", "keyValue": "x" });
    let invalid = service.post_json("/api/v1/event/test", &invalid);
    problem(invalid.send().unwrap(), 400, "invalid-event");
    // It shows available codes: a key that may only send events must not see them.
    service.key = app.key("events");
    until(|| {
        service
            .post_json("/api/v1/event", &event)
            .send()
            .unwrap()
            .status()
            == 200
    });
    let refused = service.post_json("/api/v1/event/test", &event);
    problem(refused.send().unwrap(), 403, "insufficient-scope");
    app.assert_audit();
}

#[test]
fn a_code_shows_the_delivery_that_carried_it() {
    let app = TestApp::ready();
    let service = app.serve();
    service.codes(2);
    let event = json!({ "eventTypeKey": "birthday", "keyValue": "ann@example.com",
                        "params": { "EmailAddress": "ann@example.com" } });
    ok(service.post_json("/api/v1/event", &event).send().unwrap());
    let shown = || service.at("/api/v1/promocodes/C-00000");
    until(|| shown()["delivery"]["state"] == "delivered");
    let shown = shown();
    assert_eq!(shown["delivery"]["address"], "ann@example.com");
    assert_eq!(shown["usedBy"]["contact"], "ann@example.com");
    assert_eq!(shown, app.succeed(&["codes", "show", "C-00000"])[0]);
    assert_eq!(
        service.at("/api/v1/promocodes/C-00001")["delivery"],
        json!(null)
    );
}

#[test]
fn answers_are_not_cacheable() {
    let app = TestApp::ready();
    let service = app.serve();
    for path in ["/api/v1/promocodes", "/api/v1/keys", "/nothing", "/docs/"] {
        let answer = service.get(path).send().unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(
            answer.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
    }
    let refused = service.client.get(format!("{}/api/v1/runs", service.url));
    assert_eq!(
        refused.send().unwrap().headers()["cache-control"],
        "no-store"
    );
}
