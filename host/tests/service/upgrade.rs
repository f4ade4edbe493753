//! Upgrades of a database by a later release.

use rusqlite::Connection;
use serde_json::json;

use crate::logs::serve;
use crate::service::{Service, TestApp};

#[test]
fn a_service_stops_when_another_release_has_upgraded_its_database() {
    let app = TestApp::ready();
    let log = app.path("log");
    let mut service = serve(&app, None, &[], &log);
    let database = Connection::open(app.path("shop.db")).unwrap();
    let event = json!({ "eventTypeKey": "birthday", "keyValue": "ann" });
    let send = |service: &Service| service.post_json("/api/v1/event", &event).send();
    assert_eq!(send(&service).unwrap().status(), 200);
    let events = || -> i64 {
        let count = database.query_row("SELECT count(*) FROM event", [], |row| row.get(0));
        count.unwrap()
    };
    let before = events();
    let version = database.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
    database
        .pragma_update(None, "user_version", version.unwrap() + 1)
        .unwrap();
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
    assert_eq!(events(), before);
}
