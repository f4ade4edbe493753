//! Sends events to the real service with wrk and watches its memory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::cargo;

/// Allowed growth of the memory between the first and the last round, in KiB. Caches may fill, but
/// the memory of an event must be freed: a million events that leak 40 bytes each exceed it.
const MAX_GROWTH: u64 = 32 * 1024;

const MESSAGE: &str =
    r#"{ message: mail, channel: email, subject: A code, text: "$!data.get('promocode')" }"#;
const WORKFLOW: &str = "
workflow: birthday
start: { event: birthday }
steps:
  - { id: code, block: get-promocode, with: { type: birthday, discount: 10, days: 0 } }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
";

/// Options of the task.
#[derive(Args)]
pub(crate) struct Options {
    /// Length of a round in seconds
    #[arg(long, value_name = "N", default_value = "10")]
    seconds: NonZeroU64,
    /// Number of connections
    #[arg(long, value_name = "N", default_value = "64")]
    connections: NonZeroU64,
    /// Accepted events after which no new round starts
    #[arg(long, value_name = "N", default_value = "1")]
    events: NonZeroU64,
    /// Type of the events; only `birthday` starts runs
    #[arg(long, value_name = "TYPE", default_value = "birthday")]
    event: String,
}

/// The result of a round.
struct Round {
    events: u64,
    per_second: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        Command::new("wrk").arg("--version").output().is_ok(),
        "wrk is missing: install it (Debian and Ubuntu: apt-get install wrk)"
    );
    crate::build()?;
    let target = cargo::target_dir()?;
    let folder = target.join("load");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let installation = Installation {
        program: target.join("release/promoflow"),
        folder,
    };
    let key = installation.set_up(options)?;
    let service = installation.serve()?;
    println!("events      events/s   p50 ms   p99 ms   memory MiB");
    let mut accepted = 0;
    let mut memory = Vec::new();
    for number in 0.. {
        let round = options.round(&service, &key, number)?;
        accepted += round.events;
        let resident = service.resident()?;
        memory.push(resident);
        println!(
            "{accepted:<10} {:>9.0} {:>8.2} {:>8.2} {:>12}",
            round.per_second,
            round.p50,
            round.p99,
            resident / 1024
        );
        if accepted >= options.events.get() {
            break;
        }
    }
    let (first, last) = (memory[0], memory[memory.len() - 1]);
    drop(service);
    installation.succeed(&["audit"])?;
    ensure!(
        last <= first + MAX_GROWTH,
        "the memory grew from {first} to {last} KiB"
    );
    Ok(())
}

impl Options {
    fn round(&self, service: &Service, key: &str, number: u32) -> Result<Round> {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--timeout", "10s"]);
        wrk.args(["--connections", &self.connections.to_string()]);
        wrk.args(["--duration", &format!("{}s", self.seconds)]);
        wrk.arg("--script")
            .arg(cargo::root().join("tests/tools/load.lua"));
        wrk.env("LOAD_KEY", key)
            .env("LOAD_EVENT", &self.event)
            .env("LOAD_RUN", number.to_string());
        let output = wrk.arg(&service.url).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().last().unwrap_or_default();
        let result: Value = serde_json::from_str(last)
            .with_context(|| format!("unexpected output of wrk: {stderr}"))?;
        let count = |name: &str| result[name].as_u64().unwrap_or_default();
        let (rejected, unanswered) = (count("refused"), count("broken"));
        ensure!(
            rejected == 0 && unanswered == 0,
            "{rejected} events were rejected and {unanswered} got no answer"
        );
        Ok(Round {
            events: count("requests"),
            per_second: count("requests") as f64 / (count("micros") as f64 / 1e6),
            p50: count("p50") as f64 / 1e3,
            p99: count("p99") as f64 / 1e3,
        })
    }
}

/// A database in a folder, and the program.
struct Installation {
    program: PathBuf,
    folder: PathBuf,
}

impl Installation {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--json").arg("--db");
        command.arg(self.folder.join("load.db")).args(args);
        command
    }

    fn succeed(&self, args: &[&str]) -> Result<Output> {
        let output = self.command(args).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{args:?}: {error}");
        Ok(output)
    }

    /// Creates a sufficient pool, the workflow, and a key, which it returns.
    fn set_up(&self, options: &Options) -> Result<String> {
        let file = |name: &str| self.folder.join(name);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        for (command, name, content) in [
            ("message", "message.yaml", MESSAGE),
            ("workflow", "workflow.yaml", WORKFLOW),
        ] {
            fs::write(file(name), content)?;
            self.succeed(&[command, "apply", &text(&file(name))])?;
        }
        let mut csv = "code,expirationDate,discount,type\n".to_owned();
        for number in 0..options.events.get() + 100_000 * options.seconds.get() {
            csv.push_str(&format!("L{number},2999-12-31,10,birthday\n"));
        }
        fs::write(file("codes.csv"), csv)?;
        self.succeed(&["codes", "import", &text(&file("codes.csv"))])?;
        let made = self.succeed(&["key", "create", "--scopes", "events"])?;
        let made: Value = serde_json::from_slice(&made.stdout)?;
        let secret = made["secret"].as_str();
        Ok(secret.context("the new key has no secret")?.to_owned())
    }

    fn serve(&self) -> Result<Service> {
        let mut serve = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        serve.args(["--events-per-second", "1000000"]);
        serve.args([
            "--connections",
            "100000",
            "--connections-per-address",
            "100000",
        ]);
        let mut child = serve.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut service = Service {
            child,
            url: String::new(),
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let result: Value = serde_json::from_str(&line).context("the service does not listen")?;
        let url = result["url"].as_str();
        service.url = url.context("the service printed no address")?.to_owned();
        Ok(service)
    }
}

/// The service. Killed when dropped.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    /// Returns the resident memory in KiB.
    fn resident(&self) -> Result<u64> {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).context("cannot read the memory from /proc")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.context("/proc has no resident memory")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
