//! An upload that is all or nothing holds up nobody while its client is slow.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::service::{Shop, ok};

#[test]
fn events_are_stored_while_a_slow_client_uploads_all_or_nothing() {
    let shop = Shop::new();
    let service = shop.serve();
    let address = service.url.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/promocodes?strict=true HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: text/csv\r\nContent-Length: 1000\r\n\r\ncode\nSLOW-1\n",
        service.key
    );
    slow.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let event = json!({ "eventTypeKey": "e", "keyValue": "ann" });
    ok(service.post_json("/api/v1/event", &event).send().unwrap());
    assert!(began.elapsed() < Duration::from_secs(5));
}
