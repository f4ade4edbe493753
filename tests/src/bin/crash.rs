//! `crash PROGRAM [--kills N] [--seed S]`: kills processes of the real binary under load, and
//! compares what they acknowledged with what is there. `cargo xtask crash` builds and runs it.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use promoflow_tests::crash::{Plan, run};

fn main() -> Result<ExitCode> {
    let plan = plan(std::env::args().skip(1))?;
    println!("{} kills, --seed {}", plan.kills, plan.seed);
    let summary = run(&plan).with_context(|| format!("--seed {}", plan.seed))?;
    print!("{summary}");
    Ok(match summary.holds() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn plan(mut args: impl Iterator<Item = String>) -> Result<Plan> {
    let program = args.next().context("no program is named")?.into();
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut plan = Plan {
        program,
        kills: 100,
        seed: since.as_secs(),
    };
    while let Some(option) = args.next() {
        let value = args.next().with_context(|| format!("{option} of what?"))?;
        let number = value
            .parse()
            .with_context(|| format!("{option} {value} is no number"))?;
        match &*option {
            "--kills" => plan.kills = number,
            "--seed" => plan.seed = number,
            _ => bail!("there is no option {option}: --kills N, --seed S"),
        }
    }
    Ok(plan)
}
