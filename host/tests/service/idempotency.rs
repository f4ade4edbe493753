//! Repeated requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::blocking::Response;
use serde_json::{Value, json};

use crate::service::{Service, TestApp, ok, problem, until};

fn upload(service: &Service, media: &str, body: &str) -> Response {
    let request = service
        .post("/api/v1/promocodes")
        .header("Content-Type", media);
    request
        .header("Idempotency-Key", "u-1")
        .body(body.to_owned())
        .send()
        .unwrap()
}

#[test]
fn a_repeated_upload_gets_the_stored_answer_and_is_done_once() {
    for (media, body, other) in [
        (
            "application/json",
            "[{\"code\": \"A1\"}]",
            "[{\"code\": \"A2\"}]",
        ),
        ("text/csv", "code\nA1\n", "code\nA2\n"),
    ] {
        let app = TestApp::new();
        let service = app.serve();
        let first = upload(&service, media, body);
        let location = first.headers()["location"].clone();
        let first = ok(first);
        let again = upload(&service, media, body);
        assert_eq!(again.headers()["location"], location);
        assert_eq!(again.headers()["idempotent-replayed"], "true");
        assert_eq!(again.headers()["content-type"], "application/json");
        assert_eq!(ok(again), first);
        assert_eq!(service.at("/api/v1/uploads").as_array().unwrap().len(), 1);
        problem(
            upload(&service, media, other),
            422,
            "idempotency-key-reused",
        );
        assert_eq!(
            service
                .get("/api/v1/promocodes/A2")
                .send()
                .unwrap()
                .status(),
            404
        );
        // The stored answer survives a restart.
        drop(service);
        let service = app.serve();
        // Another API key has its own idempotency keys.
        assert!(
            !upload(&service, media, other)
                .headers()
                .contains_key("idempotent-replayed")
        );
    }
}

#[test]
fn other_repeated_posts_are_done_once() {
    let app = TestApp::new();
    let service = app.serve();
    service.codes(2);
    let retire = |body: &Value| {
        let request = service.post_json("/api/v1/promocodes/retire", body);
        request.header("Idempotency-Key", "\"r-1\"").send().unwrap()
    };
    let named = json!({ "promocodes": ["C-00000"] });
    let first = ok(retire(&named));
    assert_eq!(first["retired"], 1);
    ok(service
        .post_json("/api/v1/promocodes/reinstate", &named)
        .send()
        .unwrap());
    assert_eq!(ok(retire(&named)), first);
    assert_eq!(service.at("/api/v1/promocodes/C-00000")["inUse"], false);
    problem(
        retire(&json!({ "promocodes": ["C-00001"] })),
        422,
        "idempotency-key-reused",
    );
    // A rejected request is evaluated again.
    let refused = |body: &str| {
        let request = service
            .post("/api/v1/promocodes/retire")
            .header("Content-Type", "application/json")
            .body(body.to_owned());
        request.header("Idempotency-Key", "r-2").send().unwrap()
    };
    assert_eq!(refused("{").status(), 400);
    assert_eq!(refused("{\"promocodes\": []}").status(), 200);
}

#[test]
fn a_concurrent_repetition_is_told_to_retry_later() {
    let app = TestApp::new();
    let service = app.serve();
    let body = "code\nSLOW-1\n";
    let mut slow = begin_upload(&service, body);
    let meanwhile = upload(&service, "text/csv", body);
    assert!(meanwhile.headers().contains_key("retry-after"));
    problem(meanwhile, 409, "idempotency-conflict");
    slow.write_all(body.as_bytes()).unwrap();
    let mut reply = String::new();
    slow.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let again = upload(&service, "text/csv", body);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(ok(again)["inserted"], 1);
}

/// Begins an upload of `body` under the key `u-1`, and sends none of it.
fn begin_upload(service: &Service, body: &str) -> TcpStream {
    let address = service.url.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/promocodes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: text/csv\r\nIdempotency-Key: u-1\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        service.key,
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    until(|| service.at("/api/v1/uploads")[0]["state"] == "running");
    slow
}

#[test]
fn a_second_service_leaves_requests_in_progress_alone() {
    let app = TestApp::new();
    let service = app.serve();
    let body = "code\nSLOW-1\n";
    let mut slow = begin_upload(&service, body);
    let mut second = app.serve();
    second.key = service.key.clone();
    assert_eq!(second.at("/api/v1/uploads")[0]["state"], "running");
    problem(
        upload(&second, "text/csv", body),
        409,
        "idempotency-conflict",
    );
    slow.write_all(body.as_bytes()).unwrap();
    let mut reply = String::new();
    slow.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let again = upload(&second, "text/csv", body);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(second.at("/api/v1/uploads")[0]["state"], "completed");
}

#[test]
fn a_killed_service_keeps_no_key_and_no_upload() {
    let app = TestApp::new();
    let service = app.serve();
    let body = "code\nSLOW-1\n";
    let _slow = begin_upload(&service, body);
    let key = service.key.clone();
    drop(service);
    let mut service = app.serve();
    service.key = key;
    // Of several hosts, the others notice after some seconds.
    until(|| service.at("/api/v1/uploads")[0]["state"] == "interrupted");
    let again = upload(&service, "text/csv", body);
    assert!(!again.headers().contains_key("idempotent-replayed"));
    assert_eq!(ok(again)["inserted"], 1);
}

/// Sends a whole request under the key `u-1` and disconnects before the answer.
fn cut(service: &Service, path: &str, media: &str, body: &str) {
    let address = service.url.strip_prefix("http://").unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: {media}\r\n\
         Idempotency-Key: u-1\r\nContent-Length: {}\r\n\r\n{body}",
        service.key,
        body.len()
    );
    client.write_all(request.as_bytes()).unwrap();
    // Once the request is in progress, repetitions are rejected. One that arrives first is itself
    // in progress when its client gives up.
    let repeat = || {
        let request = service.post(path).header("Content-Type", media);
        let request = request.header("Idempotency-Key", "u-1");
        request
            .timeout(Duration::from_secs(1))
            .body(body.to_owned())
    };
    until(|| repeat().send().is_ok_and(|answer| answer.status() == 409));
    // Time to read the body, which this does not show.
    std::thread::sleep(Duration::from_millis(200));
    drop(client);
    std::thread::sleep(Duration::from_millis(100));
}

/// Returns the answer once the first request has finished.
fn settled(send: impl Fn() -> Response) -> Response {
    until(|| send().status() != 409);
    send()
}

const REINSTATE: &str = "/api/v1/promocodes/reinstate";
const NAMED: &str = r#"{"promocodes": ["C-00000"]}"#;

fn change(service: &Service, path: &str, under: Option<&str>) -> Response {
    let request = service
        .post(path)
        .header("Content-Type", "application/json");
    let request = match under {
        Some(under) => request.header("Idempotency-Key", under),
        None => request,
    };
    request.body(NAMED).send().unwrap()
}

#[test]
fn a_disconnected_client_gets_its_answer_when_it_repeats_the_request() {
    let app = TestApp::new();
    let service = app.serve();
    service.codes(1);
    let retire = || ok(change(&service, "/api/v1/promocodes/retire", None));
    assert_eq!(retire()["retired"], 1);
    let held = app.lock_writes();
    cut(&service, REINSTATE, "application/json", NAMED);
    let again = || change(&service, REINSTATE, Some("u-1"));
    problem(again(), 409, "idempotency-conflict");
    drop(held);
    until(|| service.at("/api/v1/promocodes/C-00000")["inUse"] == false);
    // Another client has retired it since; that result stays.
    assert_eq!(retire()["retired"], 1);
    let answered = settled(again);
    assert_eq!(answered.headers()["idempotent-replayed"], "true");
    assert_eq!(ok(answered)["retired"], 1);
    assert_eq!(service.at("/api/v1/promocodes/C-00000")["inUse"], true);
}

#[test]
fn a_disconnected_upload_is_answered_when_it_is_repeated() {
    for (media, body) in [
        ("application/json", "[{\"code\": \"A1\"}]"),
        ("text/csv", "code\nA1\n"),
    ] {
        let app = TestApp::new();
        let service = app.serve();
        let held = app.lock_writes();
        cut(&service, "/api/v1/promocodes", media, body);
        let again = || upload(&service, media, body);
        problem(again(), 409, "idempotency-conflict");
        drop(held);
        let answered = settled(again);
        assert_eq!(answered.headers()["idempotent-replayed"], "true", "{media}");
        assert_eq!(service.at("/api/v1/uploads").as_array().unwrap().len(), 1);
    }
}

#[cfg(unix)]
#[test]
fn shutdown_waits_for_requests_of_disconnected_clients() {
    let app = TestApp::new();
    let mut service = app.serve();
    service.codes(1);
    ok(change(&service, "/api/v1/promocodes/retire", None));
    let held = app.lock_writes();
    cut(&service, REINSTATE, "application/json", NAMED);
    service.terminate();
    let address = service.url.strip_prefix("http://").unwrap();
    until(|| TcpStream::connect(address).is_err());
    drop(held);
    assert_eq!(service.end(), Some(0));
    let key = service.key.clone();
    let mut service = app.serve();
    service.key = key;
    let answered = change(&service, REINSTATE, Some("u-1"));
    assert_eq!(answered.headers()["idempotent-replayed"], "true");
    assert_eq!(ok(answered)["retired"], 1);
}

#[test]
fn an_idempotency_key_does_not_restrict_requests() {
    let app = TestApp::new();
    let service = app.serve();
    // Contacts may exceed the usual limit of one mebibyte.
    let contacts = format!("[{{\"contact\": \"A-1\"}}{}]", " ".repeat(2 << 20));
    let send = || {
        let request = service.post("/api/v1/contacts").body(contacts.clone());
        let request = request.header("Content-Type", "application/json");
        request.header("Idempotency-Key", "c-1").send().unwrap()
    };
    assert_eq!(ok(send())["inserted"], 1);
    assert_eq!(send().headers()["idempotent-replayed"], "true");
    // An answer that is too large to store is still returned.
    let large = format!(
        "{{ message: large, channel: sms, text: \"#foreach($i in [1..5000]){}#end\" }}",
        "x".repeat(1_000)
    );
    let applied = service
        .post("/api/v1/messages")
        .header("Content-Type", "application/yaml");
    ok(applied.body(large).send().unwrap());
    for _ in 0..2 {
        let shown = service.post_json("/api/v1/messages/large/render", &json!({}));
        let shown = shown.header("Idempotency-Key", "m-1").send().unwrap();
        assert!(!shown.headers().contains_key("idempotent-replayed"));
        assert_eq!(ok(shown)["text"].as_str().unwrap().len(), 5_000_000);
    }
}
