//! `postgres_…`: an installation in PostgreSQL, next to `pgbench` on the same server.
//!
//! `pgbench` runs what a program without Promoflow would do for each event: one transaction that adds
//! a run, claims a code and adds a message.

mod host;
mod pgbench;

use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};
use promoflow::pool::ImportOptions;
use promoflow_test_postgres::{Server, TestDatabase};

pub(crate) use host::run_as_host;

use crate::audit;
use crate::fixture::{self, Layout};
use crate::goal::Goal;
use crate::report::{Report, Rounds};
use host::rate_of_hosts;
use pgbench::Pgbench;

const CODES: u64 = 1_000_000;
const ROUNDS: usize = 3;
const RUNS: u64 = 20_000;
/// Sizes of the pools that are compared, and runs for each measurement: fewer than the smaller pool.
const SMALL: u64 = 10_000;
const LARGE: u64 = 10_000_000;
const FEW_RUNS: u64 = 3_000;
/// Events that are sent one after the other.
const EVENTS: u64 = 400;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let server = Server::start().map_err(|error| anyhow::anyhow!("{error}"))?;
    let bench = Pgbench::prepare(server.database())?;
    let shop = server.database();
    import(report, &server, &shop)?;
    fixture::configure(&fixture::builder(shop.address()).open()?)?;
    throughput(report, &bench, &shop)?;
    latency(report, &bench, &shop)?;
    audit::installation(
        report,
        "postgres",
        &fixture::builder(shop.address()).open()?,
    )?;
    growth(report, &server)
}

/// Uploads the codes, next to `COPY` into a plain table and `INSERT … SELECT` into the store's.
fn import(report: &mut Report, server: &Server, shop: &TestDatabase) -> Result<()> {
    let folder = fixture::folder()?;
    let csv = folder.path().join("codes.csv");
    fs::write(&csv, fixture::csv(CODES, Layout::Scattered)?)?;
    let mut rounds = Rounds::default();
    let plain = server.database();
    drop(fixture::builder(plain.address()).open()?);
    execute(
        &plain,
        "CREATE TABLE plain (number bigint GENERATED ALWAYS AS IDENTITY, code text, expires date,
                             discount int, type text)",
    )?;
    let began = Instant::now();
    execute(
        &plain,
        &format!(
            "\\copy plain (code, expires, discount, type) FROM '{}' CSV HEADER",
            csv.display()
        ),
    )?;
    let group = "JOIN code_group ON code_group.type = plain.type
                     AND code_group.discount = plain.discount";
    let expires = "((extract(epoch FROM expires) + 86400) * 1000)::bigint";
    execute(
        &plain,
        &format!(
            "INSERT INTO code_group (type, discount) SELECT DISTINCT type, discount FROM plain;
             INSERT INTO code SELECT code, number, code_group.id, {expires}, 0, 1 FROM plain {group};
             INSERT INTO available_code SELECT code_group.id, {expires}, number, code
             FROM plain {group}"
        ),
    )?;
    let baseline = CODES as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let promoflow = fixture::builder(shop.address()).open()?;
    let file = fs::File::open(&csv)?;
    let done = promoflow.import(file, &ImportOptions::default(), &mut |_| ())?;
    ensure!(done.inserted == CODES, "{} rows were added", done.inserted);
    rounds.add(CODES as f64 / began.elapsed().as_secs_f64(), baseline);
    report.add_compared(
        "postgres_import_rows_per_s",
        "rows/s",
        Some(Goal::ratio_at_least(0.7)),
        &format!(
            "{CODES} codes in random order; baseline: COPY into a plain table, and INSERT … SELECT \
             into the store's tables"
        ),
        &rounds,
    );
    Ok(())
}

fn throughput(report: &mut Report, bench: &Pgbench, shop: &TestDatabase) -> Result<()> {
    let mut next = 0;
    let mut rounds: [Rounds; 3] = Default::default();
    for _ in 0..ROUNDS {
        let baseline = bench.rate()?;
        let alone = rate_of_hosts(shop.address(), 1, &mut next, RUNS)?;
        rounds[0].add(alone, baseline);
        rounds[1].add(rate_of_hosts(shop.address(), 2, &mut next, RUNS)?, alone);
        rounds[2].add(rate_of_hosts(shop.address(), 4, &mut next, RUNS)?, alone);
    }
    let [one, two, four] = &rounds;
    for (name, least, note, rounds) in [
        (
            "postgres_runs_per_s",
            4.0,
            "from the accepted event to the committed outbox row, on one host; baseline: the best of \
             pgbench's ways, one transaction a run",
            one,
        ),
        (
            "postgres_runs_per_s_2_hosts",
            1.0,
            "the same on two hosts, on the same cores; baseline: one host",
            two,
        ),
        (
            "postgres_runs_per_s_4_hosts",
            0.9,
            "the same on four hosts; baseline: one host",
            four,
        ),
    ] {
        report.add_compared(
            name,
            "runs/s",
            Some(Goal::ratio_at_least(least)),
            note,
            rounds,
        );
    }
    Ok(())
}

/// Sends events one after the other.
fn latency(report: &mut Report, bench: &Pgbench, shop: &TestDatabase) -> Result<()> {
    let promoflow = fixture::builder(shop.address()).open()?;
    let running = promoflow.start()?;
    let mut rounds = Rounds::default();
    for _ in 0..=ROUNDS {
        let baseline = bench.latency()?;
        let mut times = Vec::new();
        for number in 0..EVENTS {
            let began = Instant::now();
            running.send(fixture::event(number))?;
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        rounds.add(times[times.len() / 2], baseline);
    }
    report.add_compared(
        "postgres_latency_p50",
        "us",
        Some(Goal::ratio_at_most(1.3)),
        "from sending an event to its committed outbox row; baseline: pgbench with one client",
        &rounds,
    );
    running.stop();
    Ok(())
}

/// Compares the time of a run in a large pool with that in a small one.
fn growth(report: &mut Report, server: &Server) -> Result<()> {
    let pools = [LARGE, SMALL].map(|codes| (server.database(), codes));
    for (database, codes) in &pools {
        let promoflow = fixture::builder(database.address()).open()?;
        let few = fixture::csv(fixture::TYPES * 4, Layout::Ordered)?;
        promoflow.import(few.as_bytes(), &ImportOptions::default(), &mut |_| ())?;
        fixture::configure(&promoflow)?;
        // Later than the uploaded ones, which only make the code groups.
        execute(
            database,
            &format!(
                "INSERT INTO code SELECT 'G' || number, 1000000 + number, id,
                     2000000000000 + number * 1000, 0, 1
                 FROM generate_series(1, {codes}) AS number
                 JOIN code_group ON code_group.type = 'type-' || number % {};
                 INSERT INTO available_code SELECT code_group, expires_at, id, code FROM code
                 WHERE id > 1000000;
                 ANALYZE",
                fixture::TYPES
            ),
        )?;
    }
    let [(large, _), (small, _)] = &pools;
    let (mut next, mut rounds) = (0, Rounds::default());
    for _ in 0..ROUNDS {
        let in_large = rate_of_hosts(large.address(), 1, &mut next, FEW_RUNS)?;
        let in_small = rate_of_hosts(small.address(), 1, &mut next, FEW_RUNS)?;
        rounds.add(1e6 / in_large, 1e6 / in_small);
    }
    report.add_compared(
        "postgres_run_time_large_pool",
        "us/run",
        Some(Goal::ratio_at_most(1.2)),
        &format!("a run with {LARGE} codes; baseline: with {SMALL}"),
        &rounds,
    );
    Ok(())
}

fn execute(database: &TestDatabase, sql: &str) -> Result<()> {
    database
        .execute(sql)
        .map_err(|error| anyhow::anyhow!("{error}"))
}
