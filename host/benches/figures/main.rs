//! The figures of the project, each beside what it is compared with, measured side by side in one
//! run: interleaved, several rounds, median with spread.
//!
//! `cargo xtask bench [NAME…]` runs it, writes `target/bench/report.json` (a list of
//! `{name, value, unit, baseline, ratio}`) and prints a table.

mod blocks;
mod durable;
mod fixture;
mod growth;
mod import;
mod latency;
mod report;
mod serve;
mod start;

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use crate::report::Report;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A group of figures: its name on the command line, and what measures it.
type Group = (&'static str, fn(&mut Report) -> Result<()>);

const GROUPS: [Group; 7] = [
    ("durable", durable::measure),
    ("latency", latency::measure),
    ("blocks", blocks::measure),
    ("import", import::measure),
    ("start", start::measure),
    ("serve", serve::measure),
    ("growth", growth::measure),
];

fn main() -> Result<()> {
    // Cargo passes `--bench`.
    let asked: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(unknown) = asked
        .iter()
        .find(|name| GROUPS.iter().all(|(known, _)| known != name))
    {
        let names = GROUPS.map(|(name, _)| name).join(", ");
        bail!("there is no group of figures `{unknown}`; there are {names}");
    }
    let mut report = Report::default();
    let mut failed = Vec::new();
    for (name, measure) in GROUPS {
        if asked.is_empty() || asked.iter().any(|one| one == name) {
            eprintln!("measuring {name} …");
            if let Err(error) = measure(&mut report) {
                eprintln!("{name}: {error:#}");
                failed.push(name);
            }
        }
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../bench/report.json");
    report.write(&file)?;
    report.print();
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}
