//! Metrics, read by an independent parser.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::service::{Service, TestApp, ok, problem, until};

/// The metrics of a service.
struct Metrics(Vec<Value>);

impl Metrics {
    fn of(service: &Service) -> Metrics {
        let answer = service.get("/metrics").send().unwrap();
        assert_eq!(answer.status(), 200);
        let media = answer.headers()["content-type"].to_str().unwrap();
        assert!(media.starts_with("text/plain; version=0.0.4"), "{media}");
        let release = Path::new(env!("CARGO_BIN_EXE_promoflow")).parent().unwrap();
        let python = release.join("../test-tools/bin/python");
        assert!(python.exists(), "`cargo xtask test` installs the parser");
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/metrics_reader.py");
        let mut reader = Command::new(python)
            .arg(tool)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let text = answer.text().unwrap();
        let mut input = reader.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        let output = reader.wait_with_output().unwrap();
        assert!(output.status.success(), "{text}");
        Metrics(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Returns the value of a sample with these labels (and possibly others).
    fn get(&self, name: &str, labels: &Value) -> Option<f64> {
        let wanted = labels.as_object().unwrap();
        let fits = |one: &&Value| {
            let has = |(label, value): (&String, &Value)| one["labels"][label] == *value;
            one["name"] == name && wanted.iter().all(has)
        };
        self.0.iter().find(fits)?["value"].as_f64()
    }
}

#[test]
fn metrics_count_actions_and_current_state() {
    let app = TestApp::ready();
    let service = app.serve();
    service.codes(5);
    let unusual = json!([{ "code": "ODD-1", "type": "odd \"type\" \\", "discount": 5 }]);
    ok(service
        .post_json("/api/v1/promocodes", &unusual)
        .send()
        .unwrap());
    let retired = json!({ "promocodes": ["C-00004"] });
    let retired = service.post_json("/api/v1/promocodes/retire", &retired);
    ok(retired.send().unwrap());
    let event = |id: &str, name: &str| {
        let address = format!("{name}@example.com");
        json!({ "eventTypeKey": "birthday", "keyValue": address, "id": id,
                "params": [{ "name": "EmailAddress", "value": address }] })
    };
    let send = |event: Value| {
        let answer = service.post_json("/api/v1/event", &event).send().unwrap();
        answer.status().as_u16()
    };
    assert_eq!(send(event("a", "ann")), 200);
    assert_eq!(send(event("a", "ann")), 200);
    assert_eq!(send(event("a", "bob")), 409);
    assert_eq!(send(event("b", "bob")), 200);
    // Without an address the run fails and its code is released.
    let without_address = json!({ "eventTypeKey": "birthday", "keyValue": "joe", "id": "c" });
    assert_eq!(send(without_address), 200);
    until(|| {
        let delivered = service.at("/api/v1/outbox?state=delivered");
        delivered.as_array().unwrap().len() == 2
    });

    let metrics = Metrics::of(&service);
    let birthday = |state: &str| json!({ "type": "birthday", "discount": "10", "state": state });
    let count = service.at("/api/v1/promocodes/count?type=birthday");
    for (state, wanted) in [
        ("available", 2),
        ("used", 2),
        ("retired", 1),
        ("expired", 0),
    ] {
        assert_eq!(
            metrics.get("promoflow_codes", &birthday(state)),
            Some(f64::from(wanted)),
            "{state}"
        );
        assert_eq!(count[state], wanted, "{state}");
    }
    let unusual = json!({ "type": "odd \"type\" \\", "discount": "5", "state": "available" });
    assert_eq!(metrics.get("promoflow_codes", &unusual), Some(1.0));
    let group = json!({ "type": "birthday", "discount": "10" });
    assert_eq!(
        metrics.get("promoflow_codes_claimed_last_day", &group),
        Some(2.0)
    );
    // Two codes are left at two per hour, the shortest time that a rate covers.
    let days = metrics.get("promoflow_codes_days_left", &group).unwrap();
    assert!((days - 2.0 / 48.0).abs() < 1e-9, "{days}");
    for (outcome, wanted) in [("accepted", 3.0), ("duplicate", 1.0), ("rejected", 1.0)] {
        let labels = json!({ "outcome": outcome });
        assert_eq!(metrics.get("promoflow_events_total", &labels), Some(wanted));
    }
    for (state, wanted) in [("completed", 2.0), ("failed", 1.0), ("running", 0.0)] {
        let labels = json!({ "state": state });
        assert_eq!(metrics.get("promoflow_runs", &labels), Some(wanted));
    }
    let delivered = json!({ "channel": "email", "outcome": "delivered" });
    let attempts = metrics.get("promoflow_delivery_attempts_total", &delivered);
    assert_eq!(attempts, Some(2.0));
    let calls = json!({ "block": "get-promocode", "outcome": "port" });
    let called = metrics.get("promoflow_block_calls_total", &calls);
    // Five events, the last one twice: the first event that needs a contact enables the directory
    // and runs again with its values.
    assert_eq!(called, Some(3.0 + 2.0 + 1.0));
    assert!(metrics.get("promoflow_commit_seconds_count", &json!({})) >= Some(3.0));
    let route = json!({ "route": "/api/v1/event", "method": "POST", "status": "409" });
    assert_eq!(
        metrics.get("promoflow_http_requests_total", &route),
        Some(1.0)
    );
    assert_eq!(metrics.get("promoflow_executes", &json!({})), Some(1.0));
    // Later claims are subtracted without counting again.
    assert_eq!(send(event("d", "eve")), 200);
    let metrics = Metrics::of(&service);
    assert_eq!(
        metrics.get("promoflow_codes", &birthday("available")),
        Some(1.0)
    );
}

#[test]
fn groups_beyond_a_thousand_are_summed_up() {
    let app = TestApp::new();
    let watched = ["t0998", "t0999", "t1000"];
    let rules = watched.map(|kind| format!("[[alert]]\ntype = \"{kind}\"\n"));
    std::fs::write(app.path("promoflow.toml"), rules.concat()).unwrap();
    let service = app.serve();
    let upload = |types: &[String]| {
        let mut csv = "code,expirationDate,discount,type\n".to_owned();
        for one in types {
            csv.push_str(&format!("of-{one},2999-12-31,10,{one}\n"));
        }
        let upload = service.post("/api/v1/promocodes");
        let upload = upload.header("Content-Type", "text/csv").body(csv);
        ok(upload.send().unwrap());
    };
    let group = |kind: &str, discount: &str| json!({ "type": kind, "discount": discount, "state": "available" });
    let available = |metrics: &Metrics, kind: &str, discount: &str| {
        metrics.get("promoflow_codes", &group(kind, discount))
    };
    let types: Vec<String> = (0..1_001).map(|number| format!("t{number:04}")).collect();
    upload(&types);
    let metrics = Metrics::of(&service);
    assert_eq!(available(&metrics, "t0999", "10"), Some(1.0));
    assert_eq!(available(&metrics, "t1000", "10"), None);
    assert_eq!(available(&metrics, "(others)", "0"), Some(1.0));
    // A group that sorts before them takes the place of the thousandth.
    upload(&["a".to_owned()]);
    until(|| available(&Metrics::of(&service), "a", "10") == Some(1.0));
    let metrics = Metrics::of(&service);
    assert_eq!(available(&metrics, "t0999", "10"), None);
    assert_eq!(available(&metrics, "(others)", "0"), Some(2.0));
    // The alert is reported for the group that has it.
    until(|| {
        let alerts = service.at("/api/v1/alerts");
        let mut alerts = alerts.as_array().unwrap().iter();
        alerts.all(|one| one["state"] == "alarm")
    });
    let metrics = Metrics::of(&service);
    let raised = |kind: &str, discount: &str| {
        let labels = json!({ "type": kind, "discount": discount, "level": "warning" });
        metrics.get("promoflow_alerts_raised", &labels)
    };
    assert_eq!(raised("t0998", "10"), Some(1.0));
    assert_eq!(raised("t0999", "10"), None);
    assert_eq!(raised("(others)", "0"), Some(2.0));
}

/// The names that dashboards expect.
#[cfg(target_os = "linux")]
#[test]
fn process_metrics_have_the_standard_names() {
    let app = TestApp::new();
    let service = app.serve();
    let metrics = Metrics::of(&service);
    let get = |name: &str| metrics.get(name, &json!({})).unwrap();
    let memory = get("process_resident_memory_bytes");
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes: f64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let ratio = memory / (kibibytes * 1024.0);
    assert!((0.5..2.0).contains(&ratio), "{memory} {kibibytes}");
    let now = chrono::Utc::now().timestamp();
    let started = get("process_start_time_seconds");
    #[allow(clippy::cast_precision_loss, reason = "seconds")]
    let age = now as f64 - started;
    assert!((-2.0..600.0).contains(&age), "{age}");
    assert!(get("process_cpu_seconds_total") >= 0.0);
    assert!((5.0..1_000.0).contains(&get("process_open_fds")));
    assert!(get("process_max_fds") > get("process_open_fds"));
}

#[test]
fn metrics_need_a_key_with_a_read_scope() {
    let app = TestApp::ready();
    let mut service = app.serve();
    let bare = service.client.get(format!("{}/metrics", service.url));
    problem(bare.send().unwrap(), 401, "unauthenticated");
    for (scope, status) in [("read", 200), ("events", 403), ("codes", 403)] {
        service.key = app.key(scope);
        until(|| service.get("/metrics").send().unwrap().status() != 401);
        let answer = service.get("/metrics").send().unwrap();
        assert_eq!(answer.status(), status, "{scope}");
    }
    let basic = service.client.get(format!("{}/metrics", service.url));
    let basic = basic.basic_auth("prometheus", Some(app.key("read")));
    until(|| basic.try_clone().unwrap().send().unwrap().status() == 200);
}
