//! CloudEvents 1.0 over HTTP.

use serde_json::{Value, json};

use crate::service::{Service, Shop, ok, problem};

const PATH: &str = "/api/v1/cloudevents";

fn structured(service: &Service, media: &str, body: &Value) -> reqwest::blocking::Response {
    let request = service.post(PATH).header("Content-Type", media);
    request.body(body.to_string()).send().unwrap()
}

#[test]
fn binary_structured_and_batched_events_are_the_same_event() {
    let shop = Shop::ready();
    let service = shop.serve();
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
fn what_is_no_cloudevent_is_refused_with_its_attribute() {
    let shop = Shop::ready();
    let service = shop.serve();
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
