//! `cold_start_ms`: a new process until a stored workflow has run, with a warm compilation cache;
//! and what an idle process keeps in memory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::fixture::{self, Layout};
use crate::report::Report;

const ROUNDS: usize = 11;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let database = folder.path().join("pool.db");
    fixture::pool(&database, &fixture::csv(10_000, Layout::Ordered)?)?;
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let begin = Instant::now();
        let status = promoflow(&database)
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
    report.alone(
        "cold_start_ms",
        "ms",
        "value <= 60, process and commit included",
        &times,
    );

    let mut working = promoflow(&database).arg("work").spawn()?;
    thread::sleep(Duration::from_secs(1));
    let memory = resident(working.id());
    working.kill()?;
    working.wait()?;
    report.alone("idle_memory", "MiB", "value <= 40", &[memory?]);
    Ok(())
}

fn promoflow(database: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promoflow"));
    command.arg("--db").arg(database);
    command
}

/// Resident memory in MiB, as Linux tells it.
fn resident(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
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
