//! What one client may ask for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::service::{Shop, problem};

#[test]
fn a_key_that_asks_too_often_is_told_to_wait() {
    let shop = Shop::new();
    let service = shop.serve_with(&["--requests-per-second", "5", "--events-per-second", "3"]);
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
    let refused = refused.expect("a hundred events at once are too many");
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    problem(refused, 429, "too-many-requests");
    assert!((1..=2).contains(&wait) && began.elapsed() < Duration::from_secs(20));
    // The rates are apart.
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

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let shop = Shop::new();
    let service = shop.serve();
    let large = "x".repeat(2 << 20);
    let request = service
        .post("/api/v1/workflows")
        .header("Content-Type", "application/yaml");
    problem(request.body(large).send().unwrap(), 413, "body-too-large");
}

#[test]
fn a_client_that_does_not_end_its_head_is_hung_up_on() {
    let shop = Shop::new();
    let service = shop.serve_with(&["--header-time", "1"]);
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let began = Instant::now();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    assert!(began.elapsed() < Duration::from_secs(15));
    assert!(!String::from_utf8_lossy(&told).contains("200 OK"));
}

#[test]
fn a_client_that_trickles_a_body_is_told_so() {
    let shop = Shop::new();
    let service = shop.serve_with(&["--body-pause", "1"]);
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/event HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 1000\r\nConnection: close\r\n\r\n",
        service.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let began = Instant::now();
    let mut told = [0; 12];
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    // It never pauses for a second.
    while stream.read_exact(&mut told).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        stream.write_all(b" ").unwrap();
    }
    assert_eq!(&told, b"HTTP/1.1 408");
}

#[test]
fn a_client_that_pauses_within_a_body_is_told_so() {
    let shop = Shop::new();
    let service = shop.serve_with(&["--body-pause", "1"]);
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/event HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 10\r\nConnection: close\r\n\r\n{{",
        service.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(told.contains("body-too-slow"));
}

#[test]
fn a_head_without_end_is_refused_before_anybody_asks_for_a_key() {
    let shop = Shop::new();
    let service = shop.serve();
    let address = service.url.strip_prefix("http://").unwrap();
    let head = |bytes: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        let long = "a".repeat(bytes);
        let head =
            format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-A: {long}\r\n\r\n");
        // What is refused may be hung up on before it is sent.
        let _hung_up = stream.write_all(head.as_bytes());
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8_lossy(&status).into_owned()
    };
    assert_eq!(head(30_000), "HTTP/1.1 200");
    assert_eq!(head(200_000), "HTTP/1.1 431");
}

#[test]
fn a_client_that_does_not_take_its_answers_is_hung_up_on() {
    let shop = Shop::new();
    let service = shop.serve_with(&["--body-pause", "1"]);
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
    // So many that no buffer on the way holds them.
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
        "whoever takes it gets it all"
    );
    let stuck = ask(count);
    std::thread::sleep(Duration::from_secs(4));
    let got = read(stuck, count * size);
    assert!(got < count * size, "{got} of {count} times {size}");
}
