//! `smtp_deliveries_per_s`: deliveries to a mail server on this machine, next to `smtp-source`, which
//! sends emails of the same size over as many connections and stores nothing.
//!
//! The server is `smtp-sink`; both are tools of Postfix, which `cargo xtask bench` unpacks.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use promoflow::Promoflow;
use promoflow::event::Event;
use promoflow::store::DeliveryState;

use crate::audit;
use crate::fixture;
use crate::goal::Goal;
use crate::report::{Report, Rounds};

const ROUNDS: usize = 3;
/// Emails in a round.
const EMAILS: u64 = 10_000;
/// Size of an email with its headers, in bytes.
const EMAIL_BYTES: usize = 1_200;
const CONNECTIONS: [usize; 2] = [4, 16];
/// Time for the events to become deliveries.
const FILL: Duration = Duration::from_secs(60);
/// Time for the server to start.
const START: Duration = Duration::from_secs(10);

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let outbox = folder.path().join("outbox.db");
    fill_outbox(&outbox)?;
    let server = Server::start()?;
    let mut databases = Vec::new();
    for connections in CONNECTIONS {
        let mut rounds = Rounds::default();
        for _ in 0..ROUNDS {
            let database = fixture::copy(&outbox, &format!("{connections}.db"))?;
            let baseline = server.flood(connections)?;
            rounds.add(deliver(&database, server.address, connections)?, baseline);
        }
        report.add_compared(
            &format!("smtp_deliveries_per_s_{connections}"),
            "emails/s",
            Some(Goal::ratio_at_least(0.7)),
            &format!(
                "{EMAILS} pending deliveries until each is stored as delivered, {connections} \
                 connections, process start included; baseline: smtp-source"
            ),
            &rounds,
        );
        databases.push(folder.path().join(format!("{connections}.db")));
    }
    let databases: Vec<&Path> = databases.iter().map(PathBuf::as_path).collect();
    audit::databases(report, "smtp", &databases)
}

/// Creates a database whose outbox holds emails.
fn fill_outbox(database: &Path) -> Result<()> {
    let promoflow = fixture::builder(database).open()?;
    configure(&promoflow)?;
    let running = promoflow.start()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    for number in 0..EMAILS {
        let address = format!("c{number}@example.com");
        let event = Event::new("greeting", address.clone()).with_param("EmailAddress", address);
        let sender = sender.clone();
        running.submit(event, move |receipt| {
            // The receiver is gone if another event was rejected.
            let _gone = sender.send(receipt.map(drop));
        });
    }
    drop(sender);
    receiver.into_iter().collect::<Result<(), _>>()?;
    let until = Instant::now() + FILL;
    while pending(&promoflow)? < EMAILS {
        ensure!(
            Instant::now() < until,
            "the events did not become deliveries"
        );
        thread::sleep(Duration::from_millis(20));
    }
    running.stop();
    Ok(())
}

fn pending(promoflow: &Promoflow) -> Result<u64> {
    let mut count = 0;
    promoflow.deliveries(Some(DeliveryState::Pending), |_| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

fn configure(promoflow: &Promoflow) -> Result<()> {
    // The headers of an email have about 400 bytes.
    let text = "Dear customer, this is a line of the message that we send.\n    ".repeat(13);
    let message = format!(
        "message: greeting\nchannel: email\nsubject: A greeting\ntext: |\n    {}\n",
        text.trim_end()
    );
    let workflow = "workflow: greeting\nstart: { event: greeting }\nsteps:\n  - id: email\n    \
                    block: send-message\n    with: { channel: email, message: greeting }\n";
    let no_files = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let messages = promoflow.apply_messages("message.yaml", message.as_bytes(), &no_files)?;
    ensure!(messages.applied.len() == 1, "{:?}", messages.diagnostics);
    let workflows = promoflow.apply_workflows("workflow.yaml", workflow.as_bytes())?;
    ensure!(workflows.applied.len() == 1, "{:?}", workflows.diagnostics);
    Ok(())
}

/// Delivers the outbox from a new process, and returns emails per second.
fn deliver(database: &Path, server: SocketAddr, connections: usize) -> Result<f64> {
    let config = database.with_extension("toml");
    fs::write(
        &config,
        format!(
            "[[channel]]\ntype = \"smtp\"\nhost = \"{}\"\nport = {}\nsecurity = \"none\"\n\
             from = \"shop@example.com\"\nconnections = {connections}\n",
            server.ip(),
            server.port()
        ),
    )?;
    let began = Instant::now();
    let mut work = Command::new(env!("CARGO_BIN_EXE_promoflow"));
    work.arg("--db").arg(database).arg("--config").arg(&config);
    let output = work.args(["work", "--until-idle"]).output()?;
    let took = began.elapsed();
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "work failed: {printed}");
    let promoflow = fixture::builder(database).open()?;
    let left = pending(&promoflow)?;
    ensure!(left == 0, "{left} emails were not delivered");
    Ok(EMAILS as f64 / took.as_secs_f64())
}

/// The mail server, until it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Result<Server> {
        // Freed for the server, which cannot choose a port itself.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut sink = tool("smtp-sink");
        if nix::unistd::Uid::effective().is_root() {
            // It refuses to receive email with these rights.
            sink.args(["-u", "nobody"]);
        }
        let child = sink
            .arg(format!("inet:{address}"))
            .arg("1000")
            .stdout(Stdio::null())
            .spawn()?;
        let server = Server { child, address };
        let until = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            ensure!(Instant::now() < until, "smtp-sink does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Sends the same number of emails with `smtp-source`, and returns emails per second.
    fn flood(&self, connections: usize) -> Result<f64> {
        let began = Instant::now();
        let mut source = tool("smtp-source");
        source.args(["-d", "-s", &connections.to_string()]);
        source.args(["-m", &EMAILS.to_string(), "-l", &EMAIL_BYTES.to_string()]);
        source.args(["-f", "shop@example.com", "-t", "c@example.com"]);
        let status = source.arg(format!("inet:{}", self.address)).status()?;
        if !status.success() {
            bail!("smtp-source: {status}");
        }
        Ok(EMAILS as f64 / began.elapsed().as_secs_f64())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; the measurement reports that.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Returns a tool of Postfix as unpacked by `cargo xtask bench`, with its libraries.
fn tool(name: &str) -> Command {
    let postfix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../test-tools/postfix");
    let mut command = Command::new(postfix.join("usr/sbin").join(name));
    command.env("LD_LIBRARY_PATH", postfix.join("usr/lib/postfix"));
    command
}
