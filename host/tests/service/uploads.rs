//! Streaming uploads, their history, and uploads that break off.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::blocking::Body;

use crate::service::{Service, TestApp, ok, until};

/// A CSV with this many rows, generated while it is read.
struct Rows {
    /// Suffix of each code.
    tail: String,
    next: u64,
    end: u64,
    line: Vec<u8>,
}

impl Rows {
    fn new(end: u64) -> Rows {
        Rows::with(end, String::new())
    }

    fn with(end: u64, tail: String) -> Rows {
        Rows {
            tail,
            next: 0,
            end,
            line: b"code,expirationDate,discount,type,inUse\n".to_vec(),
        }
    }
}

impl Read for Rows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.line.is_empty() && self.next < self.end {
            while self.line.len() < 64 * 1024 && self.next < self.end {
                writeln!(
                    self.line,
                    "STREAM-{:09}{},2999-12-31,10,birthday,false",
                    self.next, self.tail
                )?;
                self.next += 1;
            }
        }
        let length = self.line.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.line[..length]);
        self.line.drain(..length);
        Ok(length)
    }
}

#[cfg(target_os = "linux")]
fn peak_memory(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_upload_uses_bounded_memory_and_reports_progress() {
    const ROWS: u64 = 300_000;
    let app = TestApp::new();
    let service = app.serve();
    // The fixed memory of a first upload: threads and the database's pages.
    let small = service
        .post("/api/v1/promocodes")
        .header("Content-Type", "text/csv");
    let body = Body::new(Rows::with(60_000, "-".repeat(179)));
    assert_eq!(ok(small.body(body).send().unwrap())["inserted"], 60_000);
    let before = peak_memory(&service);
    let seen = std::thread::scope(|scope| {
        let upload = scope.spawn(|| {
            let request = service
                .post("/api/v1/promocodes")
                .header("Content-Type", "text/csv");
            ok(request
                .body(Body::new(Rows::with(ROWS, "+".repeat(179))))
                .send()
                .unwrap())
        });
        let mut seen = Vec::new();
        while !upload.is_finished() {
            let all = service.at("/api/v1/uploads");
            if let Some(one) = all.get(0).filter(|one| one["state"] == "running") {
                seen.push(one["rows"].as_u64().unwrap());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let done = upload.join().unwrap();
        assert_eq!(done["inserted"], ROWS);
        assert_eq!(done["rows"], ROWS);
        seen
    });
    assert!(
        seen.iter().any(|rows| *rows > 0 && *rows < ROWS),
        "{seen:?}"
    );
    let grown = peak_memory(&service) - before;
    // Of a 65 MiB file, only a few batches are in memory at one time.
    assert!(grown < 24, "{before} MiB and then {grown} MiB more");
}

#[test]
fn the_history_names_the_uploader_including_the_command_line() {
    let app = TestApp::new();
    std::fs::write(app.path("codes.csv"), "code\nX1\nX2\n").unwrap();
    app.succeed(&["codes", "import", app.path("codes.csv").to_str().unwrap()]);
    let service = app.serve();
    service.codes(3);
    let history = service.at("/api/v1/uploads");
    let key = promoflow::key::Key::parse_id(&service.key).unwrap();
    assert_eq!(history[0]["key"], key);
    assert_eq!(history[0]["inserted"], 3);
    assert!(history[1]["key"].is_null());
    assert!(
        history[1]["source"]
            .as_str()
            .unwrap()
            .ends_with("codes.csv")
    );
    assert_eq!(history[1]["state"], "completed");
    assert!(history[1]["finishedAt"].is_string());

    let retired = ok(service.post("/api/v1/uploads/2/retire").send().unwrap());
    assert_eq!(retired["retired"], 3);
    assert_eq!(
        service.at("/api/v1/promocodes/count?type=birthday")["retired"],
        3
    );
    assert_eq!(
        service.at("/api/v1/promocodes/count?type=General")["available"],
        2
    );
    assert_eq!(
        service.get("/api/v1/uploads/99").send().unwrap().status(),
        404
    );
    app.assert_audit();
}

/// Sends some rows of a longer body and disconnects.
fn break_off(service: &Service, path: &str) {
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: text/csv\r\nContent-Length: 100000000\r\n\r\n",
        service.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    io::copy(&mut Rows::new(160_000), &mut stream).unwrap();
    stream.flush().unwrap();
}

#[test]
fn an_interrupted_upload_keeps_committed_rows_and_reports_them() {
    let app = TestApp::new();
    let service = app.serve();
    break_off(&service, "/api/v1/promocodes");
    until(|| service.at("/api/v1/uploads")[0]["state"] == "interrupted");
    let upload = service.at("/api/v1/uploads/1");
    let taken = upload["inserted"].as_u64().unwrap();
    assert!(taken >= 75_000, "{upload}");
    assert_eq!(service.at("/api/v1/promocodes/count")["total"], taken);

    // A strict upload inserts nothing and leaves no entry in the history.
    break_off(&service, "/api/v1/promocodes?strict=true&type=other");
    std::thread::sleep(Duration::from_millis(500));
    until(|| {
        service
            .get("/api/v1/promocodes/count")
            .send()
            .unwrap()
            .status()
            == 200
    });
    assert_eq!(service.at("/api/v1/promocodes/count")["total"], taken);
    assert_eq!(service.at("/api/v1/uploads").as_array().unwrap().len(), 1);
    app.assert_audit();
}
