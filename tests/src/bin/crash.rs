//! Kills processes of the real binary under load and compares what they acknowledged with what is
//! stored. `cargo xtask crash` builds and runs it.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use promoflow_tests::crash::hosts::{self, HostsPlan};
use promoflow_tests::crash::serve::{self, ServePlan};
use promoflow_tests::crash::{self, Plan};
use promoflow_tests::options::CrashOptions;

/// Kill processes under load and compare what they acknowledged with what is stored
#[derive(Parser)]
struct Arguments {
    /// The binary `promoflow`
    program: PathBuf,
    #[command(flatten)]
    options: CrashOptions,
}

fn main() -> Result<ExitCode> {
    let Arguments { program, options } = Arguments::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = options.seed.unwrap_or(now.as_secs());
    let connections = options.connections.map_or(32, |number| number.get());
    if let Some(hosts) = options.hosts {
        let plan = HostsPlan {
            program,
            hosts: usize::try_from(hosts)?,
            events: options.events.unwrap_or(100_000),
            kills: options.kills.unwrap_or(20),
            connections: usize::try_from(connections)?,
            pause: Duration::ZERO,
            faketime: None,
            seed,
        };
        println!("{hosts} hosts, {} kills, --seed {seed}", plan.kills);
        let summary = hosts::run(&plan).with_context(|| format!("--seed {seed}"))?;
        return Ok(report(&summary, summary.holds()));
    }
    if options.serve {
        let plan = ServePlan {
            program,
            time: Duration::from_secs(options.seconds.unwrap_or(60)),
            kills: options.kills.unwrap_or(10),
            connections: usize::try_from(connections)?,
            pause: Duration::ZERO,
            seed,
        };
        println!(
            "{connections} connections, {} kills, --seed {seed}",
            plan.kills
        );
        let summary = serve::run(&plan).with_context(|| format!("--seed {seed}"))?;
        return Ok(report(&summary, summary.holds()));
    }
    let plan = Plan {
        program,
        kills: options.kills.unwrap_or(100),
        seed,
    };
    println!("{} kills, --seed {seed}", plan.kills);
    let summary = crash::run(&plan).with_context(|| format!("--seed {seed}"))?;
    Ok(report(&summary, summary.holds()))
}

fn report(summary: &impl Display, holds: bool) -> ExitCode {
    print!("{summary}");
    match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
