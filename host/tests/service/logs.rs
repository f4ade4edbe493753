//! The log contains no addresses and no codes, at any level.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::service::{Service, TestApp, client, until};

/// Marks that every code, address and key of these tests contains, only in this form.
const MARKS: [&str; 4] = ["Zq7", "leakaddr", "38099", "Жук"];

fn no_marks(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap();
    for mark in MARKS {
        let line = text.lines().find(|line| line.contains(mark));
        assert_eq!(line, None, "{mark}");
    }
    text
}

/// Starts a mail server that rejects every recipient and quotes all that it was sent.
fn quoting_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || -> std::io::Result<()> {
                let lines = BufReader::new(stream.try_clone()?).lines();
                stream.write_all(b"220 here\r\n")?;
                for line in lines {
                    let line = line?;
                    let answer = match line.get(..4) {
                        Some("RCPT") if line.contains("later") => format!("451 not now {line}\r\n"),
                        Some("RCPT") => format!("550 5.1.1 unknown {line}\r\n"),
                        _ => "250 fine\r\n".to_owned(),
                    };
                    stream.write_all(answer.as_bytes())?;
                }
                Ok(())
            });
        }
    });
    port
}

/// Starts the service with its log in a file.
pub(crate) fn serve(app: &TestApp, level: Option<&str>, args: &[&str], log: &Path) -> Service {
    let key = app.key("admin");
    let mut command = app.command(&["serve", "--listen", "127.0.0.1:0"]);
    if let Some(level) = level {
        command.env("PROMOFLOW_LOG_LEVEL", level);
    }
    let mut child = command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(File::create(log).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = child.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let output: Value = serde_json::from_str(&line).unwrap();
    Service {
        url: output["url"].as_str().unwrap().to_owned(),
        key,
        child,
        client: client(None),
    }
}

/// Sends all kinds of invalid requests, and some valid ones.
fn everything(service: &Service) {
    let csv = "code,expirationDate,discount,type\nZq7-1,2999-12-31,10,birthday\n\
               Zq7-2,2999-12-31,10,birthday\nZq7-3,2999-12-31,10,birthday\n\
               Zq7-bad,never-Zq7,10,birthday\nZq7-1,2999-12-31,11,birthday\n\"Zq7";
    let upload = |text: &str, kind: &str| {
        let request = service.post("/api/v1/promocodes?source=leakaddr@example.com");
        let request = request.header("Content-Type", kind.to_owned());
        request.body(text.to_owned()).send().unwrap()
    };
    upload(csv, "text/csv");
    upload("{\"promocodes\": [\"Zq7-4\", 7]", "application/json");
    upload(
        "[{\"code\": \"Zq7-5\", \"discount\": \"Zq7\"}]",
        "application/json",
    );
    upload("Zq7", "application/Zq7");
    let promocodes = ["retire", "reinstate"];
    for action in promocodes {
        let body = json!({ "promocodes": ["Zq7-3", "Zq7-unknown"] });
        let path = format!("/api/v1/promocodes/{action}");
        service.post_json(&path, &body).send().unwrap();
    }
    for path in [
        "/api/v1/promocodes/Zq7-1",
        "/api/v1/promocodes/Zq7-unknown",
        "/api/v1/promocodes?type=Zq7&discount=leakaddr",
        "/api/v1/Zq7/leakaddr@example.com",
        "/api/v1/runs/Zq7",
        "/api/v1/messages/leakaddr@example.com",
    ] {
        service.get(path).send().unwrap();
    }
    let url = format!("{}/api/v1/promocodes/Zq7-1", service.url);
    let delete = service.client.delete(&url).bearer_auth(&service.key);
    delete.send().unwrap();
    let stranger = service.client.get(&url).basic_auth("leakaddr", Some("Zq7"));
    stranger.send().unwrap();
    let event = |id: &str, address: &str| {
        json!({ "eventTypeKey": "birthday", "keyValue": address, "id": id,
                "params": [{ "name": "EmailAddress", "value": address },
                           { "name": "Phone", "value": "+380991234567" }] })
    };
    let send = |body: &Value| {
        service.post_json("/api/v1/event", body).send().unwrap();
    };
    send(&event("leakaddr-1", "leakaddr.never@example.com"));
    send(&event("leakaddr-1", "leakaddr.never@example.com"));
    send(&event("leakaddr-1", "leakaddr.other@example.com"));
    send(&event("leakaddr-2", "leakaddr.later@example.com"));
    send(&event("leakaddr-3", "Жук leakaddr no address"));
    send(&event("leakaddr-4", "leakaddr<script>"));
    send(&event(&"leakaddr".repeat(50), "leakaddr@example.com"));
    send(&json!({ "eventTypeKey": "birthday", "leakaddr@example.com": "Zq7" }));
    let broken = service.post("/api/v1/event");
    let broken = broken.header("Content-Type", "application/json");
    broken
        .body("{\"keyValue\": \"leakaddr@example.com")
        .send()
        .unwrap();
    let cloud = service.post("/api/v1/cloudevents");
    let cloud = cloud
        .header("ce-specversion", "1.0")
        .header("ce-id", "leakaddr@example.com")
        .header("ce-source", "/Zq7")
        .header("ce-type", "birthday")
        .header("Content-Type", "application/json");
    cloud
        .body("{\"EmailAddress\": \"leakaddr@example.com\"}")
        .send()
        .unwrap();
    let again = service.post("/api/v1/promocodes/retire");
    let again = again.header("Idempotency-Key", "leakaddr@example.com");
    again
        .json(&json!({ "promocodes": ["Zq7-2"] }))
        .send()
        .unwrap();
}

/// Damages rows so that they contain unreadable values.
fn damage(app: &TestApp) {
    let damage = "UPDATE event SET params = '\"Zq7 leakaddr\"' WHERE event_id = 'leakaddr-1';
         UPDATE delivery SET content = '\"Zq7 leakaddr\"', state = 'pending', due_at = 0;
         UPDATE journal SET steps = '\"Zq7 leakaddr\"';
         UPDATE run SET state = 'running', due_at = 0 WHERE id = 1;";
    app.inspect().execute(damage, &[]).unwrap();
}

#[test]
fn the_log_contains_no_code_and_no_address_at_any_level() {
    for format in ["json", "text"] {
        let app = TestApp::ready();
        let config = format!(
            "[[channel]]\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
             from = \"Shop <shop@example.com>\"\n[[alert]]\nwarning = 2\nalarm = 1\n",
            quoting_server()
        );
        std::fs::write(app.path("promoflow.toml"), config).unwrap();
        let log = app.path("log");
        let service = serve(&app, None, &["-vvv", "--log-format", format], &log);
        everything(&service);
        until(|| {
            let failed = service.at("/api/v1/outbox?state=failed");
            failed.as_array().is_some_and(|list| !list.is_empty())
        });
        damage(&app);
        let event = json!({ "eventTypeKey": "birthday", "keyValue": "leakaddr@example.com",
                            "id": "leakaddr-1" });
        service.post_json("/api/v1/event", &event).send().unwrap();
        service.get("/api/v1/runs/1").send().unwrap();
        service.get("/api/v1/outbox").send().unwrap();
        until(|| {
            let text = std::fs::read_to_string(&log).unwrap();
            text.contains("cannot read") && text.contains("delivery 1 failed")
        });
        let text = no_marks(&log);
        let secret = service.key.rsplit('_').next().unwrap();
        assert!(!text.contains(secret), "the API key is in the log");
        assert!(
            text.contains("event accepted") && text.contains("•••-1"),
            "{text}"
        );
        assert!(text.contains("attempt to deliver") && text.contains("l•••"));
        assert!(text.contains("/api/v1/promocodes/{code}"));
        if format == "json" {
            for line in text.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                assert!(line["level"].is_string() && line["timestamp"].is_string());
            }
        }
        drop(service);
        let log = app.path("commands");
        for args in [
            &["codes", "show", "Zq7-1"][..],
            &[
                "event",
                "send",
                "--type",
                "birthday",
                "--key",
                "leakaddr@example.com",
            ],
            &["outbox", "list"],
            &["run", "show", "1"],
        ] {
            let mut command = app.command(args);
            let log = File::options()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap();
            let command = command.arg("-vvv").args(["--log-format", format]);
            command.stdout(Stdio::null()).stderr(log).status().unwrap();
        }
        no_marks(&log);
    }
}

#[test]
fn the_most_specific_log_level_applies() {
    let app = TestApp::new();
    let file = "[log]\nlevel = \"info\"\nformat = \"json\"\n";
    std::fs::write(app.path("promoflow.toml"), file).unwrap();
    let log = app.path("log");
    for (level, args, output, json) in [
        (None, &[][..], true, true),
        (Some("warn"), &[], false, true),
        (Some("warn"), &["--log-level", "debug"], true, true),
        (Some("error"), &["-v", "--log-format", "text"], true, false),
    ] {
        let service = serve(&app, level, args, &log);
        assert_eq!(service.get("/healthz").send().unwrap().status(), 200);
        drop(service);
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(
            text.contains("/healthz"),
            output,
            "{level:?} {args:?}: {text}"
        );
        let lines = text.lines();
        let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
        assert!(
            lines.map(is_json).all(|is| is == json),
            "{level:?} {args:?}: {text}"
        );
    }
}
