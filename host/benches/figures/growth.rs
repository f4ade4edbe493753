//! `claim_cost_growth`: a run with 10,000,000 codes in the pool, compared with a run with 10,000.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use promoflow::pool::ImportOptions;
use promoflow::{EngineHandle, Promoflow};

use crate::audit;
use crate::fixture::{self, TYPES};
use crate::goal::Goal;
use crate::report::{Report, Rounds};

const SMALL: u64 = 10_000;
const LARGE: u64 = 10_000_000;
const ROUNDS: usize = 5;
/// Runs per slice. After each slice both pools get as many new codes as it used, so that the small
/// pool stays at 10,000.
const SLICE: u64 = 2_500;
const SLICES: u64 = 4;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let mut small = Pool::make(&folder.path().join("small.db"), SMALL)?;
    let mut large = Pool::make(&folder.path().join("large.db"), LARGE)?;
    let mut rounds = Rounds::default();
    for round in 0..=ROUNDS {
        let (mut baseline, mut value) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..SLICES {
            baseline += small.slice()?;
            value += large.slice()?;
        }
        if round > 0 {
            let micros = |time: Duration| time.as_secs_f64() * 1e6 / (SLICE * SLICES) as f64;
            rounds.add(micros(value), micros(baseline));
        }
    }
    report.add_compared(
        "claim_cost_growth",
        "us/run",
        Some(Goal::ratio_at_most(1.2)),
        &format!(
            "a run with {LARGE} codes in the pool, {} runs a round; baseline: with {SMALL}; each \
             of {TYPES} types",
            SLICE * SLICES
        ),
        &rounds,
    );
    for (name, pool) in [("growth_small", small), ("growth_large", large)] {
        pool.running.stop();
        audit::installation(report, name, &pool.promoflow)?;
    }
    Ok(())
}

struct Pool {
    promoflow: Promoflow,
    running: EngineHandle,
    /// Codes uploaded so far.
    given: u64,
}

impl Pool {
    fn make(file: &Path, codes: u64) -> Result<Pool> {
        fixture::pool(file, &csv(0, codes)?)?;
        let promoflow = fixture::builder(file).open()?;
        let running = promoflow.start()?;
        Ok(Pool {
            promoflow,
            running,
            given: codes,
        })
    }

    /// Measures one slice of runs.
    fn slice(&mut self) -> Result<Duration> {
        let (sent, received) = channel();
        let begin = Instant::now();
        for number in 0..SLICE {
            let sent = sent.clone();
            self.running.submit(fixture::event(number), move |receipt| {
                // The clock stops when the receiver has seen every receipt.
                let _gone = sent.send(receipt.is_ok());
            });
        }
        for _ in 0..SLICE {
            ensure!(received.recv()?, "an event was rejected");
        }
        let took = begin.elapsed();
        let csv = csv(self.given, SLICE)?;
        let options = ImportOptions::default();
        let done = self
            .promoflow
            .import(csv.as_bytes(), &options, &mut |_| ())?;
        ensure!(
            done.inserted == SLICE,
            "{} codes were inserted",
            done.inserted
        );
        self.given += SLICE;
        Ok(took)
    }
}

/// Returns codes with ascending texts, so that creating ten million takes seconds. Claims never
/// read the table that is ordered by text.
fn csv(first: u64, codes: u64) -> Result<String> {
    let mut csv = String::from("code,expirationDate,discount,type\n");
    for number in first..first + codes {
        let year = 2030 + (number * 7) % 60;
        let month = 1 + (number * 5) % 12;
        writeln!(
            csv,
            "C{number:012},{year}-{month:02}-15,10,type-{}",
            number % TYPES
        )?;
    }
    Ok(csv)
}
