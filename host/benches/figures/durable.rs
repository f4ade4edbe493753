//! `durable_runs_per_s`: from the accepted event to the committed outbox row, compared with a bare
//! loop that writes the same rows at the best batch size, and with one transaction per run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use promoflow::store::SqliteStore;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::audit;
use crate::fixture::{self, Layout};
use crate::goal::Goal;
use crate::profile::Spent;
use crate::report::{Report, Rounds};

const CODES: u64 = 1_000_000;
const RUNS: u64 = 50_000;
const ROUNDS: usize = 5;
/// Runs of the loop that commits each run separately: enough for a steady figure, few enough to
/// finish.
const SINGLE: usize = 4_000;
const BATCHES: [usize; 4] = [100, 300, 1_000, 3_000];

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    for layout in [Layout::Ordered, Layout::Scattered] {
        let folder = fixture::folder()?;
        let pool = folder.path().join("pool.db");
        fixture::pool(&pool, &fixture::csv(CODES, layout)?)?;
        let rows = rows_of(&engine(&pool)?.left)?;
        let mut best = (BATCHES[0], 0.0);
        for batch in BATCHES {
            let rate = replay(&pool, &rows, batch)?.rate;
            if rate > best.1 {
                best = (batch, rate);
            }
        }
        let (mut limit, mut single) = (Rounds::default(), Rounds::default());
        let (mut bare, mut parts) = (Vec::new(), TimeShares::default());
        for _ in 0..ROUNDS {
            let baseline = replay(&pool, &rows, best.0)?;
            let engine = engine(&pool)?;
            limit.add(engine.rate, baseline.rate);
            bare.push(baseline.rate);
            parts.add(&engine.spent, &baseline.spent);
            let alone = replay(&pool, &rows[..SINGLE], 1)?;
            single.add(engine.rate, alone.rate);
        }
        let layout_name = layout.name();
        report.add_compared(
            &format!("durable_runs_per_s_{layout_name}"),
            "runs/s",
            Some(Goal::ratio_at_least(0.5)),
            &format!(
                "from the accepted event to the committed outbox row, {CODES} codes of {} types; \
                 baseline: sqlite_group_commit_limit_{layout_name}",
                fixture::TYPES
            ),
            &limit,
        );
        report.add_single(
            &format!("sqlite_group_commit_limit_{layout_name}"),
            "runs/s",
            None,
            &format!(
                "a bare loop that writes exactly the rows that the engine wrote, {} runs a \
                 transaction, the best of {BATCHES:?}",
                best.0
            ),
            &bare,
        );
        if layout == Layout::Ordered {
            report.add_compared(
                "durable_runs_vs_commit_per_run",
                "runs/s",
                Some(Goal::ratio_at_least(5.0)),
                "baseline: the bare loop with one transaction per run",
                &single,
            );
        }
        parts.add_to(report, layout_name);
        let left = pool.with_file_name(ENGINE);
        audit::databases(report, &format!("durable_{layout_name}"), &[&left])?;
    }
    Ok(())
}

/// File name of the pool copy that the engine works on.
const ENGINE: &str = "engine.db";

/// The rate at which runs were written, and the processor time they took.
struct Measured {
    rate: f64,
    /// Per run.
    spent: Spent,
    left: std::path::PathBuf,
}

/// The parts of a run's processor time, one value per round.
#[derive(Default)]
struct TimeShares {
    committer: Rounds,
    workers: Vec<f64>,
    sender: Vec<f64>,
    others: Vec<f64>,
}

impl TimeShares {
    fn add(&mut self, engine: &Spent, bare: &Spent) {
        self.committer
            .add(engine.of("committer"), bare.of("sender"));
        self.workers.push(engine.of("workers"));
        self.sender.push(engine.of("sender"));
        self.others.push(engine.of("others"));
    }

    fn add_to(&self, report: &mut Report, layout: &str) {
        let name = |part: &str| format!("profile_{part}_{layout}");
        let unit = "us/run";
        report.add_compared(
            &name("committer"),
            unit,
            None,
            "processor time: checks, rows, the commit and notifying waiting callers; baseline: the \
             bare loop's share, which is SQLite's own",
            &self.committer,
        );
        let alone = [
            (
                "workers",
                "processor time: the run's two sandboxes (see blocks_alone_runs_per_s), its \
                 leased code, its rendered message",
                &self.workers,
            ),
            (
                "sender",
                "processor time: creating and submitting events",
                &self.sender,
            ),
            (
                "others",
                "processor time: the poller, epochs and other threads",
                &self.others,
            ),
        ];
        for (part, note, values) in alone {
            report.add_single(&name(part), unit, None, note, values);
        }
    }
}

/// Executes runs through the engine on a copy of the pool.
fn engine(pool: &Path) -> Result<Measured> {
    let copy = fixture::copy(pool, ENGINE)?;
    let running = fixture::builder(&copy).open()?.start()?;
    let (done, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let before = Spent::so_far()?;
    let begin = Instant::now();
    for number in 0..RUNS {
        let (done, failed) = (Arc::clone(&done), Arc::clone(&failed));
        running.submit(fixture::event(number), move |receipt| {
            if receipt.is_err() {
                failed.fetch_add(1, Ordering::SeqCst);
            }
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    while done.load(Ordering::SeqCst) < RUNS {
        thread::sleep(Duration::from_micros(200));
    }
    let took = begin.elapsed();
    let spent = Spent::so_far()?.since(&before, RUNS as f64);
    running.stop();
    ensure!(failed.load(Ordering::SeqCst) == 0, "events were rejected");
    Ok(Measured {
        rate: RUNS as f64 / took.as_secs_f64(),
        spent,
        left: copy,
    })
}

/// The tables that a run writes, in the engine's order.
const TABLES: [&str; 5] = ["event", "run", "claim", "delivery", "journal"];

/// The rows that the engine wrote for one run, one per table.
type Run = [Vec<Value>; TABLES.len()];

fn rows_of(database: &Path) -> Result<Vec<Run>> {
    let connection = Connection::open(database)?;
    let tables = TABLES.map(|table| rows(&connection, table));
    let mut tables = tables.into_iter().collect::<Result<Vec<_>>>()?.into_iter();
    let mut next = || tables.next().context("a table").map(Vec::into_iter);
    let (event, run, claim, delivery, journal) = (next()?, next()?, next()?, next()?, next()?);
    let runs = event.zip(run).zip(claim).zip(delivery).zip(journal);
    let runs: Vec<Run> = runs
        .map(|((((event, run), claim), delivery), journal)| [event, run, claim, delivery, journal])
        .collect();
    ensure!(
        runs.len() == RUNS as usize,
        "{} of {RUNS} runs wrote one row in each table",
        runs.len()
    );
    Ok(runs)
}

fn rows(connection: &Connection, table: &str) -> Result<Vec<Vec<Value>>> {
    let key = if table == "journal" { "run" } else { "id" };
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY {key}"))?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns).map(|column| row.get(column)).collect()
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Writes the rows into a copy of the pool, `batch` runs per transaction.
fn replay(pool: &Path, runs: &[Run], batch: usize) -> Result<Measured> {
    let copy = fixture::copy(pool, "replay.db")?;
    let connection = SqliteStore::connect(&copy)?;
    let insert = |table: usize| -> Result<_> {
        let marks = vec!["?"; runs[0][table].len()].join(", ");
        Ok(connection.prepare(&format!("INSERT INTO {} VALUES ({marks})", TABLES[table]))?)
    };
    let mut inserts = (0..TABLES.len()).map(insert).collect::<Result<Vec<_>>>()?;
    let mut take = connection.prepare(
        "DELETE FROM available_code WHERE code_group = ? AND expires_at = ? AND code_id = ?",
    )?;
    let before = Spent::so_far()?;
    let begin = Instant::now();
    for batch in runs.chunks(batch) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for run in batch {
            // `claim` has the code group, the expiry and the id of the claimed code in this order.
            let taken = take.execute(params_from_iter(&run[2][5..8]))?;
            ensure!(taken == 1, "a code was missing");
            for (insert, row) in inserts.iter_mut().zip(run) {
                insert.execute(params_from_iter(row))?;
            }
        }
        connection.execute_batch("COMMIT")?;
    }
    let (count, took) = (runs.len() as f64, begin.elapsed());
    drop((inserts, take));
    Ok(Measured {
        rate: count / took.as_secs_f64(),
        spent: Spent::so_far()?.since(&before, count),
        left: copy,
    })
}
