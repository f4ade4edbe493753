//! Upgrades of a database by a later release.

use serde_json::json;

use crate::logs::serve;
use crate::service::{Service, TestApp};

#[test]
fn a_service_stops_when_another_release_has_upgraded_its_database() {
    let app = TestApp::ready();
    let log = app.path("log");
    let mut service = serve(&app, None, &[], &log);
    let database = app.inspect();
    let event = json!({ "eventTypeKey": "birthday", "keyValue": "ann" });
    let send = |service: &Service| service.post_json("/api/v1/event", &event).send();
    assert_eq!(send(&service).unwrap().status(), 200);
    assert_eq!(database.count("event"), Ok(1));
    database.raise_schema_version().unwrap();
    // At once, not at its next poll.
    assert!(send(&service).map_or(true, |answer| answer.status() == 503));
    let ready = service.get("/readyz").send();
    assert!(ready.map_or(true, |answer| answer.status() == 503));
    let status = service.ended();
    let message = std::fs::read_to_string(log).unwrap();
    assert_eq!(status, Some(2), "{message}");
    assert!(
        message.contains("another release migrated the database"),
        "{message}"
    );
    assert_eq!(database.count("event"), Ok(1));
}
