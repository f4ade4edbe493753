//! Strict uploads: all or nothing wherever they end, and other work does not wait for them.

use std::io::{Read, Write};
use std::process::{Command, Output};
use std::time::Duration;

use promoflow_test_support::TestDatabase;
use serde_json::json;

use crate::service::{TestApp, ok, problem};

#[test]
fn events_are_stored_during_a_slow_strict_upload() {
    let app = TestApp::new();
    let service = app.serve();
    let (first, rest) = ("code\nSLOW-1\n", "SLOW-2\n");
    let path = "/api/v1/promocodes?strict=true";
    let mut slow = service.begin(path, "text/csv", first.len() + rest.len());
    slow.write_all(first.as_bytes()).unwrap();
    // Time to parse the first rows.
    std::thread::sleep(Duration::from_millis(300));
    let event = json!({ "eventTypeKey": "e", "keyValue": "ann" });
    ok(service.post_json("/api/v1/event", &event).send().unwrap());
    // The event did not wait for the end of the upload, which a time-out would have caused.
    slow.write_all(rest.as_bytes()).unwrap();
    let mut reply = String::new();
    slow.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

/// Returns codes that no small upload has.
fn csv(codes: usize, last: &str) -> String {
    let rows: String = (0..codes)
        .map(|number| format!("S-{:06},spring\n", number * 7_919 % 1_000_000))
        .collect();
    format!("code,type\n{rows}{last}")
}

#[test]
fn events_are_stored_during_large_strict_uploads() {
    let app = TestApp::new();
    let service = app.serve_with(&["--events-per-second", "1000000"]);
    let calls = (0..60_000).map(|number| format!("\"J-{number}\""));
    let calls: Vec<String> = calls.collect();
    let json = format!(
        "{{\"expirationDate\":\"2099-01-01\",\"discount\":1,\"promocodes\":[{}]}}",
        calls.join(",")
    );
    let csv = csv(60_000, "");
    let path = "/api/v1/promocodes?strict=true";
    std::thread::scope(|scope| {
        let upload = |kind: &'static str, body: String| {
            let (service, path) = (&service, path);
            scope.spawn(move || {
                let path = if kind == "text/csv" {
                    path
                } else {
                    "/api/v1/promocodes"
                };
                let request = service.post(path).header("Content-Type", kind);
                let request = request.timeout(Duration::from_secs(300)).body(body);
                let status = request.send().unwrap().status();
                assert_eq!(status, 200, "{kind}");
            })
        };
        let uploads = [upload("application/json", json), upload("text/csv", csv)];
        // Both would have to wait for each other if an upload locked the database.
        let mut stored = 0;
        while !uploads.iter().all(|upload| upload.is_finished()) {
            let key = format!("key-{stored}");
            let event = json!({ "eventTypeKey": "e", "keyValue": key });
            ok(service.post_json("/api/v1/event", &event).send().unwrap());
            stored += 1;
        }
        assert!(stored > 10, "only {stored} events were stored meanwhile");
    });
    assert_eq!(service.at("/api/v1/promocodes/count")["available"], 120_000);
}

#[test]
fn an_invalid_row_at_the_end_rejects_a_whole_strict_upload() {
    let app = TestApp::new();
    let service = app.serve();
    for last in ["BAD,spring,1\n", "S-000000,autumn\n"] {
        let request = service.post("/api/v1/promocodes?strict=true");
        let request = request.header("Content-Type", "text/csv");
        let answer = request.body(csv(20_000, last)).send().unwrap();
        let reply = problem(answer, 422, "invalid-content");
        assert_eq!(reply["errors"][0]["line"], 20_002);
    }
    assert_eq!(service.at("/api/v1/promocodes/count")["total"], 0);
    assert_eq!(service.at("/api/v1/uploads"), json!([]));
}

/// Runs the program on a database, to be killed at the failpoint.
fn program(database: &str, args: &[&str], failpoint: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_promoflow"))
        .args(args)
        .env("PROMOFLOW_DB", database)
        .env("PROMOFLOW_FAILPOINT", failpoint)
        .output()
        .unwrap()
}

#[test]
fn a_strict_upload_is_atomic_wherever_its_process_dies() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("codes.csv");
    // Three slices.
    std::fs::write(&file, csv(25_000, "")).unwrap();
    let import = ["codes", "import", "--strict", file.to_str().unwrap()];
    // Three slices are stored, then the upload is decided, then the slices are inserted.
    for (failpoint, kept) in [
        ("after-upload-batch:2", 0),
        ("upload-batch:4", 0),
        ("after-upload-batch:4", 25_000),
        ("upload-batch:5", 25_000),
        ("after-upload-batch:6", 25_000),
    ] {
        let file = format!("{}.db", failpoint.replace(':', "-"));
        let database = TestDatabase::new(folder.path().join(file));
        let database = database.address();
        let killed = program(database, &import, failpoint);
        assert!(killed.status.code().is_none(), "{failpoint}: {killed:?}");
        let total = || {
            let counted = program(database, &["codes", "count", "--json"], "");
            let counted: serde_json::Value = serde_json::from_slice(&counted.stdout).unwrap();
            counted["available"].as_u64().unwrap()
        };
        assert_eq!(total(), kept, "{failpoint}");
        let again = program(database, &import, "");
        assert!(again.status.success(), "{again:?}");
        assert_eq!(total(), 25_000, "{failpoint}");
        let audited = program(database, &["audit"], "");
        assert!(audited.status.success(), "{failpoint}: {audited:?}");
    }
}
