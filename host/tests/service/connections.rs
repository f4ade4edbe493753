//! Many connections, and clients without a key.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service::{Service, TestApp, problem, until};

fn connect(service: &Service) -> TcpStream {
    let (_, address) = service.url.split_once("://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.set_write_timeout(patience).unwrap();
    stream
}

/// Sends a request on a connection and reads one answer without a body.
fn status(stream: &mut TcpStream, request: &str) -> Option<String> {
    stream.write_all(request.as_bytes()).ok()?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).ok()?;
    Some(String::from_utf8_lossy(&status).into_owned())
}

/// Sends a request on a persistent connection and reads the whole answer.
fn keys(stream: &mut TcpStream, key: &str) -> bool {
    let head =
        format!("GET /api/v1/alerts HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n");
    let Some(status) = status(stream, &head) else {
        return false;
    };
    let mut rest = Vec::new();
    while !rest.ends_with(b"\r\n\r\n[]") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).is_err() {
            return false;
        }
        rest.push(byte[0]);
    }
    status == "HTTP/1.1 200"
}

/// Returns true if the other side has closed a connection without an open request.
fn is_closed(stream: &TcpStream) -> bool {
    let short = Some(Duration::from_millis(1));
    stream.set_read_timeout(short).unwrap();
    match stream.peek(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn only_unauthenticated_connections_are_closed_to_make_room() {
    let app = TestApp::new();
    let service = app.serve_with(&["--connections", "8", "--connections-per-address", "8"]);
    let mut with_key = connect(&service);
    assert!(keys(&mut with_key, &service.key));
    let unauthenticated: Vec<TcpStream> = (0..30).map(|_| connect(&service)).collect();
    // The oldest connections are closed, one for each new one.
    until(|| unauthenticated.iter().filter(|one| is_closed(one)).count() == 23);
    assert!(unauthenticated[29..].iter().all(|one| !is_closed(one)));
    assert!(
        keys(&mut with_key, &service.key),
        "the connection with a key was closed"
    );
    // Connections with half a head, or half a body without a key, count as unauthenticated too.
    let mut half = connect(&service);
    half.write_all(b"POST /api/v1/event HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        .unwrap();
    let _more: Vec<TcpStream> = (0..9).map(|_| connect(&service)).collect();
    assert!(keys(&mut with_key, &service.key));
    // A new client is served although all places are taken.
    assert!(keys(&mut connect(&service), &service.key));
}

#[test]
fn one_address_gets_at_most_half_of_the_connections() {
    let app = TestApp::new();
    let service = app.serve_with(&["--connections", "8"]);
    let unauthenticated: Vec<TcpStream> = (0..8).map(|_| connect(&service)).collect();
    until(|| unauthenticated.iter().filter(|one| is_closed(one)).count() == 4);
    assert!(unauthenticated[..4].iter().all(is_closed));
}

#[test]
fn connections_leave_file_descriptors_for_deliveries() {
    let app = TestApp::ready();
    app.succeed(&["key", "list"]);
    let key = app.key("admin");
    let mut command = std::process::Command::new("sh");
    command
        .arg("-c")
        .arg("ulimit -n 300; exec \"$@\"")
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_promoflow"))
        .args(["--json", "--db"])
        .arg(app.address())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped());
    let service = Service::started(command, key);
    service.codes(5);
    let unauthenticated: Vec<TcpStream> = (0..400).map(|_| connect(&service)).collect();
    for number in 0..3 {
        let address = format!("{number}@example.com");
        let event = json!({ "eventTypeKey": "birthday", "keyValue": address,
                            "params": { "EmailAddress": address } });
        crate::service::ok(service.post_json("/api/v2/event", &event).send().unwrap());
    }
    until(|| {
        let sent = service.at("/api/v1/outbox?state=delivered");
        sent.as_array().unwrap().len() == 3
    });
    for delivery in service.at("/api/v1/outbox").as_array().unwrap() {
        assert_eq!(delivery["attempts"], 1, "{delivery}");
        assert_eq!(delivery["error"], Value::Null, "{delivery}");
    }
    drop(unauthenticated);
}

#[test]
fn little_of_an_unauthenticated_body_is_read() {
    let app = TestApp::new();
    let service = app.serve_with(&["--body-timeout", "30"]);
    let head = |more: &str| {
        format!(
            "POST /api/v1/event HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{more}\r\n"
        )
    };
    // A body that never arrives, one that arrives slowly, one without end.
    for (more, drip) in [
        ("Content-Length: 9000\r\n", &b""[..]),
        ("Content-Length: 9000\r\n", b"x"),
        ("Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n"),
    ] {
        let mut stream = connect(&service);
        stream.write_all(head(more).as_bytes()).unwrap();
        let began = Instant::now();
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let mut status = [0; 12];
        while stream.read_exact(&mut status).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "{more}");
            let _gone = stream.write_all(drip);
        }
        assert_eq!(&status, b"HTTP/1.1 401");
    }
    let mut stream = connect(&service);
    let chunked = head("Transfer-Encoding: chunked\r\n");
    stream.write_all(chunked.as_bytes()).unwrap();
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let sent = (0..10_000).take_while(|_| stream.write_all(chunk.as_bytes()).is_ok());
    // At most the contents of the buffers in between.
    assert!(sent.count() < 9_999);
}

#[test]
fn a_request_is_for_one_host() {
    let app = TestApp::new();
    let service = app.serve();
    let ask = |head: &str| {
        let mut stream = connect(&service);
        let head = format!("{head}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n", "200"),
        ("GET /healthz HTTP/1.0\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nhost: b\r\n", "400"),
        ("GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost:\r\n", "400"),
        ("GET /docs/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "400"),
        (
            "POST /u/x HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n",
            "400",
        ),
    ] {
        let reply = ask(head);
        let found = reply.split(' ').nth(1).unwrap();
        assert_eq!(found, status, "{head}: {reply}");
    }
    let reply = ask("GET /api/v1/runs HTTP/1.1\r\n");
    assert!(
        reply.contains("urn:promoflow:problem:invalid-request"),
        "{reply}"
    );
}

#[test]
fn clients_cannot_send_alert_events() {
    let app = TestApp::new();
    let service = app.serve();
    for kind in ["Warning", "Alarm"] {
        let event = json!({ "eventTypeKey": format!("alertSettings{kind}TriggerEvent"),
                            "keyValue": "a", "params": {} });
        for path in ["/api/v1/event", "/api/v2/event"] {
            let reply = problem(
                service.post_json(path, &event).send().unwrap(),
                400,
                "invalid-event",
            );
            assert_eq!(reply["field"], "eventTypeKey");
        }
        // A test run of such an event is allowed.
        let test = service
            .post_json("/api/v1/event/test", &event)
            .send()
            .unwrap();
        assert_eq!(test.status(), 200);
        let mut command = app.command(&["event", "send", "--type"]);
        let output = command
            .arg(format!("alertSettings{kind}TriggerEvent"))
            .args(["--key", "a"])
            .output()
            .unwrap();
        assert!(!output.status.success());
    }
    let event = json!({ "eventTypeKey": "e", "keyValue": "a", "params": {},
                        "id": "promoflow-alert:x:left:10:alarm:1:t" });
    let reply = problem(
        service.post_json("/api/v2/event", &event).send().unwrap(),
        400,
        "invalid-event",
    );
    assert_eq!(reply["field"], "id");
    let cloud = json!({ "specversion": "1.0", "id": "b", "source": "promoflow-alert:x:left:10:alarm:1:a",
                        "type": "e", "subject": "a" });
    let request = service
        .post("/api/v1/cloudevents")
        .header("Content-Type", "application/cloudevents+json");
    assert_eq!(
        request.body(cloud.to_string()).send().unwrap().status(),
        400
    );
}
