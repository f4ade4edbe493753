//! `claim_cost_growth`: a run with 10,000,000 codes in the pool beside one with 10,000.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Instant;

use anyhow::Result;

use crate::fixture::{self, TYPES};
use crate::report::{Report, Rounds};

const SMALL: u64 = 10_000;
const LARGE: u64 = 10_000_000;
const ROUNDS: usize = 5;
/// Runs a round: all rounds together stay below the codes of the small pool.
const RUNS: u64 = 1_500;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let (small, large) = (
        folder.path().join("small.db"),
        folder.path().join("large.db"),
    );
    make(&small, SMALL)?;
    make(&large, LARGE)?;
    let small = fixture::builder(&small).open()?.start()?;
    let large = fixture::builder(&large).open()?.start()?;
    let mut rounds = Rounds::default();
    for round in 0..=ROUNDS {
        let baseline = cost(&small)?;
        let value = cost(&large)?;
        if round > 0 {
            rounds.add(value, baseline);
        }
    }
    report.compared("claim_cost_growth", "us/run", "ratio <= 1.2", &rounds);
    Ok(())
}

/// Microseconds a run.
fn cost(running: &promoflow::Running) -> Result<f64> {
    let (sent, received) = channel();
    let begin = Instant::now();
    for number in 0..RUNS {
        let sent = sent.clone();
        running.submit(fixture::event(number), move |receipt| {
            // The other side counts until all have come.
            let _gone = sent.send(receipt.is_ok());
        });
    }
    for _ in 0..RUNS {
        anyhow::ensure!(received.recv()?, "an event was refused");
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / RUNS as f64)
}

/// Codes whose texts ascend, so that making ten million takes seconds; claims never look at the
/// table whose order that is.
fn make(file: &Path, codes: u64) -> Result<()> {
    let mut csv = String::from("code,expirationDate,discount,type\n");
    for number in 0..codes {
        let year = 2030 + (number * 7) % 60;
        let month = 1 + (number * 5) % 12;
        writeln!(
            csv,
            "C{number:012},{year}-{month:02}-15,10,type-{}",
            number % TYPES
        )?;
    }
    fixture::pool(file, &csv)
}
