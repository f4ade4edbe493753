//! Shutdown of a service.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::service::{TestApp, until};

#[test]
fn shutdown_finishes_open_requests_and_accepts_no_new_ones() {
    let app = TestApp::ready();
    let mut service = app.serve();
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let body = r#"{"eventTypeKey": "birthday", "keyValue": "ann@example.com", "id": "last"}"#;
    let (first, rest) = body.split_at(10);
    let mut under_way = service.begin("/api/v1/event", "application/json", body.len());
    under_way.write_all(first.as_bytes()).unwrap();
    service.terminate();
    until(|| TcpStream::connect(&address).is_err());
    under_way.write_all(rest.as_bytes()).unwrap();
    let mut reply = String::new();
    under_way.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains("\"status\":\"accepted\""));
    assert_eq!(service.end(), Some(0));
    assert_eq!(app.succeed(&["run", "list"])[0]["event"], "last");
}

#[test]
fn shutdown_does_not_wait_for_a_stuck_client() {
    let app = TestApp::new();
    let mut service = app.serve_with(&["--drain", "1"]);
    let mut stuck = service.begin("/api/v1/promocodes", "text/csv", 1_000);
    stuck.write_all(b"code\n").unwrap();
    let began = std::time::Instant::now();
    assert_eq!(service.end(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn shutdown_under_load_loses_nothing() {
    let app = TestApp::ready();
    let mut service = app.serve_with(&["--events-per-second", "1000000"]);
    service.codes(20_000);
    let (url, key) = (service.url.clone(), service.key.clone());
    let accepted = AtomicUsize::new(0);
    let stored: Vec<String> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let (url, key, accepted) = (&url, &key, &accepted);
                scope.spawn(move || {
                    let client = crate::service::client(None);
                    let mut stored = Vec::new();
                    for number in 0.. {
                        let id = format!("{sender}-{number}");
                        let event = serde_json::json!({ "eventTypeKey": "birthday", "id": id,
                            "keyValue": format!("{id}@example.com"),
                            "params": [{ "name": "EmailAddress", "value": format!("{id}@example.com") }] });
                        let request = client.post(format!("{url}/api/v1/event"));
                        match request.bearer_auth(key).json(&event).send() {
                            Ok(answer) if answer.status() == 200 => {
                                accepted.fetch_add(1, Ordering::Relaxed);
                                stored.push(id);
                            }
                            // The service rejects the event or has stopped.
                            _ => return stored,
                        }
                    }
                    stored
                })
            })
            .collect();
        until(|| accepted.load(Ordering::Relaxed) > 200);
        assert_eq!(service.end(), Some(0));
        let stored = senders.into_iter().map(|sender| sender.join().unwrap());
        stored.flatten().collect()
    });
    assert!(stored.len() > 200, "{} events", stored.len());
    let mut runs: Vec<String> = app
        .succeed(&["run", "list"])
        .iter()
        .map(|run| run["event"].as_str().unwrap().to_owned())
        .collect();
    let all = runs.len();
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), all, "events and runs differ in number");
    for id in &stored {
        assert!(
            runs.binary_search(id).is_ok(),
            "{id} was acknowledged and is missing"
        );
    }
    app.succeed(&["work", "--until-idle"]);
    app.assert_audit();
}
