//! Delivers through a mail server with faults in one of a hundred answers, and compares the
//! database with the server's log. `cargo xtask outbox` builds and runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use promoflow_tests::options::OutboxOptions;
use promoflow_tests::smtp_faults::{self, Plan};

/// Deliver through a faulty mail server and compare the database with the server's log
#[derive(Parser)]
struct Arguments {
    /// The binary `promoflow`
    program: PathBuf,
    #[command(flatten)]
    options: OutboxOptions,
}

fn main() -> Result<ExitCode> {
    let Arguments { program, options } = Arguments::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let (deliveries, seed) = (options.deliveries, options.seed.unwrap_or(now.as_secs()));
    let release = program.parent().context("the program is in no folder")?;
    let plan = Plan {
        python: smtp_faults::python(release),
        tools: Path::new(env!("CARGO_MANIFEST_DIR")).join("tools"),
        program: program.clone(),
        deliveries,
        seed,
        faults: 10,
        forgets: 0,
    };
    println!("{deliveries} deliveries, --seed {seed}");
    let summary = smtp_faults::run(&plan).with_context(|| format!("--seed {seed}"))?;
    print!("{summary}");
    Ok(match summary.holds() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
