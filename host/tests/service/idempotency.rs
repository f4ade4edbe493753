//! Requests that are sent again.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::service::{Service, Shop, ok, problem, until};

fn upload(service: &Service, media: &str, body: &str) -> reqwest::blocking::Response {
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
fn an_upload_that_is_sent_again_gets_its_answer_and_is_done_once() {
    for (media, body, other) in [
        (
            "application/json",
            "[{\"code\": \"A1\"}]",
            "[{\"code\": \"A2\"}]",
        ),
        ("text/csv", "code\nA1\n", "code\nA2\n"),
    ] {
        let shop = Shop::new();
        let service = shop.serve();
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
        // It outlives the service.
        drop(service);
        let service = shop.serve();
        // Another API key has its own.
        assert!(
            !upload(&service, media, other)
                .headers()
                .contains_key("idempotent-replayed")
        );
    }
}

#[test]
fn another_post_that_is_sent_again_is_done_once() {
    let shop = Shop::new();
    let service = shop.serve();
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
    // What was refused is judged anew.
    let refused = |body: &str| {
        let request = service
            .post("/api/v1/promocodes/retire")
            .body(body.to_owned());
        request.header("Idempotency-Key", "r-2").send().unwrap()
    };
    assert_eq!(refused("{").status(), 400);
    assert_eq!(refused("{\"promocodes\": []}").status(), 200);
}

#[test]
fn the_same_request_meanwhile_is_told_to_wait() {
    let shop = Shop::new();
    let service = shop.serve();
    let address = service.url.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).unwrap();
    let body = "code\nSLOW-1\n";
    let head = format!(
        "POST /api/v1/promocodes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: text/csv\r\nIdempotency-Key: u-1\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        service.key,
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    until(|| service.at("/api/v1/uploads")[0]["state"] == "running");
    let meanwhile = upload(&service, "text/csv", body);
    assert!(meanwhile.headers().contains_key("retry-after"));
    problem(meanwhile, 409, "idempotency-conflict");
    slow.write_all(body.as_bytes()).unwrap();
    let mut told = String::new();
    slow.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    let again = upload(&service, "text/csv", body);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(ok(again)["inserted"], 1);
}
