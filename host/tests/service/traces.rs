//! Traces, as an independent collector reads them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::service::{TestApp, ok, until};

struct Collector {
    child: Child,
    port: u16,
    spans: Receiver<Value>,
}

impl Collector {
    fn start() -> Collector {
        let release = Path::new(env!("CARGO_BIN_EXE_promoflow")).parent().unwrap();
        let python = release.join("../test-tools/bin/python");
        assert!(python.exists(), "`cargo xtask test` installs the collector");
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/collector.py");
        let mut child = Command::new(python)
            .arg(tool)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let (sender, spans) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Collector { child, port, spans }
    }

    /// Returns the next `count` spans.
    fn take(&self, count: usize) -> Vec<Value> {
        let next = || self.spans.recv_timeout(Duration::from_secs(20)).unwrap();
        (0..count).map(|_| next()).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn configure(app: &TestApp, port: u16, more: &str) {
    let text = format!(
        "[trace]\nendpoint = \"http://127.0.0.1:{port}\"\n\
         headers = {{ x-api-key = {{ file = {:?} }} }}\n{more}",
        app.path("key").display().to_string()
    );
    std::fs::write(app.path("key"), "the-key\n").unwrap();
    std::fs::write(app.path("promoflow.toml"), text).unwrap();
}

fn by_name(spans: &[Value]) -> HashMap<&str, &Value> {
    spans
        .iter()
        .map(|span| (span["name"].as_str().unwrap(), span))
        .collect()
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[test]
fn a_trace_covers_the_request_and_a_delivery_in_another_process() {
    let app = TestApp::ready();
    let collector = Collector::start();
    configure(&app, collector.port, "");
    let mut service = app.serve();
    service.codes(3);
    let event = json!({ "eventTypeKey": "birthday", "keyValue": "ann@example.com", "id": "e",
                        "params": [{ "name": "EmailAddress", "value": "ann@example.com" }] });
    let send = |flags: &str| {
        let request = service.post_json("/api/v1/event", &event);
        let parent = format!("00-{TRACE}-b7ad6b7169203331-{flags}");
        ok(request.header("traceparent", parent).send().unwrap())
    };
    send("01");
    until(|| {
        let delivered = service.at("/api/v1/outbox?state=delivered");
        delivered.as_array().unwrap().len() == 1
    });
    assert_eq!(service.end(), Some(0));
    // Event, commit, run, two steps, delivery.
    let spans = collector.take(6);
    for span in &spans {
        assert_eq!(span["trace"], TRACE, "{span}");
        assert_eq!(span["service"], "promoflow");
        assert_eq!(
            (&span["path"], &span["key"]),
            (&json!("/v1/traces"), &json!("the-key"))
        );
        assert_eq!(span["media"], "application/x-protobuf");
        assert!(span["start"].as_u64() <= span["end"].as_u64(), "{span}");
        let text = span.to_string();
        assert!(
            !text.contains("example.com") && !text.contains("C-0000"),
            "{text}"
        );
    }
    let named = by_name(&spans);
    let (event_span, run) = (named["event birthday"], named["run"]);
    assert_eq!(event_span["parent"], "b7ad6b7169203331");
    for (child, parent) in [
        ("commit", event_span),
        ("run", event_span),
        ("step code", run),
        ("step mail", run),
        ("deliver email", run),
    ] {
        assert_eq!(named[child]["parent"], parent["span"], "{child}");
    }
    assert_eq!(named["step code"]["attributes"]["promoflow.port"], "next");
    assert_eq!(
        named["deliver email"]["attributes"]["promoflow.outcome"],
        "delivered"
    );
    assert_eq!(run["attributes"]["promoflow.end"], "completed");

    // A delivery in another process finds its parent in the database.
    let delivery = app.succeed(&["outbox", "list"])[0]["delivery"]
        .as_str()
        .unwrap()
        .to_owned();
    let again = "UPDATE delivery SET state = 'pending', due_at = 0";
    app.inspect().execute(again, &[]).unwrap();
    app.succeed(&["work", "--until-idle"]);
    let again = &collector.take(1)[0];
    assert_eq!(
        (&again["trace"], &again["parent"]),
        (&json!(TRACE), &run["span"])
    );
    assert_eq!(
        again["attributes"]["promoflow.delivery"].to_string(),
        delivery
    );

    // An event without a trace gets one, which is not stored; its sender may disable it. Options
    // override the file, whose other settings stay.
    configure(&app, 9, "");
    let url = format!("http://127.0.0.1:{}", collector.port);
    let event = |key: &str| {
        let event = ["event", "send", "--type", "birthday", "--key", key];
        app.succeed(&[&event[..], &["--trace-endpoint", &url]].concat());
    };
    event("bob");
    // Event, commit, run, two steps: without an address there is no delivery.
    let spans = collector.take(5);
    let own = by_name(&spans)["event birthday"];
    assert_ne!(own["trace"], TRACE);
    assert_eq!(own["parent"], "");
    let service = app.serve();
    let request = service.post_json(
        "/api/v1/event",
        &json!({ "eventTypeKey": "birthday",
        "keyValue": "joe" }),
    );
    let unwanted = format!("00-{TRACE}-b7ad6b7169203331-00");
    ok(request.header("traceparent", unwanted).send().unwrap());
    drop(service);
    let traces = "SELECT event, sampled FROM event_trace ORDER BY event";
    let traces: Vec<(i64, bool)> = app.inspect().rows(traces, &[]).unwrap();
    assert_eq!(traces, [(1, true), (3, false)]);
    event("eve");
    let spans = collector.take(5);
    assert!(spans.iter().all(|span| span["trace"] != TRACE), "{spans:?}");
}

#[test]
fn an_unreachable_collector_delays_nothing() {
    let app = TestApp::ready();
    // A port that no other test gets.
    configure(&app, 9, "sample = 1.0\n");
    let mut service = app.serve();
    service.codes(50);
    for number in 0..50 {
        let address = format!("c{number}@example.com");
        let event = json!({ "eventTypeKey": "birthday", "keyValue": address,
                            "params": [{ "name": "EmailAddress", "value": address }] });
        ok(service.post_json("/api/v1/event", &event).send().unwrap());
    }
    let began = std::time::Instant::now();
    assert_eq!(service.end(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(app.succeed(&["run", "list", "--limit", "100"]).len(), 50);
    app.assert_audit();
}
