//! `trigger_latency`: a single client, from sending the event to the committed outbox row, compared
//! with one bare durable commit of one row.

use std::time::Instant;

use anyhow::Result;
use promoflow::store::SqliteStore;

use crate::audit;
use crate::fixture::{self, Layout};
use crate::goal::Goal;
use crate::report::{Report, Rounds};

const CODES: u64 = 100_000;
const ROUNDS: usize = 7;
const EVENTS: u64 = 400;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let pool = folder.path().join("pool.db");
    fixture::pool(&pool, &fixture::csv(CODES, Layout::Scattered)?)?;
    let promoflow = fixture::builder(&pool).open()?;
    let running = promoflow.start()?;
    let bare = SqliteStore::connect(&folder.path().join("bare.db"))?;
    bare.execute_batch("CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT) STRICT")?;
    let mut insert = bare.prepare("INSERT INTO row (text) VALUES (?)")?;

    let (mut p50, mut p99) = (Rounds::default(), Rounds::default());
    for round in 0..ROUNDS {
        let (mut events, mut commits) = (Vec::new(), Vec::new());
        // Alternating, so that both see the same load on a busy machine.
        for number in 0..EVENTS {
            let begin = Instant::now();
            insert.execute(["a row of about the length that an outbox row has in practice"])?;
            commits.push(micros(begin));
            let begin = Instant::now();
            running.send(fixture::event(number))?;
            events.push(micros(begin));
        }
        if round == 0 {
            // Warm the caches.
            continue;
        }
        p50.add(quantile(&mut events, 0.50), quantile(&mut commits, 0.50));
        p99.add(quantile(&mut events, 0.99), quantile(&mut commits, 0.99));
    }
    let note = "from sending an event to its committed outbox row; baseline: one bare durable \
                commit of a row";
    for (name, most, rounds) in [("p50", 1.5, &p50), ("p99", 3.0, &p99)] {
        let goal = Some(Goal::ratio_at_most(most));
        report.add_compared(&format!("trigger_latency_{name}"), "us", goal, note, rounds);
    }
    audit::installation(report, "latency", &promoflow)
}

fn micros(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e6
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}
