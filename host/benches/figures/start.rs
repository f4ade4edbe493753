//! `cold_start_ms`: from a new process until a stored workflow has run, with a warm compilation
//! cache; also the memory of an idle process before its first run and after some runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use promoflow::store::RunState;

use crate::audit;
use crate::fixture::{self, Layout};
use crate::goal::Goal;
use crate::report::Report;

const ROUNDS: usize = 11;
/// Memory samples, each from a separate process.
const SAMPLES: usize = 5;
/// Runs before memory is measured again.
const RUNS: u64 = 1_000;
/// Idle time before memory is measured.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let database = folder.path().join("pool.db");
    let codes = fixture::csv(20_000, Layout::Ordered)?;
    fixture::pool(&database, &codes)?;
    report.add_single(
        "cold_start_ms",
        "ms",
        Some(Goal::value_at_most(60.0)),
        "a new process until its event has run, with a warm compilation cache; process and commit \
         included",
        &cold_starts(&database)?,
    );

    let events = folder.path().join("events.jsonl");
    write_events(&events)?;
    let mut greatest = vec![0.0_f64; SAMPLES];
    for (name, args) in [
        ("work", &["work"][..]),
        ("serve", &["serve", "--listen", "127.0.0.1:0"][..]),
    ] {
        let (mut idle, mut after) = (Vec::new(), Vec::new());
        for greatest in &mut greatest {
            let process = Process::start(&database, args)?;
            let before = process.memory()?;
            run_events(&database, &events)?;
            idle.push(before);
            after.push(process.memory()?);
            *greatest = greatest.max(before);
        }
        let note = format!("idle `{name}`, one second after its start");
        report.add_single(&format!("idle_memory_{name}"), "MiB", None, &note, &idle);
        let note = format!("idle `{name}` after {RUNS} runs");
        report.add_single(&format!("memory_after_{name}"), "MiB", None, &note, &after);
    }
    report.add_single(
        "idle_memory",
        "MiB",
        Some(Goal::value_at_most(40.0)),
        "the larger of idle_memory_work and idle_memory_serve",
        &greatest,
    );
    audit::databases(report, "start", &[&database])
}

fn cold_starts(database: &Path) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let begin = Instant::now();
        let status = promoflow(database)
            .args([
                "event",
                "send",
                "--type",
                "birthday",
                "--key",
                "ann",
                "--no-wait",
            ])
            .args(["--param", "type=type-1", "--param", "Phone=+380501234567"])
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "the event was not accepted");
        if round > 0 {
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

fn write_events(file: &Path) -> Result<()> {
    let mut events = std::fs::File::create(file)?;
    for number in 0..RUNS {
        let event = serde_json::json!({
            "eventTypeKey": "birthday",
            "keyValue": "ann@example.com",
            "params": { "type": format!("type-{}", number % fixture::TYPES), "Phone": "+380501234567" },
        });
        writeln!(events, "{event}")?;
    }
    Ok(())
}

/// Sends the events from another process; the watched process executes and delivers them.
fn run_events(database: &Path, events: &Path) -> Result<()> {
    let status = promoflow(database)
        .args(["event", "send", "--file"])
        .arg(events)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "the events were not accepted");
    let installation = fixture::builder(database).open()?;
    let unlike = [RunState::Running, RunState::Waiting, RunState::Failed];
    for state in unlike {
        let left = installation.runs(Some(state), 1)?;
        ensure!(left.is_empty(), "a run is {state:?}");
    }
    Ok(())
}

fn promoflow(database: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promoflow"));
    command.arg("--db").arg(database);
    command
}

/// A process that executes runs until it is dropped.
struct Process {
    child: Child,
    status: PathBuf,
}

impl Process {
    /// Starts the process and waits until it reports that it is ready.
    fn start(database: &Path, args: &[&str]) -> Result<Process> {
        // `work` reports it on standard error, `serve` on standard output.
        let (reader, writer) = std::io::pipe()?;
        let child = promoflow(database)
            .args(args)
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let process = Process { child, status };
        let mut reader = BufReader::new(reader);
        let read = reader.read_line(&mut String::new())?;
        ensure!(read > 0, "{args:?} ended at once");
        // Drain later output, so that the process never blocks on a full pipe.
        thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        Ok(process)
    }

    /// Returns the resident memory in MiB from Linux's `/proc`, after an idle period.
    fn memory(&self) -> Result<f64> {
        thread::sleep(IDLE);
        let status = std::fs::read_to_string(&self.status)?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .context("VmRSS")?;
        let kib: f64 = line
            .split_whitespace()
            .nth(1)
            .context("a number")?
            .parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; the measurement reports that.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
