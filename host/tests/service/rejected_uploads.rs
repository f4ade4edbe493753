//! Rejected uploads: their effects before the rejection, and clients that read no answer before
//! they have sent everything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::service::{Service, TestApp, ok, problem, until};

const CODES: &str = "/api/v1/promocodes";

/// Opens a connection and sends the head of a CSV upload.
fn begin(service: &Service, query: &str, length: u64) -> TcpStream {
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {CODES}{query} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: text/csv\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
        service.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).unwrap();
    stream.set_write_timeout(patience).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn an_error_late_in_a_file_reports_the_inserted_rows() {
    let app = TestApp::new();
    let service = app.serve();
    let mut csv = b"code\n".to_vec();
    for number in 0..150_000 {
        writeln!(csv, "LATE-{number:06}").unwrap();
    }
    csv.extend_from_slice(b"LATE-\xE9\n");
    let request = service.post(CODES).header("Content-Type", "text/csv");
    let refused = request.body(csv).send().unwrap();
    let location = refused.headers()["location"].to_str().unwrap().to_owned();
    let reply = problem(refused, 422, "invalid-content");
    let detail = reply["detail"].as_str().unwrap();
    assert!(
        detail.contains("line 150002") && detail.contains("150000 rows"),
        "{detail}"
    );
    let upload = service.at(&location);
    assert_eq!(upload["state"], "interrupted");
    assert_eq!(upload["inserted"], 150_000);

    // A strict upload inserted nothing and has no entry in the history.
    let request = service.post(&format!("{CODES}?strict=true&type=other"));
    let request = request.header("Content-Type", "text/csv");
    let refused = request
        .body(b"code\nS-1\nS-\xE9\n".to_vec())
        .send()
        .unwrap();
    assert!(!refused.headers().contains_key("location"));
    let reply = problem(refused, 422, "invalid-content");
    assert!(
        !reply["detail"].as_str().unwrap().contains("rows"),
        "{reply}"
    );
    app.assert_audit();
}

#[test]
fn a_stalled_upload_reports_the_inserted_rows() {
    let app = TestApp::new();
    let service = app.serve_with(&["--body-timeout", "1"]);
    let mut stream = begin(&service, "", 100_000_000);
    let mut csv = b"code\n".to_vec();
    for number in 0..160_000 {
        writeln!(csv, "SLOW-{number:06}").unwrap();
    }
    stream.write_all(&csv).unwrap();
    let reply = answer(stream);
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
    assert!(reply.contains("location: /api/v1/uploads/1\r\n"), "{reply}");
    assert!(reply.contains("160000 rows were imported"), "{reply}");
}

#[test]
fn a_client_that_sends_everything_first_still_gets_the_error() {
    let app = TestApp::new();
    let service = app.serve();
    let mut csv = b"code,code\n".to_vec();
    while csv.len() < 21_000_000 {
        csv.extend_from_slice(b"A-LINE,OF-A-FILE-THAT-IS-REFUSED-BY-ITS-HEADER\n");
    }
    let mut stream = begin(&service, "", csv.len() as u64);
    stream.write_all(&csv).unwrap();
    let reply = answer(stream);
    assert!(reply.starts_with("HTTP/1.1 422"), "{reply}");
    assert!(
        reply.contains("appears twice") || reply.contains("`code`"),
        "{reply}"
    );
}

#[test]
fn rejects_a_file_with_a_large_content_length_at_once() {
    let app = TestApp::new();
    let service = app.serve();
    let reply = answer(begin(&service, "", 3 << 30));
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    assert_eq!(service.at("/api/v1/uploads"), json!([]));
}

#[test]
fn json_uploads_queue_behind_each_other_but_not_behind_files() {
    let app = TestApp::new();
    let service = app.serve();
    // As many file uploads as the service accepts at one time are open and send nothing.
    let files: Vec<TcpStream> = (0..4).map(|_| begin(&service, "", 1_000)).collect();
    until(|| service.at("/api/v1/uploads").as_array().unwrap().len() == 4);
    let call = |number: usize| {
        let call = json!({ "promocodes": [format!("C-{number}")], "discount": 5,
                           "expirationDate": "2999-12-31" });
        service.post_json(CODES, &call).send().unwrap()
    };
    let file = service.post(CODES).header("Content-Type", "text/csv");
    problem(file.body("code\nF-1\n").send().unwrap(), 503, "unavailable");
    std::thread::scope(|scope| {
        for number in 0..32 {
            scope.spawn(move || ok(call(number)));
        }
    });
    assert_eq!(service.at(&format!("{CODES}/count"))["total"], 32);
    drop(files);
}
