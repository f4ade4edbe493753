//! Limits per client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::blocking::Response;
use serde_json::json;

use crate::certificate::make;
use crate::service::{Service, TestApp, problem};
use crate::tls::secure;

#[test]
fn a_key_over_its_rate_limit_is_told_to_wait() {
    let app = TestApp::new();
    let service = app.serve_with(&["--requests-per-second", "5", "--events-per-second", "3"]);
    let event = json!({ "eventTypeKey": "e", "keyValue": "ann" });
    let began = Instant::now();
    let mut refused = None;
    for _ in 0..100 {
        let answer = service.post_json("/api/v1/event", &event).send().unwrap();
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a hundred events at once exceeded no limit");
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    problem(refused, 429, "too-many-requests");
    assert!((1..=2).contains(&wait) && began.elapsed() < Duration::from_secs(20));
    // The rate limits of events and requests are separate.
    assert_eq!(service.get("/api/v1/runs").send().unwrap().status(), 200);
    std::thread::sleep(Duration::from_secs(wait));
    assert_eq!(
        service
            .post_json("/api/v1/event", &event)
            .send()
            .unwrap()
            .status(),
        200
    );
}

/// Sends a batch of `events` CloudEvents with unique ids.
fn batch(service: &Service, name: &str, events: usize) -> Response {
    let event = |number: usize| {
        json!({ "specversion": "1.0", "type": "e", "source": "/limits",
                "id": format!("{name}-{number}"), "subject": "ann" })
    };
    let events: Vec<_> = (0..events).map(event).collect();
    service
        .post("/api/v1/cloudevents")
        .header("Content-Type", "application/cloudevents-batch+json")
        .body(json!(events).to_string())
        .send()
        .unwrap()
}

#[test]
fn each_event_of_a_batch_counts_towards_the_rate_limit() {
    let app = TestApp::new();
    let service = app.serve_with(&["--events-per-second", "10"]);
    assert_eq!(batch(&service, "a", 10).status(), 200);
    // Fewer batches than the rate: only their events exceed it. A batch that takes a second exceeds
    // nothing.
    let mut refused = (0..5).map(|number| batch(&service, &format!("b{number}"), 9));
    let refused = refused.find(|answer| answer.status() == 429);
    let refused = refused.expect("events exceeded no limit");
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    problem(refused, 429, "too-many-requests");
    assert_eq!(wait, 1);
    std::thread::sleep(Duration::from_secs(wait));
    assert_eq!(batch(&service, "c", 9).status(), 200);
    let slow = app.serve_with(&["--events-per-second", "7"]);
    let refused = problem(batch(&slow, "d", 8), 400, "invalid-event");
    assert!(refused["detail"].as_str().unwrap().contains("at most 7"));
}

#[test]
fn rejects_a_large_body_before_reading_it() {
    let app = TestApp::new();
    let service = app.serve();
    let large = "x".repeat(2 << 20);
    let request = service
        .post("/api/v1/workflows")
        .header("Content-Type", "application/yaml");
    problem(request.body(large).send().unwrap(), 413, "body-too-large");
}

/// Returns how long the service waits for a client that sends this and no more. The limit of the
/// service is one second.
fn waited_for(sent: &[u8], mut connection: impl Read + Write) -> Duration {
    let began = Instant::now();
    connection.write_all(sent).unwrap();
    connection.flush().unwrap();
    let mut reply = Vec::new();
    // A connection closed by the service may end with an error.
    let _ended = connection.read_to_end(&mut reply);
    assert!(!String::from_utf8_lossy(&reply).contains("200 OK"));
    began.elapsed()
}

#[test]
fn a_connection_with_an_incomplete_head_is_closed() {
    let app = TestApp::new();
    let (certificate, key) = (app.path("cert.pem"), app.path("key.pem"));
    make(&certificate, &key);
    let files = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let plain = app.serve_with(&["--header-timeout", "1"]);
    let tls = ["--tls-certificate", files[0], "--tls-key", files[1]];
    let tls = app.serve_with(&[&["--header-timeout", "1"], &tls[..]].concat());
    let connect = |service: &Service| {
        let (_, address) = service.url.split_once("://").unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    };
    let half: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n";
    let long = Duration::from_secs(15);
    for sent in [half, b""] {
        assert!(waited_for(sent, connect(&plain)) < long);
        let secure = secure(&tls.url, &certificate, &["http/1.1"]);
        let until = Some(Duration::from_secs(20));
        secure.sock.set_read_timeout(until).unwrap();
        assert!(waited_for(sent, secure) < long, "{sent:?}");
        // Nor does a client without a TLS handshake get further.
        assert!(waited_for(&[], connect(&tls)) < long);
    }
}

#[test]
fn a_slow_body_gets_408() {
    let app = TestApp::new();
    let service = app.serve_with(&["--body-timeout", "1"]);
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/event HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n",
        service.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let began = Instant::now();
    let mut reply = [0; 12];
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    // It never pauses for a second.
    while stream.read_exact(&mut reply).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        stream.write_all(b" ").unwrap();
    }
    assert_eq!(&reply, b"HTTP/1.1 408");
}

#[test]
fn a_paused_body_gets_408() {
    let app = TestApp::new();
    let service = app.serve_with(&["--body-timeout", "1"]);
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/event HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{{",
        service.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
    assert!(reply.contains("request-timeout"));
}

#[test]
fn rejects_an_endless_head_before_authentication() {
    let app = TestApp::new();
    let service = app.serve();
    let address = service.url.strip_prefix("http://").unwrap();
    let head = |bytes: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        let long = "a".repeat(bytes);
        let head =
            format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-A: {long}\r\n\r\n");
        // The connection may be closed before everything is sent.
        let _hung_up = stream.write_all(head.as_bytes());
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8_lossy(&status).into_owned()
    };
    assert_eq!(head(30_000), "HTTP/1.1 200");
    assert_eq!(head(200_000), "HTTP/1.1 431");
}

#[test]
fn a_client_that_does_not_read_answers_is_disconnected() {
    let app = TestApp::new();
    let service = app.serve_with(&["--body-timeout", "1"]);
    let address = service.url.strip_prefix("http://").unwrap();
    let path = "/docs/swagger-ui-bundle.js";
    let size = service.get(path).send().unwrap().bytes().unwrap().len();
    let ask = |count: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.repeat(count).as_bytes()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    };
    // More than all buffers in between can hold.
    let count = 30;
    let read = |mut stream: TcpStream, most: usize| {
        let (mut got, mut part) = (0, vec![0; 1 << 20]);
        while got < most {
            match stream.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(bytes) => got += bytes,
            }
        }
        got
    };
    assert!(
        read(ask(count), count * size) >= count * size,
        "a client that reads gets the whole answer"
    );
    let stuck = ask(count);
    std::thread::sleep(Duration::from_secs(4));
    let got = read(stuck, count * size);
    assert!(got < count * size, "{got} of {count} times {size}");
}
