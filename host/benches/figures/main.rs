//! The project's benchmarks. Each figure is measured next to its baseline in one run: interleaved,
//! in several rounds, reported as median with spread.
//!
//! `cargo xtask bench [GROUP…]` runs them, prints a table and writes `target/bench/report.json` (a
//! list of `{name, value, unit, baseline, ratio, spread, goal, met, note, group, measuredAt}`).
//! Groups that are measured alone replace their own figures in the report. Every database that a
//! group leaves is audited. The exit status is 0 only if every figure was measured and every goal
//! is met.

mod audit;
mod blocks;
mod build;
mod durable;
mod fixture;
mod goal;
mod growth;
mod import;
mod latency;
mod postgres;
mod profile;
mod report;
mod serve;
mod smtp;
mod start;

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::report::Report;

/// The allocator of the released binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A group of figures: its name on the command line and its measuring function.
type Group = (&'static str, fn(&mut Report) -> Result<()>);

/// The group that is measured only if it is named.
const ON_REQUEST: &str = "build";

const GROUPS: [Group; 10] = [
    ("durable", durable::measure),
    ("latency", latency::measure),
    ("blocks", blocks::measure),
    ("import", import::measure),
    ("start", start::measure),
    ("serve", serve::measure),
    ("smtp", smtp::measure),
    ("growth", growth::measure),
    ("postgres", postgres::measure),
    (ON_REQUEST, build::measure),
];

fn main() -> Result<()> {
    if postgres::run_as_host()? {
        return Ok(());
    }
    // Cargo passes `--bench`.
    let groups: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let names = GROUPS.map(|(name, _)| name);
    if let Some(unknown) = groups.iter().find(|name| !names.contains(&name.as_str())) {
        let names = names.join(", ");
        bail!("no group `{unknown}`; groups: {names}");
    }
    let mut report = Report::default();
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for (name, measure) in GROUPS {
        let is_named = groups.iter().any(|one| one == name);
        if is_named || (groups.is_empty() && name != ON_REQUEST) {
            eprintln!("measuring {name} …");
            report.begin(name);
            measured.push(name);
            if let Err(error) = measure(&mut report) {
                eprintln!("{name}: {error:#}");
                failed.push(name);
            }
        }
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../bench/report.json");
    report.write(&file, &names, &measured)?;
    report.print();
    let missed = report.missed();
    let mut wrong = Vec::new();
    if !failed.is_empty() {
        wrong.push(format!("not measured: {}", failed.join(", ")));
    }
    if !missed.is_empty() {
        wrong.push(format!("goals missed: {}", missed.join(", ")));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => bail!("{}", wrong.join("; ")),
    }
}
