//! The end of a service.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::service::{Shop, until};

#[test]
fn told_to_end_it_finishes_what_is_under_way_and_accepts_nothing_more() {
    let shop = Shop::ready();
    let mut service = shop.serve();
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let body = r#"{"eventTypeKey": "birthday", "keyValue": "ann@example.com", "id": "last"}"#;
    let (first, rest) = body.split_at(10);
    let mut under_way = TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST /api/v1/event HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
        service.key,
        body.len()
    );
    under_way.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    service.tell_to_end();
    until(|| TcpStream::connect(&address).is_err());
    under_way.write_all(rest.as_bytes()).unwrap();
    let mut told = String::new();
    under_way.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(told.contains("\"status\":\"accepted\""));
    assert_eq!(service.end(), Some(0));
    assert_eq!(shop.done(&["run", "list"])[0]["event"], "last");
}

#[test]
fn a_client_that_never_ends_is_not_waited_for_without_end() {
    let shop = Shop::new();
    let mut service = shop.serve_with(&["--drain", "1"]);
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let mut stuck = TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST /api/v1/promocodes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: text/csv\r\nContent-Length: 1000\r\n\r\ncode\n",
        service.key
    );
    stuck.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let began = std::time::Instant::now();
    assert_eq!(service.end(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(15));
}
