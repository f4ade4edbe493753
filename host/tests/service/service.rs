//! A running service, and the operations that tests use.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use promoflow_test_support::Inspect;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::Value;

/// A workflow that claims a code of the type `birthday` and emails it.
const MESSAGE: &str = "{ message: mail, channel: email, subject: A code, \
                       text: \"$!data.get('promocode')\" }";
const WORKFLOW: &str = "
workflow: birthday
start: { event: birthday }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
";

/// A database in a temporary folder.
pub(crate) struct TestApp(promoflow_test_support::TestApp);

impl TestApp {
    pub(crate) fn new() -> TestApp {
        TestApp(promoflow_test_support::TestApp::new(env!(
            "CARGO_BIN_EXE_promoflow"
        )))
    }

    /// Creates an installation for a test about SQLite files: its database is one, whichever engine
    /// is selected.
    pub(crate) fn with_file() -> TestApp {
        TestApp(promoflow_test_support::TestApp::with_file(env!(
            "CARGO_BIN_EXE_promoflow"
        )))
    }

    /// Creates an installation with a workflow for the event `birthday`.
    pub(crate) fn ready() -> TestApp {
        TestApp::new().with_workflow()
    }

    /// Applies a workflow for the event `birthday`.
    pub(crate) fn with_workflow(self) -> TestApp {
        let app = self;
        for (command, name, text) in [
            ("message", "message.yaml", MESSAGE),
            ("workflow", "workflow.yaml", WORKFLOW),
        ] {
            let file = app.0.file(name, text);
            app.succeed(&[command, "apply", file.to_str().unwrap()]);
        }
        app
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// Returns the address of the database.
    pub(crate) fn address(&self) -> &str {
        self.0.database().address()
    }

    /// Returns the folder of messages if no channel is configured.
    pub(crate) fn maildir(&self) -> PathBuf {
        self.0.maildir()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(&["--json"]);
        command.arg("--db").arg(self.address()).args(args);
        command
    }

    /// Runs a command that must succeed and returns its JSON lines.
    pub(crate) fn succeed(&self, args: &[&str]) -> Vec<Value> {
        let output = self.command(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Creates a key with these scopes.
    pub(crate) fn key(&self, scopes: &str) -> String {
        let made = self.succeed(&["key", "create", "--scopes", scopes]);
        made[0]["secret"].as_str().unwrap().to_owned()
    }

    /// Asserts that the audit holds.
    pub(crate) fn assert_audit(&self) {
        assert!(
            self.succeed(&["audit"])
                .iter()
                .all(|one| one["holds"] == true)
        );
    }

    /// Opens the rows of the database, independently of the service.
    pub(crate) fn inspect(&self) -> Box<dyn Inspect> {
        self.0.inspect()
    }

    /// Blocks all other writers until the returned connection is dropped.
    pub(crate) fn lock_writes(&self) -> Box<dyn Inspect> {
        let writer = self.inspect();
        writer.lock_writes().unwrap();
        writer
    }

    pub(crate) fn serve(&self) -> Service {
        self.serve_with(&[])
    }

    /// Starts the service on an available port, with a key for everything.
    pub(crate) fn serve_with(&self, args: &[&str]) -> Service {
        let key = self.key("admin");
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(args).stdout(Stdio::piped());
        Service::started(command, key)
    }
}

/// Returns a client. With a certificate, it trusts only that.
pub(crate) fn client(certificate: Option<&Path>) -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
    });
    let trusted = certificate.map(|file| {
        let pem = std::fs::read(file).unwrap();
        reqwest::Certificate::from_pem(&pem).unwrap()
    });
    let builder = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(120));
    builder.tls_certs_only(trusted).build().unwrap()
}

/// A running service. Killed when dropped.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) child: Child,
    pub(crate) client: Client,
}

impl Service {
    /// Starts a service whose standard output is a pipe.
    pub(crate) fn started(mut command: Command, key: String) -> Service {
        let mut child = command.spawn().unwrap();
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

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.client.get(url).bearer_auth(&self.key)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.client.post(url).bearer_auth(&self.key)
    }

    pub(crate) fn post_json(&self, path: &str, body: &Value) -> RequestBuilder {
        self.post(path).json(body)
    }

    /// Begins a request of this many bytes. The service is waiting for them.
    pub(crate) fn begin(&self, path: &str, media: &str, length: usize) -> TcpStream {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {media}\r\nContent-Length: {length}\r\nConnection: close\r\n\
             Expect: 100-continue\r\n\r\n",
            self.key
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut waits = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut waits).unwrap();
        assert_eq!(&waits, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }

    /// Returns the JSON at a path.
    pub(crate) fn at(&self, path: &str) -> Value {
        ok(self.get(path).send().unwrap())
    }

    /// Uploads `count` codes of the type `birthday`.
    pub(crate) fn codes(&self, count: usize) {
        let mut csv = "code,expirationDate,discount,type\n".to_owned();
        for number in 0..count {
            csv.push_str(&format!("C-{number:05},2999-12-31,10,birthday\n"));
        }
        let upload = self
            .post("/api/v1/promocodes")
            .header("Content-Type", "text/csv");
        assert_eq!(ok(upload.body(csv).send().unwrap())["inserted"], count);
    }

    /// Sends SIGTERM and returns the exit status.
    #[cfg(unix)]
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.terminate();
        self.ended()
    }

    /// Waits for the exit and returns its status.
    #[cfg(unix)]
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the service does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Returns the body of a successful answer.
pub(crate) fn ok(response: Response) -> Value {
    let status = response.status();
    let text = response.text().unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Returns the body of a problem, which must have that status and type.
pub(crate) fn problem(response: Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status(), status);
    let media = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(media, "application/problem+json");
    let body: Value = response.json().unwrap();
    assert_eq!(
        body["type"],
        format!("urn:promoflow:problem:{kind}"),
        "{body}"
    );
    assert_eq!(body["status"], status);
    assert!(body["title"].is_string() && body["detail"].is_string());
    body
}

/// Polls until a condition holds.
pub(crate) fn until(is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the condition did not hold in time");
}
