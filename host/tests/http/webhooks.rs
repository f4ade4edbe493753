//! Alert webhooks.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::server::{Request, Server, root};

/// The secret that the server knows as `new`.
const SECRET: &str = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5u";

const WORKFLOW: &str = "
workflow: taking
start: { event: take }
steps:
  - { id: code, block: get-promocode, with: { type: birthday, discount: 10, days: 0 } }
";

/// An installation with alert rules.
struct TestApp(promoflow_test_support::TestApp);

impl TestApp {
    fn new(config: &str, codes: u32) -> TestApp {
        let app = promoflow_test_support::TestApp::new(env!("CARGO_BIN_EXE_promoflow"));
        TestApp::prepare(app, config, codes)
    }

    fn prepare(app: promoflow_test_support::TestApp, config: &str, codes: u32) -> TestApp {
        let app = TestApp(app);
        std::fs::write(app.path("promoflow.toml"), config).unwrap();
        std::fs::write(app.path("workflow.yaml"), WORKFLOW).unwrap();
        app.succeed(&["workflow", "apply", "workflow.yaml"]);
        app.codes(0, codes);
        app
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path(name)
    }

    fn codes(&self, from: u32, to: u32) {
        let rows = (from..to).map(|n| format!("B-{n},2999-12-31,10,birthday\n"));
        let csv = "code,expirationDate,discount,type\n".to_owned() + &rows.collect::<String>();
        std::fs::write(self.path("codes.csv"), csv).unwrap();
        self.succeed(&["codes", "import", "codes.csv"]);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        command
            .arg("--json")
            .env("WEBHOOK_SECRET", SECRET)
            .env("CHAT_TOKEN", "T/1");
        command
    }

    fn succeed(&self, args: &[&str]) -> Vec<Value> {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(args).output().unwrap();
        let error = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{args:?}: {error}");
        assert!(!error.contains(SECRET) && !error.contains("T/1"), "{error}");
        let lines = String::from_utf8(stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Claims one code.
    fn claim_code(&self, key: &str) {
        self.succeed(&["event", "send", "--type", "take", "--key", key]);
    }

    fn notifications(&self) -> Vec<Value> {
        self.succeed(&["alert", "notifications"])
    }
}

/// Returns the requests that the server has received so far.
pub(crate) fn requests(server: &mut Server) -> Vec<Request> {
    let mut mark = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let head = b"POST /mark HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    mark.write_all(head).unwrap();
    mark.read_to_end(&mut Vec::new()).unwrap();
    let all = std::iter::repeat_with(|| server.request());
    all.take_while(|request| request.path() != "/mark")
        .collect()
}

/// Returns the guide's configuration with this server in place of its servers.
fn guide(server: &Server) -> String {
    let guide = std::fs::read_to_string(root().join("docs/alerts.md")).unwrap();
    let section = guide.split("## Notify a webhook").nth(1).unwrap();
    let config = section.split("```toml\n").nth(1).unwrap();
    let config = config.split("```").next().unwrap();
    let here = format!("http://127.0.0.1:{}", server.port);
    let config = config.replace("https://hooks.example.com", &here);
    let config = config.replace("https://chat.example.com", &here);
    assert_eq!(config.matches(&here).count(), 2, "{config}");
    config
}

#[test]
fn the_guide_s_webhooks_get_one_notification_per_crossing() {
    let mut server = Server::start();
    let app = TestApp::new(&guide(&server), 501);
    assert_eq!(app.succeed(&["config", "check"])[0]["webhooks"], 2);
    app.claim_code("ann");
    let mut received = requests(&mut server);
    received.sort_by_key(|request| request.path().to_owned());
    let [chat, ops] = &received[..] else {
        panic!("{} requests", received.len())
    };
    assert_eq!(chat.path(), "/hooks/T%2F1");
    let text = "warning: promo codes of birthday with 10 %: 500 left (warning at 500)";
    assert_eq!(chat.json(), json!({ "text": text }));
    assert_eq!(ops.path(), "/pool");
    assert_eq!(ops.0["verifiedBy"], json!(["new"]));
    assert_eq!(ops.header("content-type"), Some("application/json"));
    let identity = ops.header("idempotency-key").unwrap();
    assert_eq!(ops.header("webhook-id"), Some(identity));
    assert_ne!(chat.header("idempotency-key"), Some(identity));
    let event = ops.json();
    assert_eq!(event["eventTypeKey"], "alertSettingsWarningTriggerEvent");
    assert_eq!(event["keyValue"], "birthday 10");
    let params = json!({ "kind": "available", "level": "warning", "type": "birthday", "discount": "10",
                         "threshold": "500", "count": "500", "alertLevel": "WARNING",
                         "alertTrackingSourceType": "PROMOCODE",
                         "alertTrackingSourceName": "birthday", "actualCount": "500" });
    assert_eq!(event["params"], params);
    for notification in app.notifications() {
        assert_eq!(
            (&notification["state"], &notification["attempts"]),
            (&json!("delivered"), &json!(1))
        );
        assert_eq!(notification["event"], event);
    }
    // It stays below the threshold: no new notification until it rises above the reset threshold
    // and crosses again.
    app.claim_code("bob");
    app.codes(501, 560);
    app.succeed(&["codes", "retire", "B-559"]);
    app.claim_code("eve");
    assert_eq!(requests(&mut server).len(), 0);
    let many: Vec<String> = (490..558).map(|n| format!("B-{n}")).collect();
    let mut retire = vec!["codes", "retire"];
    retire.extend(many.iter().map(String::as_str));
    app.succeed(&retire);
    app.claim_code("joe");
    let again = requests(&mut server);
    assert_eq!(again.len(), 2, "no second notification");
    assert!(
        again
            .iter()
            .all(|one| one.header("idempotency-key") != Some(identity))
    );
}

fn one_webhook(server: &Server, path: &str) -> String {
    let port = server.port;
    format!(
        "[[alert]]\nwarning = 2\nalarm = 1\nwebhook = \"ops\"\n\
         [webhook.ops]\nurl = \"http://127.0.0.1:{port}/{path}\"\n"
    )
}

#[test]
fn templates_of_webhooks_read_the_parameters_of_yespo() {
    let mut server = Server::start();
    let names = [
        "alertLevel",
        "alertTrackingSourceType",
        "alertTrackingSourceName",
        "actualCount",
    ];
    let template = names.map(|name| format!("${name}")).join(" ");
    let config = one_webhook(&server, "pool") + &format!("json = {{ text = \"{template}\" }}\n");
    let app = TestApp::new(&config, 3);
    app.claim_code("ann");
    let received = requests(&mut server);
    assert_eq!(received.len(), 1);
    let text = "WARNING PROMOCODE birthday 2";
    assert_eq!(received[0].json(), json!({ "text": text }));
}

#[test]
fn a_failed_notification_is_retried_under_the_same_identity() {
    let mut server = Server::start();
    // A server error, a lost answer and a 404 are all retried.
    for path in ["down", "drop", "never"] {
        let app = TestApp::new(&one_webhook(&server, path), 3);
        app.claim_code("ann");
        let notification = &app.notifications()[0];
        assert_eq!(
            (&notification["state"], &notification["attempts"]),
            (&json!("pending"), &json!(1)),
            "{path}"
        );
        assert!(
            notification["error"].is_string() && notification["nextAttemptAt"].is_string(),
            "{notification}"
        );
        let tried = |times: u32| {
            for _ in 0..400 {
                app.succeed(&["work", "--until-idle"]);
                if app.notifications()[0]["attempts"] == times {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            panic!("{path}: no retry");
        };
        tried(2);
        let state = if path == "never" {
            "pending"
        } else {
            "delivered"
        };
        assert_eq!(app.notifications()[0]["state"], state, "{path}");
        let received = requests(&mut server);
        assert_eq!(received.len(), 2, "{path}");
        let identity = |n: usize| received[n].header("idempotency-key").unwrap();
        assert_eq!(identity(0), identity(1), "{path}");
        assert_eq!(received[0].json(), received[1].json(), "{path}");
    }
}

#[test]
fn a_webhook_s_retry_after_is_respected_by_the_next_process() {
    let mut server = Server::start();
    let app = TestApp::new(&one_webhook(&server, "busy"), 3);
    app.claim_code("ann");
    // The alarm is another notification.
    app.claim_code("bob");
    assert_eq!(requests(&mut server).len(), 1);
    let attempts: Vec<_> = app
        .notifications()
        .iter()
        .map(|one| one["attempts"].clone())
        .collect();
    assert_eq!(attempts, [json!(0), json!(1)]);
}

/// P2 and P3 for notifications: wherever a process dies, each crossing creates one notification,
/// whose attempt is stored before it is made.
#[cfg(unix)]
#[test]
fn p3_a_crossing_creates_one_notification_wherever_processes_die() {
    let mut server = Server::start();
    // The file is put back before each kill.
    let app = promoflow_test_support::TestApp::with_file(env!("CARGO_BIN_EXE_promoflow"));
    let app = TestApp::prepare(app, &one_webhook(&server, "pool"), 3);
    let before = std::fs::read(app.path("promoflow.db")).unwrap();
    let mut kills = 0;
    for point in [
        "before-commit",
        "after-commit",
        "after-attempt-start",
        "after-delivery",
    ] {
        for time in 1..=3 {
            for behind in ["-wal", "-shm"] {
                let _gone = std::fs::remove_file(app.path(&format!("promoflow.db{behind}")));
            }
            std::fs::write(app.path("promoflow.db"), &before).unwrap();
            let killed = app
                .command(&[
                    "event", "send", "--type", "take", "--key", "ann", "--id", "1",
                ])
                .env("PROMOFLOW_FAILPOINT", format!("{point}:{time}"))
                .output()
                .unwrap();
            let dead = killed.status.code().is_none();
            kills += u32::from(dead);
            let received_before = requests(&mut server).len();
            let all = format!("{point}:{time}, {received_before} before");
            if dead && point == "after-attempt-start" {
                assert_eq!(received_before, 0, "{all}");
                assert_eq!(
                    app.notifications()[0]["attempts"],
                    1,
                    "{all}: the attempt was not stored first"
                );
            }
            app.succeed(&[
                "event", "send", "--type", "take", "--key", "ann", "--id", "1",
            ]);
            let notifications = app.notifications();
            assert_eq!(notifications.len(), 1, "{all}");
            assert_eq!(notifications[0]["state"], "delivered", "{all}");
            // A lost answer may cause a second request, under the same identity.
            let received = received_before + requests(&mut server).len();
            let twice = dead && point == "after-delivery";
            assert_eq!(received, 1 + usize::from(twice), "{all}");
            assert_audit(&app);
        }
    }
    assert!(kills >= 6, "only {kills} processes were killed");
}

fn assert_audit(app: &TestApp) {
    assert!(
        app.succeed(&["audit"])
            .iter()
            .all(|one| one["holds"] == true)
    );
}

#[test]
fn invalid_webhooks_are_reported_with_their_position() {
    let server = Server::start();
    let app = TestApp::new(&one_webhook(&server, "pool"), 1);
    for (config, wanted) in [
        (
            "[[alert]]\nwebhook = \"osp\"\n[webhook.ops]\nurl = \"https://a.example/\"\n",
            "promoflow.toml:1:1: unknown webhook `osp`; did you mean `ops`?",
        ),
        (
            "[webhook.ops]\nurl = \"https://a.example/\"\ntakes = [\"sms\"]\n",
            "promoflow.toml:3:1: unknown key `takes`",
        ),
        (
            "[webhook.ops]\nurl = \"https://a.example/$address\"\n",
            "promoflow.toml:2:26: unknown variable `address`",
        ),
        (
            "[webhook.ops]\nurl = \"http://a.example/\"\n",
            "expected https://",
        ),
        ("[webhook.ops]\n", "missing field `url`"),
        (
            "[webhook.\"a b\"]\nurl = \"https://a.example/\"\n",
            "invalid name; expected letters",
        ),
    ] {
        std::fs::write(app.path("promoflow.toml"), config).unwrap();
        let output = app.command(&["config", "check"]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{config}: {error}");
        assert!(error.contains(wanted), "{config}: {error}");
    }
}
