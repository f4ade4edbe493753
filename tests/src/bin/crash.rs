//! `crash PROGRAM [--kills N] [--seed S]`: kills processes of the real binary under load, and
//! compares what they acknowledged with what is there. With `--serve [--seconds N]
//! [--connections N]` it is the HTTP service that is loaded and killed. `cargo xtask crash` builds
//! and runs it.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use promoflow_tests::crash::serve::{self, ServePlan};
use promoflow_tests::crash::{self, Plan};

/// What is asked for on the command line.
#[derive(Default)]
struct Asked {
    serve: bool,
    kills: Option<u64>,
    seed: Option<u64>,
    seconds: Option<u64>,
    connections: Option<u64>,
}

fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let program = args.next().context("no program is named")?.into();
    let asked = Asked::read(args)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = asked.seed.unwrap_or(since.as_secs());
    if asked.serve {
        let plan = ServePlan {
            program,
            time: Duration::from_secs(asked.seconds.unwrap_or(60)),
            kills: asked.kills.unwrap_or(10),
            connections: usize::try_from(asked.connections.unwrap_or(32))?,
            pause: Duration::ZERO,
            seed,
        };
        let (kills, connections) = (plan.kills, plan.connections);
        println!("{connections} connections, {kills} kills, --seed {seed}");
        let summary = serve::run(&plan).with_context(|| format!("--seed {seed}"))?;
        return Ok(told(&summary, summary.holds()));
    }
    let plan = Plan {
        program,
        kills: asked.kills.unwrap_or(100),
        seed,
    };
    println!("{} kills, --seed {seed}", plan.kills);
    let summary = crash::run(&plan).with_context(|| format!("--seed {seed}"))?;
    Ok(told(&summary, summary.holds()))
}

fn told(summary: &impl Display, holds: bool) -> ExitCode {
    print!("{summary}");
    match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

impl Asked {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Asked> {
        let mut asked = Asked::default();
        while let Some(option) = args.next() {
            if option == "--serve" {
                asked.serve = true;
                continue;
            }
            let field = match &*option {
                "--kills" => &mut asked.kills,
                "--seed" => &mut asked.seed,
                "--seconds" => &mut asked.seconds,
                "--connections" => &mut asked.connections,
                _ => bail!(
                    "there is no option {option}: --kills N, --seed S; --serve, with --seconds N, \
                     --connections N"
                ),
            };
            let value = args.next().with_context(|| format!("{option} of what?"))?;
            let number = value.parse();
            *field = Some(number.with_context(|| format!("{option} {value} is no number"))?);
        }
        if !asked.serve && (asked.seconds.is_some() || asked.connections.is_some()) {
            bail!("--seconds and --connections are of --serve");
        }
        Ok(asked)
    }
}
