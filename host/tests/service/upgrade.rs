//! Upgrades of a database by a later release.

use std::fs::File;

use rusqlite::Connection;
use serde_json::json;

use crate::logs::serve;
use crate::service::{Service, TestApp};

fn layout(database: &Connection) -> i32 {
    let read = database.pragma_query_value(None, "user_version", |row| row.get(0));
    read.unwrap()
}

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
    database
        .pragma_update(None, "user_version", layout(&database) + 1)
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

#[test]
fn an_older_database_is_upgraded_once_it_has_no_executor() {
    let app = TestApp::new();
    let path = app.path("shop.db");
    let database = Connection::open(&path).unwrap();
    let first = include_str!("../../store-sqlite/src/migrations/01-first.sql");
    database.execute_batch(first).unwrap();
    database
        .pragma_update(None, "application_id", 0x5072_6f6d)
        .unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    // Like the executor of the earlier release.
    let executor = File::create(app.path("shop.db-executor")).unwrap();
    executor.lock().unwrap();
    let refused = app.command(&["codes", "count"]).output().unwrap();
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(
        message.contains("is still executing on it; stop that process first"),
        "{message}"
    );
    assert_eq!(layout(&database), 1);
    drop(executor);
    app.succeed(&["codes", "count"]);
    assert!(layout(&database) > 1);
}
