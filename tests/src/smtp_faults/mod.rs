//! Deliveries through a faulty mail server: many deliveries, faults in a fixed share of the
//! answers, and each delivery compared with the server's log.
//!
//! The servers are independent programs that log outside the database what they did with each
//! email. The real binary delivers, is stopped by SIGTERM now and then, and continues. At the end
//! the database is compared with the servers' logs, dead letters are retried until none is left,
//! and the comparison is repeated.

mod compare;
mod server;
mod summary;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use promoflow_test_support::{Inspect, inspect};

use crate::{CODE_THEN_MAIL, MAIL};
use server::Servers;
pub use summary::Summary;

/// Number of simultaneous connections to the servers.
const CONNECTIONS: usize = 16;
/// Longest time without progress.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Number of retries of dead letters before remaining ones are a violation.
const MAX_RETRIES: u32 = 6;
/// Number of restarts while the process delivers.
const RESTARTS: u64 = 3;

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The binary.
    pub program: PathBuf,
    /// A Python with aiosmtpd.
    pub python: PathBuf,
    /// Folder with the server.
    pub tools: PathBuf,
    /// Number of deliveries.
    pub deliveries: u64,
    /// Seed of the faults.
    pub seed: u64,
    /// Faults per thousand emails.
    pub faults: u32,
    /// Emails per thousand that the servers accept and forget, to test that the comparison notices.
    pub forgets: u32,
}

struct Harness<'p> {
    plan: &'p Plan,
    folder: PathBuf,
    summary: Summary,
}

/// Delivers as planned and compares. The summary lists all violations.
pub fn run(plan: &Plan) -> Result<Summary> {
    let folder = tempfile::tempdir()?;
    let servers = Servers::start(plan, folder.path())?;
    let mut harness = Harness {
        plan,
        folder: folder.path().to_owned(),
        summary: Summary::new(plan),
    };
    harness.set_up(servers.port())?;
    let began = Instant::now();
    harness.deliver(RESTARTS)?;
    harness.summary.took = began.elapsed();
    let logged = servers.logged()?;
    harness
        .summary
        .after_first_pass(&logged, &harness.stored()?);
    harness.retry_dead_letters()?;
    let logged = servers.logged()?;
    let stored = harness.stored()?;
    harness.summary.at_end(&logged, &stored);
    let audit = harness.command().arg("audit").output()?;
    if !audit.status.success() {
        let result = String::from_utf8_lossy(&audit.stdout).into_owned();
        harness
            .summary
            .violations
            .push(format!("the audit fails: {result}"));
    }
    if !harness.summary.holds() {
        harness.summary.kept = Some(folder.keep());
    }
    Ok(harness.summary)
}

impl Harness<'_> {
    fn database(&self) -> PathBuf {
        self.folder.join("shop.db")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.plan.program);
        command.arg("--db").arg(self.database()).arg("--json");
        command.env_remove("PROMOFLOW_CONFIG");
        command.stdin(Stdio::null());
        command
    }

    fn succeed(&self, args: &[&str]) -> Result<()> {
        let output = self.command().args(args).output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{args:?} ended with {}: {error}", output.status);
        }
        Ok(())
    }

    fn file(&self, name: &str, content: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::write(&path, content)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Sets up codes and events for all deliveries, each with a separate address.
    fn set_up(&self, port: u16) -> Result<()> {
        let config = format!(
            "[[channel]]\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n\
             from = \"shop@example.com\"\nconnections = {CONNECTIONS}\ntimeout-seconds = 20\n"
        );
        self.file("promoflow.toml", &config)?;
        let (mut codes, mut events) = (
            "code,expirationDate,discount,type\n".to_owned(),
            String::new(),
        );
        for number in 0..self.plan.deliveries {
            writeln!(codes, "CODE-{number},2999-12-31,10,birthday")?;
            let address = format!("r{number}@example.com");
            writeln!(
                events,
                "{{\"id\":\"e{number}\",\"eventTypeKey\":\"birthday\",\"keyValue\":\"{address}\",\
                 \"params\":{{\"EmailAddress\":\"{address}\"}}}}"
            )?;
        }
        self.succeed(&["codes", "import", &self.file("codes.csv", &codes)?])?;
        self.succeed(&["message", "apply", &self.file("message.yaml", MAIL)?])?;
        self.succeed(&[
            "workflow",
            "apply",
            &self.file("workflow.yaml", CODE_THEN_MAIL)?,
        ])?;
        let events = self.file("events.jsonl", &events)?;
        self.succeed(&["event", "send", "--no-wait", "--file", &events])
    }

    /// Delivers everything that is due, restarting the process `restarts` times.
    fn deliver(&mut self, restarts: u64) -> Result<()> {
        let all = self.remaining()?;
        let mut worker = self.worker()?;
        let mut restarted = 0;
        let (mut last, mut since) = (all, Instant::now());
        loop {
            thread::sleep(Duration::from_millis(50));
            let left = self.remaining()?;
            if left == 0 {
                break;
            }
            if left != last {
                (last, since) = (left, Instant::now());
            }
            ensure!(since.elapsed() < TIMEOUT, "{left} deliveries hang");
            if restarted < restarts && left < all - all * (restarted + 1) / (restarts + 1) {
                self.stop(worker)?;
                worker = self.worker()?;
                restarted += 1;
            }
        }
        self.summary.restarts += restarted;
        self.stop(worker)
    }

    /// Starts a worker and waits until it handles signals, which it reports when it works.
    fn worker(&self) -> Result<Child> {
        let file = self.folder.join("stderr.txt");
        let errors = fs::File::options().create(true).append(true).open(&file)?;
        let ready_count = || -> Result<usize> {
            let text = fs::read_to_string(&file)?;
            Ok(text.matches("press Ctrl-C to stop").count())
        };
        let before = ready_count()?;
        let mut command = self.command();
        command.arg("work").stdout(Stdio::null()).stderr(errors);
        let mut worker = command.spawn().context("cannot start the program")?;
        let began = Instant::now();
        while ready_count()? == before {
            if let Some(status) = worker.try_wait()? {
                bail!("the worker ended with {status} before it was ready");
            }
            ensure!(
                began.elapsed() < TIMEOUT,
                "the worker does not become ready"
            );
            thread::sleep(Duration::from_millis(10));
        }
        Ok(worker)
    }

    /// Stops a process as an operator does.
    fn stop(&self, mut worker: Child) -> Result<()> {
        let result = Command::new("kill").arg(worker.id().to_string()).status()?;
        ensure!(result.success(), "cannot signal the process");
        let began = Instant::now();
        let status = worker.wait()?;
        ensure!(
            status.success(),
            "after SIGTERM the process ended with {status}"
        );
        ensure!(
            began.elapsed() < Duration::from_secs(30),
            "it took {:?} to end",
            began.elapsed()
        );
        Ok(())
    }

    /// Returns the number of pending deliveries and of runs that have not created theirs.
    fn remaining(&self) -> Result<u64> {
        let sql = "SELECT (SELECT count(*) FROM delivery WHERE due_at IS NOT NULL)
                        + (SELECT count(*) FROM run WHERE due_at IS NOT NULL)";
        let remaining: i64 = self.inspect()?.row(sql, &[])?;
        Ok(u64::try_from(remaining)?)
    }

    /// Retries dead letters until none is left.
    fn retry_dead_letters(&mut self) -> Result<()> {
        for _ in 0..MAX_RETRIES {
            let dead = self.dead_letters()?;
            self.summary.retried += dead.len() as u64;
            if dead.is_empty() {
                return Ok(());
            }
            for delivery in dead {
                self.succeed(&["outbox", "retry", &delivery.to_string()])?;
            }
            self.deliver(0)?;
        }
        Ok(())
    }

    fn dead_letters(&self) -> Result<Vec<i64>> {
        let failed = "SELECT id FROM delivery WHERE state = 'failed'";
        Ok(self.inspect()?.rows(failed, &[])?)
    }

    fn stored(&self) -> Result<compare::Stored> {
        compare::Stored::read(&*self.inspect()?)
    }

    fn inspect(&self) -> Result<Box<dyn Inspect>> {
        Ok(inspect(self.database())?)
    }
}

/// Returns the Python that `cargo xtask` installs next to the binaries of that folder.
pub fn python(release: &Path) -> PathBuf {
    release.join("../test-tools/bin/python")
}
