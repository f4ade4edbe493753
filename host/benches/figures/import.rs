//! `import_rows_per_s`, beside the `sqlite3` shell doing the same work: `.import` into a plain
//! table, then INSERT … SELECT into the engine's own tables.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use promoflow::pool::ImportOptions;

use crate::fixture::{self, Layout};
use crate::report::{Report, Rounds};

const ROWS: u64 = 1_000_000;
const ROUNDS: usize = 3;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let csv = folder.path().join("codes.csv");
    fs::write(&csv, fixture::csv(ROWS, Layout::Scattered)?)?;
    let mut rounds = Rounds::default();
    for round in 0..ROUNDS {
        let baseline = shell(folder.path(), &csv, round)?;
        let begin = Instant::now();
        let promoflow = fixture::builder(&folder.path().join(format!("{round}.db"))).open()?;
        let file = fs::File::open(&csv)?;
        let done = promoflow.import(file, &ImportOptions::default(), &mut |_| ())?;
        ensure!(done.inserted == ROWS, "{} rows went in", done.inserted);
        rounds.add(ROWS as f64 / begin.elapsed().as_secs_f64(), baseline);
    }
    report.compared(
        "import_rows_per_s",
        "rows/s",
        "ratio >= 1 of the sqlite3 shell",
        &rounds,
    );
    Ok(())
}

/// Rows per second through the shell.
fn shell(folder: &Path, csv: &Path, round: usize) -> Result<f64> {
    let file = folder.join(format!("shell-{round}.db"));
    // The engine's own tables and pragmas.
    drop(fixture::builder(&file).open()?);
    let script = format!(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -32768;
         PRAGMA wal_autocheckpoint = 8192;
         CREATE TABLE plain (code TEXT, expirationDate TEXT, discount TEXT, type TEXT);
         .mode csv
         .import --skip 1 {} plain
         BEGIN IMMEDIATE;
         INSERT INTO lane (type, discount) SELECT DISTINCT type, CAST(discount AS INTEGER) FROM plain;
         INSERT INTO code
             SELECT code, plain.rowid, lane.id, (unixepoch(expirationDate) + 86400) * 1000, 0, 1
             FROM plain JOIN lane
                 ON lane.type = plain.type AND lane.discount = CAST(plain.discount AS INTEGER);
         INSERT INTO free
             SELECT lane.id, (unixepoch(expirationDate) + 86400) * 1000, plain.rowid, code
             FROM plain JOIN lane
                 ON lane.type = plain.type AND lane.discount = CAST(plain.discount AS INTEGER);
         COMMIT;
         SELECT count(*) FROM free;\n",
        csv.display()
    );
    // The shell knows its own commands only at the beginning of a line.
    let script: String = script
        .lines()
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect();
    let begin = Instant::now();
    let mut shell = Command::new("sqlite3")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start `sqlite3`; install SQLite's shell (Debian: sqlite3)")?;
    shell
        .stdin
        .take()
        .context("the shell's input")?
        .write_all(script.as_bytes())?;
    let output = shell.wait_with_output()?;
    let took = begin.elapsed();
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(
        told.trim().ends_with(&ROWS.to_string()),
        "the shell did not take all rows: {told}"
    );
    Ok(ROWS as f64 / took.as_secs_f64())
}
