//! `outbox PROGRAM [--deliveries N] [--seed S]`: delivers through a mail server with faults in one
//! of a hundred answers, and compares what the database says with what the server noted.
//! `cargo xtask outbox` builds and runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use promoflow_tests::faulty::{self, Plan};

fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let program: PathBuf = args.next().context("no program is named")?.into();
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let (mut deliveries, mut seed) = (100_000, since.as_secs());
    while let Some(option) = args.next() {
        let field = match &*option {
            "--deliveries" => &mut deliveries,
            "--seed" => &mut seed,
            _ => bail!("there is no option {option}: --deliveries N, --seed S"),
        };
        let value = args.next().with_context(|| format!("{option} of what?"))?;
        let number = value.parse();
        *field = number.with_context(|| format!("{option} {value} is no number"))?;
    }
    let release = program.parent().context("the program is in a folder")?;
    let plan = Plan {
        python: faulty::python(release),
        tools: Path::new(env!("CARGO_MANIFEST_DIR")).join("tools"),
        program: program.clone(),
        deliveries,
        seed,
        faults: 10,
        forgets: 0,
    };
    println!("{deliveries} deliveries, --seed {seed}");
    let summary = faulty::run(&plan).with_context(|| format!("--seed {seed}"))?;
    print!("{summary}");
    Ok(match summary.holds() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
