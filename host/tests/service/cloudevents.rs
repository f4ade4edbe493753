//! CloudEvents 1.0 over HTTP.

use serde_json::{Value, json};

use crate::service::{Service, TestApp, ok, problem};

const PATH: &str = "/api/v1/cloudevents";

fn structured(service: &Service, media: &str, body: &Value) -> reqwest::blocking::Response {
    let request = service.post(PATH).header("Content-Type", media);
    request.body(body.to_string()).send().unwrap()
}

#[test]
fn binary_structured_and_batched_events_are_the_same_event() {
    let app = TestApp::ready();
    let service = app.serve();
    service.codes(3);
    let data = json!({ "EmailAddress": "ann@example.com" });
    let binary = service.post_json(PATH, &data);
    let binary = binary
        .header("ce-specversion", "1.0")
        .header("ce-id", "7")
        .header("ce-source", "/shop")
        .header("ce-type", "birthday")
        .header("ce-subject", "ann%40example.com");
    let first = ok(binary.send().unwrap());
    assert_eq!(first[0]["event"], "/shop 7");
    assert_eq!(first[0]["status"], "accepted");

    let event = json!({ "specversion": "1.0", "id": "7", "source": "/shop", "type": "birthday",
                        "subject": "ann@example.com", "data": data, "time": "2026-01-01T00:00:00Z" });
    let again = ok(structured(
        &service,
        "application/cloudevents+json; charset=UTF-8",
        &event,
    ));
    assert_eq!(again[0]["status"], "duplicate");
    assert_eq!(again[0]["runs"], first[0]["runs"]);

    let mut other = event.clone();
    other["source"] = json!("/other");
    let batch = json!([event, other]);
    let batch = ok(structured(
        &service,
        "application/cloudevents-batch+json",
        &batch,
    ));
    assert_eq!(batch[0]["status"], "duplicate");
    assert_eq!(batch[1]["status"], "accepted");
    assert_eq!(service.at("/api/v1/runs").as_array().unwrap().len(), 2);
}

#[test]
fn rejects_invalid_cloudevents_naming_the_attribute() {
    let app = TestApp::ready();
    let service = app.serve();
    let whole = json!({ "specversion": "1.0", "id": "7", "source": "/shop", "type": "birthday",
                        "subject": "ann", "data": {} });
    for (field, value) in [
        ("specversion", json!("0.3")),
        ("id", Value::Null),
        ("source", json!("")),
        ("source", json!("a b")),
        ("type", json!(7)),
        ("data", json!([1])),
    ] {
        let mut event = whole.clone();
        event[field] = value;
        let refused = structured(&service, "application/cloudevents+json", &event);
        assert_eq!(problem(refused, 400, "invalid-event")["field"], field);
    }
    let missing = service.post_json(PATH, &json!({})).send().unwrap();
    problem(missing, 400, "invalid-event");
    let text = structured(&service, "text/plain", &whole);
    problem(text, 415, "unsupported-media-type");
}

/// Returns an event in binary mode whose only content is `data`.
fn binary(
    service: &Service,
    headers: &[(&str, &str)],
    data: &Value,
) -> reqwest::blocking::Response {
    let mut request = service
        .post(PATH)
        .header("ce-specversion", "1.0")
        .header("ce-source", "/shop")
        .header("ce-type", "birthday");
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        request = request.header("Content-Type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(data.to_string()).send().unwrap()
}

#[test]
fn p5_a_quoted_value_equals_the_plain_value() {
    let app = TestApp::ready();
    let service = app.serve();
    let ann = json!({ "EmailAddress": "ann@example.com" });
    let first = ok(binary(&service, &[("ce-id", "a%20b")], &ann));
    let quoted = ok(binary(&service, &[("ce-id", "\"a%20b\"")], &ann));
    assert_eq!(
        (&first[0]["status"], &quoted[0]["status"]),
        (&json!("accepted"), &json!("duplicate"))
    );
    let open = binary(&service, &[("ce-id", "\"a")], &ann);
    assert_eq!(problem(open, 400, "invalid-event")["field"], "id");
    let twice = binary(&service, &[("ce-id", "1"), ("ce-id", "2")], &ann);
    assert_eq!(problem(twice, 400, "invalid-event")["field"], "id");
}

#[test]
fn p5_rejects_another_event_under_an_idempotency_key() {
    let app = TestApp::ready();
    let service = app.serve();
    let ann = json!({ "EmailAddress": "ann@example.com" });
    let send = |id: &str| binary(&service, &[("ce-id", id), ("Idempotency-Key", "k-1")], &ann);
    let first = ok(send("1"));
    // The bodies are the same, but the events differ.
    problem(send("2"), 422, "idempotency-key-reused");
    let again = send("1");
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(ok(again), first);
    assert_eq!(service.at("/api/v1/runs").as_array().unwrap().len(), 1);
}

#[test]
fn a_subject_that_is_no_valid_key_is_ignored_in_favour_of_the_data() {
    let app = TestApp::ready();
    let service = app.serve();
    let path = ("ce-subject", "/orders/7");
    let ann = json!({ "EmailAddress": "ann@example.com" });
    let media = (
        "Content-Type",
        "application/vnd.shop.order+json; charset=utf-8",
    );
    ok(binary(&service, &[("ce-id", "1"), path, media], &ann));
    assert_eq!(service.at("/api/v1/runs")[0]["key"], "ann@example.com");
    let without_key = binary(&service, &[("ce-id", "2"), path], &json!({ "a": 1 }));
    let reply = problem(without_key, 400, "invalid-event");
    assert_eq!(reply["field"], "subject");
    assert!(reply["detail"].as_str().unwrap().contains("`/`"), "{reply}");
    let avro = ("Content-Type", "application/cloudevents+avro");
    let other = binary(&service, &[("ce-id", "3"), avro], &ann);
    problem(other, 415, "unsupported-media-type");
}

#[test]
fn errors_of_a_batch_name_their_event() {
    let app = TestApp::ready();
    let service = app.serve();
    let event = |id: &str, subject: &str| {
        json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "birthday",
                "subject": subject })
    };
    let batch = |events: Value| structured(&service, "application/cloudevents-batch+json", &events);
    let mut nameless = event("1", "ann");
    nameless["id"] = Value::Null;
    let refused = batch(json!([event("0", "ann"), nameless]));
    assert_eq!(problem(refused, 400, "invalid-event")["field"], "[1].id");
    assert_eq!(service.at("/api/v1/runs"), json!([]));
    ok(batch(json!([event("1", "ann")])));
    let conflict = batch(json!([event("0", "ann"), event("1", "bob")]));
    assert_eq!(problem(conflict, 409, "event-conflict")["field"], "[1].id");
    let none = batch(json!([event("2", "ann"), 7]));
    assert_eq!(problem(none, 400, "invalid-event")["field"], "[1]");
    let doubled = r#"{"specversion": "1.0", "id": "3", "source": "/shop", "type": "birthday",
                      "subject": "ann", "data": {"a": 1, "a": 2}}"#;
    let request = service
        .post(PATH)
        .header("Content-Type", "application/cloudevents+json");
    let refused = request.body(doubled).send().unwrap();
    assert_eq!(problem(refused, 400, "invalid-event")["field"], "data");
}
