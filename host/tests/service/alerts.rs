//! Alerts on the pool: raised by events, once per crossing.

use serde_json::{Value, json};

use crate::service::{Service, TestApp, ok, until};

const RULES: &str = "
[[alert]]
warning = 6
alarm = 3

[[alert]]
kind = \"expiring\"
type = \"birthday\"
warning = 1
alarm = 1000

[[alert]]
kind = \"exhaustion\"
type = \"dry\"
warning = 2
alarm = 1
";

/// The text that a workflow sends for each level's event.
const REPORT: &str = "
{ message: note, channel: sms,
  text: \"$!data.get('level') $!data.get('kind') $!data.get('type') $!data.get('discount') \
          $!data.get('threshold') $!data.get('count')$!data.get('daysLeft')\" }
";

fn workflow(level: &str) -> String {
    format!(
        "
workflow: on-{level}
start: {{ event: alertSettings{level}TriggerEvent }}
steps:
  - {{ id: sms, block: send-message, with: {{ channel: sms, message: note, to: \"+380501234567\" }} }}
"
    )
    .replace("on-Warning", "on-warning")
    .replace("on-Alarm", "on-alarm")
}

/// Returns an installation with alert rules and workflows that report alerts.
fn with_alerts() -> TestApp {
    add_alerts(TestApp::ready())
}

fn add_alerts(app: TestApp) -> TestApp {
    std::fs::write(app.path("promoflow.toml"), RULES).unwrap();
    let files = [
        ("message", REPORT.to_owned()),
        ("workflow", workflow("Warning")),
        ("workflow", workflow("Alarm")),
    ];
    for (command, text) in files {
        let file = app.path("file.yaml");
        std::fs::write(&file, text).unwrap();
        app.succeed(&[command, "apply", file.to_str().unwrap()]);
    }
    app
}

fn codes(app: &TestApp, kind: &str, expires: &str, numbers: std::ops::Range<u32>) {
    let mut csv = "code,expirationDate,discount,type\n".to_owned();
    for number in numbers {
        csv.push_str(&format!("{kind}-{number},{expires},10,{kind}\n"));
    }
    let file = app.path("codes.csv");
    std::fs::write(&file, csv).unwrap();
    app.succeed(&["codes", "import", file.to_str().unwrap()]);
}

fn birthdays(app: &TestApp, from: u32, count: u32) {
    let lines: Vec<String> = (from..from + count)
        .map(|number| {
            let address = format!("c{number}@example.com");
            json!({ "eventTypeKey": "birthday", "keyValue": address,
                    "params": { "EmailAddress": address } })
            .to_string()
        })
        .collect();
    let file = app.path("events.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    app.succeed(&["event", "send", "--file", file.to_str().unwrap()]);
}

/// Returns the reported alerts in order.
fn reported(app: &TestApp) -> Vec<String> {
    let deliveries = app.succeed(&["outbox", "list"]).into_iter();
    deliveries
        .filter(|one| one["channel"] == "sms")
        .map(|one| one["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn each_crossing_is_reported_once_by_any_process() {
    let app = with_alerts();
    codes(&app, "birthday", "2999-12-31", 0..8);
    birthdays(&app, 0, 1);
    assert_eq!(reported(&app), [""; 0]);
    birthdays(&app, 1, 1);
    assert_eq!(reported(&app), ["warning available birthday 10 6 6"]);
    birthdays(&app, 2, 2);
    assert_eq!(reported(&app).len(), 1, "it is already below the threshold");
    // A file of events crosses both thresholds at once; the last event leaves no codes.
    birthdays(&app, 4, 4);
    assert_eq!(reported(&app)[1..], ["alarm available birthday 10 3 0"]);
    // A refill below the reset threshold does not clear the alert.
    let state = || app.succeed(&["alert", "list"]);
    let left = |rows: Vec<Value>| {
        rows.into_iter()
            .find(|row| row["kind"] == "available")
            .unwrap()
    };
    assert_eq!(left(state())["state"], "alarm");
    codes(&app, "birthday", "2999-12-31", 8..12);
    let mut service = app.serve();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(left(state())["state"], "alarm");
    assert_eq!(reported(&app).len(), 2);
    // A larger refill does, and the next crossing is reported again.
    codes(&app, "birthday", "2999-12-31", 12..20);
    // The list evaluates the rules itself; the service notices the refill a moment later.
    until(|| left(state())["state"] == "ok" && !left(state())["since"].is_null());
    let shown = service.at("/api/v1/alerts");
    let shown = shown.as_array().unwrap();
    let shown = shown.iter().find(|row| row["kind"] == "available").unwrap();
    assert_eq!(
        (&shown["state"], &shown["count"]),
        (&json!("ok"), &json!(12))
    );
    assert!(shown["daysLeft"].as_f64().unwrap() < 1.0);
    send(&service, 8, 6);
    until(|| reported(&app).len() == 3);
    assert_eq!(reported(&app)[2], "warning available birthday 10 6 6");
    assert_eq!(
        service.at("/api/v1/alerts/rules").as_array().unwrap().len(),
        3
    );
    let text = service.get("/metrics").send().unwrap().text().unwrap();
    let raised = "promoflow_alerts_raised{discount=\"10\",kind=\"available\",level=\"warning\",\
                  type=\"birthday\"} 1";
    assert!(text.lines().any(|line| line == raised), "{text}");
    #[cfg(unix)]
    assert_eq!(service.end(), Some(0));
    #[cfg(not(unix))]
    drop(service.child.kill());
    app.assert_audit();
}

fn send(service: &Service, from: u32, count: u32) {
    for number in from..from + count {
        let address = format!("c{number}@example.com");
        let event = json!({ "eventTypeKey": "birthday", "keyValue": address,
                            "params": [{ "name": "EmailAddress", "value": address }] });
        ok(service.post_json("/api/v1/event", &event).send().unwrap());
    }
}

#[test]
fn reports_expiring_codes_and_a_pool_that_runs_out() {
    let app = with_alerts();
    let day = |days: i64| {
        let at = chrono::Utc::now() + chrono::TimeDelta::days(days);
        at.format("%Y-%m-%d").to_string()
    };
    codes(&app, "birthday", &day(300), 0..7);
    codes(&app, "dry", "2999-12-31", 0..60);
    let mut service = app.serve();
    let dry = "
workflow: dry
start: { event: dry }
steps:
  - { id: code, block: get-promocode, with: { type: dry, discount: 10, days: 0 } }
";
    let applied = service
        .post("/api/v1/workflows")
        .header("Content-Type", "application/yaml");
    ok(applied.body(dry).send().unwrap());
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(reported(&app), [""; 0]);
    codes(&app, "birthday", &day(5), 100..102);
    until(|| reported(&app) == ["warning expiring birthday 10 1 2"]);
    // Two claims in the first hour are 48 per day: 58 codes last for more than one day and less
    // than two.
    for number in 0..2 {
        let event = json!({ "eventTypeKey": "dry", "keyValue": format!("d{number}") });
        ok(service.post_json("/api/v1/event", &event).send().unwrap());
    }
    until(|| reported(&app).len() == 2);
    assert_eq!(reported(&app)[1], "warning exhaustion dry 10 2 581.2");
    let forecast = service.at("/api/v1/promocodes/forecast");
    let groups = forecast.as_array().unwrap();
    let of = |kind: &str| groups.iter().find(|group| group["type"] == kind).unwrap();
    assert_eq!(of("birthday")["expiring"], 2);
    assert_eq!(of("dry")["claimedLastDay"], 2);
    #[cfg(unix)]
    assert_eq!(service.end(), Some(0));
    #[cfg(not(unix))]
    drop(service.child.kill());
}

#[cfg(unix)]
#[test]
fn a_crossing_is_reported_once_wherever_processes_die() {
    // The file is put back before each kill.
    let app = add_alerts(TestApp::with_file().with_workflow());
    codes(&app, "birthday", "2999-12-31", 0..7);
    let before = std::fs::read(app.path("promoflow.db")).unwrap();
    let mut kills = 0;
    for point in ["before-commit", "after-commit"] {
        for time in 1..=3 {
            for behind in ["", "-wal", "-shm"] {
                let _gone = std::fs::remove_file(app.path(&format!("promoflow.db{behind}")));
            }
            std::fs::write(app.path("promoflow.db"), &before).unwrap();
            // Its event leaves six codes, which is the warning threshold.
            let killed = app
                .command(&["event", "send", "--type", "birthday", "--no-wait"])
                .args(["--key", "ann", "--param", "EmailAddress=ann@example.com"])
                .env("PROMOFLOW_FAILPOINT", format!("{point}:{time}"))
                .output()
                .unwrap();
            kills += u32::from(killed.status.code().is_none());
            // Fewer codes are left when the next process checks; the event with the report stays
            // the same.
            app.succeed(&["codes", "retire", "birthday-6"]);
            birthdays(&app, 0, 1);
            let warnings = reported(&app);
            let all = format!("{point}:{time}: {warnings:?}");
            assert_eq!(warnings.len(), 1, "{all}");
            assert!(
                warnings[0].starts_with("warning available birthday 10 6 "),
                "{all}"
            );
            app.assert_audit();
        }
    }
    assert!(kills >= 4, "only {kills} processes were killed");
}

/// Returns the list's row for the available codes of `birthday`.
fn left(app: &TestApp) -> Option<Value> {
    let rows = app.succeed(&["alert", "list"]).into_iter();
    let mut left = rows.filter(|row| row["kind"] == "available" && row["type"] == "birthday");
    left.next()
}

/// Returns the raised `available` levels according to the metrics.
fn raised(service: &Service) -> Vec<String> {
    let text = service.get("/metrics").send().unwrap().text().unwrap();
    let raised = |line: &&str| {
        line.starts_with("promoflow_alerts_raised{")
            && line.contains("kind=\"available\"")
            && line.ends_with(" 1")
    };
    text.lines().filter(raised).map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn an_alert_is_cleared_without_its_rule_and_raised_again_with_it() {
    let app = with_alerts();
    codes(&app, "birthday", "2999-12-31", 0..3);
    let mut service = app.serve();
    until(|| reported(&app).len() == 2);
    assert_eq!(raised(&service).len(), 2);
    assert_eq!(service.end(), Some(0));

    // Without rules no alert is raised, by any interface.
    std::fs::remove_file(app.path("promoflow.toml")).unwrap();
    let mut service = app.serve();
    assert_eq!(raised(&service), [""; 0]);
    assert_eq!(service.at("/api/v1/alerts"), json!([]));
    codes(&app, "birthday", "2999-12-31", 3..103);
    let used: Vec<String> = (4..103)
        .map(|number| format!("birthday-{number}"))
        .collect();
    let retired = service.post_json("/api/v1/promocodes/retire", &json!({ "promocodes": used }));
    ok(retired.send().unwrap());
    assert_eq!(service.end(), Some(0));

    // Nor with rules for another type.
    let others = RULES.replacen("[[alert]]", "[[alert]]\ntype = \"dry\"", 1);
    std::fs::write(app.path("promoflow.toml"), others).unwrap();
    let mut service = app.serve();
    assert_eq!(raised(&service), [""; 0]);
    assert_eq!(left(&app), None);
    assert_eq!(service.end(), Some(0));
    assert_eq!(reported(&app).len(), 2);

    // Four codes are left, which only crosses the warning threshold.
    std::fs::write(app.path("promoflow.toml"), RULES).unwrap();
    let mut service = app.serve();
    until(|| reported(&app).len() == 3);
    assert_eq!(reported(&app)[2], "warning available birthday 10 6 4");
    assert_eq!(left(&app).unwrap()["state"], "warning");
    assert_eq!(raised(&service).len(), 1);
    assert_eq!(service.end(), Some(0));
    app.assert_audit();
}

#[test]
fn the_list_is_current_before_anything_is_executed() {
    let app = with_alerts();
    codes(&app, "birthday", "2999-12-31", 0..2);
    let row = left(&app).unwrap();
    assert_eq!((&row["state"], &row["count"]), (&json!("alarm"), &json!(2)));
    assert_eq!(row["since"], Value::Null);
    codes(&app, "birthday", "2999-12-31", 2..6);
    assert_eq!(left(&app).unwrap()["state"], "warning");
    codes(&app, "birthday", "2999-12-31", 6..9);
    assert_eq!(left(&app).unwrap()["state"], "ok");
}

#[test]
fn work_until_idle_evaluates_alerts_and_tries_every_notification() {
    let app = with_alerts();
    for round in 0..20 {
        // Both levels are crossed by the claims, or by the number of codes alone.
        let kind = format!("kind-{round}");
        codes(&app, "birthday", "2999-12-31", round * 20..round * 20 + 10);
        codes(&app, &kind, "2999-12-31", 0..2);
        let lines: Vec<String> = (0..8)
            .map(|number| {
                let address = format!("r{round}-{number}@example.com");
                json!({ "eventTypeKey": "birthday", "keyValue": address,
                        "params": { "EmailAddress": address } })
                .to_string()
            })
            .collect();
        let file = app.path("events.jsonl");
        std::fs::write(&file, lines.join("\n")).unwrap();
        app.succeed(&[
            "event",
            "send",
            "--no-wait",
            "--file",
            file.to_str().unwrap(),
        ]);
        app.succeed(&["work", "--until-idle"]);
        assert_eq!(
            app.succeed(&["outbox", "list", "--state", "pending"]),
            [Value::Null; 0],
            "{round}"
        );
        let reported = reported(&app);
        let of_kind = reported.iter().filter(|text| text.contains(&kind)).count();
        assert_eq!(of_kind, 2, "{round}: {reported:?}");
    }
    app.assert_audit();
}
