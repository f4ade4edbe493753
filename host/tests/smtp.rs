//! Emails through an independent mail server, read by an independent parser.
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start() -> Server {
        Server::with(&[])
    }

    fn with(args: &[&str]) -> Server {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let release = Path::new(env!("CARGO_BIN_EXE_promoflow")).parent().unwrap();
        let python = release.join("../test-tools/bin/python");
        assert!(
            python.exists(),
            "`cargo xtask test` installs the mail server"
        );
        let mut child = Command::new(python)
            .arg(root.join("tests/tools/mail_server.py"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        stdout.read_line(&mut port).unwrap();
        let port = port.trim().parse().unwrap();
        Server {
            child,
            stdout,
            port,
        }
    }

    /// Returns the next email that the server accepted.
    fn mail(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// An installation whose email channel uses a port.
struct TestApp(promoflow_test_support::TestApp);

impl Deref for TestApp {
    type Target = promoflow_test_support::TestApp;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

const MESSAGE: &str = r#"
message: mail
channel: email
reply-to: Help <help@example.com>
subject: З днем народження, $!data.get('name')!
preheader: A present for $!data.get('name')
headers: { X-Campaign: $!data.get('name') }
text: "Code: $!data.get('promocode')"
html: "<body><p>Dear $!data.get('name'), <b>$!data.get('promocode')</b></p></body>"
"#;

const WORKFLOW: &str = "
workflow: birthday
start: { event: birthday }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
";

impl TestApp {
    fn new(port: u16) -> TestApp {
        TestApp::with(
            "127.0.0.1",
            port,
            "security = \"none\"\ntimeout-seconds = 5\n",
        )
    }

    fn with(host: &str, port: u16, more: &str) -> TestApp {
        let app = TestApp(promoflow_test_support::TestApp::new(env!(
            "CARGO_BIN_EXE_promoflow"
        )));
        app.file(
            "promoflow.toml",
            &format!(
                "[[channel]]\ntype = \"smtp\"\nhost = \"{host}\"\nport = {port}\n\
                 from = \"Крамниця <shop@example.com>\"\n{more}"
            ),
        );
        let mut codes = "code,expirationDate,discount,type\n".to_owned();
        (0..9).for_each(|n| codes.push_str(&format!("S-{n},2999-12-31,10,birthday\n")));
        app.file("codes.csv", &codes);
        app.file("message.yaml", MESSAGE);
        app.file("workflow.yaml", WORKFLOW);
        app.succeed(&["codes", "import", "codes.csv"]);
        app.succeed(&["message", "apply", "message.yaml"]);
        app.succeed(&["workflow", "apply", "workflow.yaml"]);
        app
    }

    fn succeed(&self, args: &[&str]) -> String {
        self.0.succeed(args).0
    }

    /// Sends an event and returns the log.
    fn send(&self, address: &str, name: &str) -> String {
        let (address, name) = (format!("EmailAddress={address}"), format!("name={name}"));
        let event = ["event", "send", "--type", "birthday"];
        let params = ["--param", &address, "--param", &name];
        self.0.succeed(&[&event[..], &params].concat()).1
    }

    /// Returns the last delivery.
    fn delivery(&self) -> Value {
        let listed = self.succeed(&["outbox", "list", "--json"]);
        serde_json::from_str(listed.lines().last().unwrap()).unwrap()
    }

    /// Returns the outcome of a delivery's first attempt.
    fn outcome(&self, delivery: &Value) -> String {
        let id = delivery["delivery"].as_str().unwrap();
        let shown = self.succeed(&["outbox", "show", id, "--json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown["history"][0]["outcome"].as_str().unwrap().to_owned()
    }

    /// Makes the last delivery due now.
    fn retry_now(&self) {
        let delivery = self.delivery();
        self.succeed(&["outbox", "retry", delivery["delivery"].as_str().unwrap()]);
        self.succeed(&["work", "--until-idle"]);
    }
}

fn headers(mail: &Value, name: &str) -> Vec<String> {
    let all = mail["headers"].as_array().unwrap();
    let named = all.iter().filter(|header| header[0] == name);
    named
        .map(|header| header[1].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_email_arrives_as_written_and_values_add_no_header() {
    let mut server = Server::start();
    let app = TestApp::new(server.port);
    app.send("ann@example.com", "Ann\r\nBcc: eve@example.com <i>");
    assert_eq!(app.delivery()["state"], "delivered");
    let mail = server.mail();
    assert_eq!(
        mail["envelope"],
        serde_json::json!(["shop@example.com", "ann@example.com"])
    );
    assert_eq!(mail["defects"], serde_json::json!([]));
    let machine = Command::new("uname").arg("-n").output().unwrap().stdout;
    let machine = String::from_utf8(machine).unwrap();
    assert_eq!(mail["hello"], machine.trim());
    let one_line = "Ann Bcc: eve@example.com <i>";
    assert_eq!(
        headers(&mail, "subject"),
        [format!("З днем народження, {one_line}!")]
    );
    assert_eq!(headers(&mail, "from"), ["Крамниця <shop@example.com>"]);
    assert_eq!(headers(&mail, "reply-to"), ["Help <help@example.com>"]);
    assert_eq!(headers(&mail, "x-campaign"), [one_line]);
    assert_eq!(headers(&mail, "to"), ["ann@example.com"]);
    assert!(headers(&mail, "bcc").is_empty(), "{mail}");
    assert_eq!(headers(&mail, "date").len(), 1);
    assert_eq!(mail["text"].as_str().unwrap().trim(), "Code: S-0");
    let html = mail["html"].as_str().unwrap();
    assert!(html.contains("&lt;i&gt;, <b>S-0</b>"), "{html}");
    assert!(html.contains("display:none"), "{html}");
}

#[test]
fn temporary_rejections_are_retried_under_the_same_identity() {
    let mut server = Server::start();
    let app = TestApp::new(server.port);
    let mut identities = Vec::new();
    let words = [
        ("busy", "retryable"),
        ("later", "retryable"),
        ("drop", "ambiguous"),
        ("middle", "ambiguous"),
    ];
    for (number, (word, outcome)) in words.into_iter().enumerate() {
        let address = &format!("{word}@example.com");
        app.send(address, "Ann");
        let delivery = app.delivery();
        assert_eq!(delivery["state"], "pending", "{delivery}");
        assert_eq!(delivery["attempts"], 1, "{delivery}");
        assert_eq!(app.outcome(&delivery), outcome, "{address}");
        let error = delivery["error"].as_str().unwrap();
        assert!(!error.contains("example.com"), "{error}");
        app.retry_now();
        assert_eq!(app.delivery()["state"], "delivered", "{address}");
        let mail = server.mail();
        assert_eq!(
            mail["text"].as_str().unwrap().trim(),
            format!("Code: S-{number}")
        );
        let [identity] = headers(&mail, "message-id").try_into().unwrap();
        assert!(
            identity.starts_with(&format!("<delivery-{}@", number + 1)),
            "{identity}"
        );
        identities.push(identity);
    }
    identities.dedup();
    assert_eq!(identities.len(), 4);
}

#[test]
fn an_email_without_an_answer_is_sent_again_under_the_same_identity() {
    let mut server = Server::start();
    let app = TestApp::new(server.port);
    app.send("after@example.com", "Ann");
    assert_eq!(
        app.delivery()["state"],
        "pending",
        "no server acknowledged it"
    );
    app.retry_now();
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "delivered");
    assert_eq!(delivery["attempts"], 2);
    let (first, second) = (server.mail(), server.mail());
    assert_eq!(
        headers(&first, "message-id"),
        headers(&second, "message-id")
    );
    assert_eq!(first["text"], second["text"]);
}

#[test]
fn a_slow_server_is_waited_for_and_a_stuck_server_delays_no_other_channel() {
    let mut server = Server::start();
    let app = TestApp::new(server.port);
    app.send("slow@example.com", "Ann");
    assert_eq!(app.delivery()["state"], "delivered");
    server.mail();

    let config = std::fs::read_to_string(app.path("promoflow.toml")).unwrap();
    let maildir = "[[channel]]\ntype = \"maildir\"\nfolder = \"messages\"\n";
    // Longer than the process may take to stop.
    let config = config.replace("timeout-seconds = 5", "timeout-seconds = 120");
    app.file("promoflow.toml", &format!("{config}{maildir}"));
    app.file("text.yaml", "{ message: text, channel: sms, text: hello }");
    app.file(
        "both.yaml",
        "
workflow: both
start: { event: both }
steps:
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
  - id: text
    block: send-message
    with: { channel: sms, message: text, to: '+380501234567' }
",
    );
    app.succeed(&["message", "apply", "text.yaml"]);
    app.succeed(&["workflow", "apply", "both.yaml"]);
    let param = "EmailAddress=stuck@example.com";
    app.succeed(&[
        "event",
        "send",
        "--no-wait",
        "--type",
        "both",
        "--param",
        param,
    ]);
    let mut work = app
        .command(&["work"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    while app.delivery()["state"] != "delivered" {
        assert!(began.elapsed().as_secs() < 30, "{}", app.delivery());
    }
    // On SIGTERM it does not wait long for the stuck server.
    let stdout = Command::new("kill").arg(work.id().to_string()).status();
    assert!(stdout.unwrap().success());
    let began = std::time::Instant::now();
    assert!(work.wait().unwrap().success());
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    let pending = app.succeed(&["outbox", "list", "--state", "pending", "--json"]);
    assert!(pending.contains("stuck@example.com"), "{pending}");
}

#[test]
fn emails_use_tls_login_and_a_configured_certificate() {
    for security in ["starttls", "tls"] {
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("ca.pem");
        let authority = authority.to_str().unwrap();
        let args = [
            "--tls",
            security,
            "--authority",
            authority,
            "--login",
            "shop:letmein",
        ];
        let mut server = Server::with(&args);
        let secret = folder.path().join("secret");
        let login = format!("username = \"shop\"\npassword = {{ file = {secret:?} }}\n");
        std::fs::write(&secret, "wrong\n").unwrap();
        let more = format!("security = \"{security}\"\nca-file = \"{authority}\"\n{login}");
        let app = TestApp::with("localhost", server.port, &more);
        app.send("ann@example.com", "Ann");
        // This is an error of the installation, not of the message.
        let delivery = app.delivery();
        assert_eq!(delivery["state"], "pending", "{delivery}");
        std::fs::write(&secret, "letmein\n").unwrap();
        app.retry_now();
        assert_eq!(app.delivery()["state"], "delivered", "{security}");
        let mail = server.mail();
        assert_eq!(
            (&mail["encrypted"], &mail["login"]),
            (&true.into(), &"shop".into())
        );

        // Without the file the server is not trusted, and no message is sent to it.
        let config = std::fs::read_to_string(app.path("promoflow.toml")).unwrap();
        let line = format!("ca-file = \"{authority}\"\n");
        app.file("promoflow.toml", &config.replace(&line, ""));
        let log = app.send("bob@example.com", "Bob");
        let delivery = app.delivery();
        assert_eq!(delivery["state"], "pending", "{delivery}");
        assert!(!delivery["error"].as_str().unwrap().contains("letmein"));
        assert!(log.contains("ERROR"), "{log}");
        assert!(log.contains("invalid peer certificate"), "{log}");
        assert_eq!(
            app.outcome(&delivery),
            "retryable",
            "the server got no message"
        );
    }
}

#[test]
fn a_server_without_the_configured_encryption_is_logged() {
    let server = Server::start();
    for (security, why) in [
        ("starttls", "STARTTLS is not supported"),
        ("tls", "received corrupt message"),
    ] {
        let more = format!("security = \"{security}\"\n");
        let app = TestApp::with("localhost", server.port, &more);
        // Not an error of the address either, whatever the server accepts.
        for address in ["ann@example.com", "юля@example.com"] {
            let log = app.send(address, "Ann");
            assert!(log.contains("ERROR") && log.contains(why), "{log}");
            let delivery = app.delivery();
            assert_eq!(delivery["state"], "pending", "{delivery}");
            assert_eq!(app.outcome(&delivery), "retryable", "{security}");
        }
    }
}

#[test]
fn values_cannot_inject_smtp_commands() {
    let mut server = Server::start();
    let app = TestApp::new(server.port);
    for html in ["", "html: \"<p>$!data.get('name')</p>\"\n"] {
        let text = "text: \"Dear $!data.get('name')\"\n";
        app.file(
            "message.yaml",
            &format!("message: mail\nchannel: email\nsubject: S\n{text}{html}"),
        );
        app.succeed(&["message", "apply", "message.yaml"]);
        let evil =
            "A\r.\rMAIL FROM:<eve@example.com>\rRCPT TO:<bob@example.com>\rDATA\r\n.\r\nend\u{b}";
        app.send("ann@example.com", evil);
        let mail = server.mail();
        assert_eq!(mail["bare"], 0, "{mail}");
        let read =
            "Dear A\n.\nMAIL FROM:<eve@example.com>\nRCPT TO:<bob@example.com>\nDATA\n.\nend";
        let text = mail["text"].as_str().unwrap().replace("\r\n", "\n");
        assert_eq!(text.trim_end(), read);
        app.send("bob@example.com", "Bob");
        assert_eq!(
            server.mail()["envelope"][1],
            "bob@example.com",
            "another email arrived"
        );
    }
}

#[test]
fn rejecting_the_installation_is_no_permanent_failure_of_the_message() {
    let server = Server::start();
    let app = TestApp::new(server.port);
    for (address, answer) in [
        ("limit@example.com", "550 5.4.5"),
        ("ann@blocked.example", "554 5.7.1"),
    ] {
        let log = app.send(address, "Ann");
        assert!(log.contains("refuses this installation"), "{log}");
        assert!(!log.contains(address), "{log}");
        let delivery = app.delivery();
        assert_eq!(delivery["state"], "pending", "{delivery}");
        assert_eq!(
            delivery["error"],
            format!("the mail server answered {answer}")
        );
        assert_eq!(app.outcome(&delivery), "retryable");
    }
    // The same status, but the postmaster is accepted: it is about this address.
    let log = app.send("private@example.com", "Ann");
    assert!(!log.contains("refuses this installation"), "{log}");
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "failed", "{delivery}");
    assert_eq!(delivery["error"], "the mail server answered 550 5.7.1");

    let config = std::fs::read_to_string(app.path("promoflow.toml")).unwrap();
    app.file("promoflow.toml", &config.replace("<shop@", "<nobody@"));
    let log = app.send("ann@example.com", "Ann");
    assert!(log.contains("refuses this installation"), "{log}");
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "pending", "{delivery}");
    assert_eq!(delivery["error"], "the mail server answered 553 5.7.1");
}

#[test]
fn an_invalid_answer_is_not_quoted() {
    let server = Server::start();
    let app = TestApp::new(server.port);
    let log = app.send("garbled@example.com", "Ann");
    assert!(!log.contains("garbled"), "{log}");
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "pending", "{delivery}");
    let error = "the mail server closed the connection or sent an invalid SMTP reply";
    assert_eq!(delivery["error"], error);
}

#[test]
fn a_delivery_without_a_channel_waits_and_tries_no_alternative() {
    let mut server = Server::start();
    let app = TestApp::new(server.port);
    app.file("text.yaml", "{ message: text, channel: sms, text: hello }");
    app.file(
        "texts.yaml",
        "
workflow: texts
start: { event: texts }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: text
    block: send-message
    with:
      channel: sms
      message: text
      to: '+380501234567'
      otherwise: [{ channel: email, message: mail, to: ann@example.com }]
  - id: sleep
    block: get-promocode
    with: { type: sold-out, discount: 10, days: 0, when-empty: wait }
",
    );
    app.succeed(&["message", "apply", "text.yaml"]);
    app.succeed(&["workflow", "apply", "texts.yaml"]);
    app.file(
        "events.jsonl",
        &"{\"eventTypeKey\": \"texts\", \"keyValue\": \"ann\"}\n".repeat(3),
    );
    let (_, log) = app.0.succeed(&["event", "send", "--file", "events.jsonl"]);
    assert_eq!(
        log.matches("no channel is configured for sms").count(),
        1,
        "{log}"
    );
    let listed = app.succeed(&["outbox", "list", "--json"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    for delivery in listed.lines() {
        let delivery: Value = serde_json::from_str(delivery).unwrap();
        assert_eq!(
            (&delivery["state"], &delivery["attempts"]),
            (&"pending".into(), &0.into())
        );
        assert_eq!(delivery["error"], "no channel is configured for sms");
    }
    // No attempt was made, so its code is released.
    let left = || app.succeed(&["codes", "count", "--json"]);
    assert!(left().contains("\"available\":6"), "{}", left());
    app.succeed(&["run", "cancel", "1"]);
    assert!(left().contains("\"available\":7"), "{}", left());

    let config = std::fs::read_to_string(app.path("promoflow.toml")).unwrap();
    let maildir = "[[channel]]\ntype = \"maildir\"\nfolder = \"messages\"\n";
    app.file("promoflow.toml", &format!("{config}{maildir}"));
    app.retry_now();
    let delivery = app.delivery();
    assert_eq!(
        (&delivery["state"], &delivery["channel"]),
        (&"delivered".into(), &"sms".into())
    );
    app.send("bob@example.com", "Bob");
    assert_eq!(
        server.mail()["envelope"][1],
        "bob@example.com",
        "another email arrived"
    );
}

#[test]
fn permanent_rejections_fail_and_an_unreachable_server_rejects_nothing() {
    let mut server = Server::start();
    let app = TestApp::new(server.port);
    app.send("never@example.com", "Ann");
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "failed", "{delivery}");
    assert_eq!(delivery["error"], "the mail server answered 550 5.1.1");
    app.send("unwanted@example.com", "Ann");
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "failed", "{delivery}");
    assert_eq!(delivery["error"], "the mail server answered 554 5.7.1");
    // The server does not support such a name and is not tried; a domain has an ASCII spelling.
    app.send("юля@example.com", "Ann");
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "failed", "{delivery}");
    assert!(!delivery["error"].as_str().unwrap().contains("example"));
    app.send("ann@пошта.укр", "Ann");
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(server.mail()["envelope"][1], "ann@xn--80a1acn3a.xn--j1amh");
    drop(server);
    app.send("ann@example.com", "Ann");
    let delivery = app.delivery();
    assert_eq!(delivery["state"], "pending", "{delivery}");
    assert_eq!(app.outcome(&delivery), "retryable", "no server was reached");
}
