//! `import_rows_per_s`, compared with the `sqlite3` shell doing the same work: `.import` into a
//! plain table, then INSERT … SELECT into the engine's own tables.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use promoflow::pool::ImportOptions;

use crate::audit;
use crate::fixture::{self, Layout};
use crate::goal::Goal;
use crate::report::{Report, Rounds};

const ROWS: u64 = 1_000_000;
const ROUNDS: usize = 3;

/// One method of filling both pool tables with the shell: its name and its statements.
struct Method {
    name: &'static str,
    fill: String,
}

/// Returns every method that may be the fastest. One INSERT … SELECT fills one table, so there is
/// one for each table, or a trigger fills the second.
fn methods() -> [Method; 5] {
    let join = "JOIN code_group ON code_group.type = plain.type
                    AND code_group.discount = CAST(plain.discount AS INTEGER)";
    let expires = "(unixepoch(expirationDate) + 86400) * 1000";
    let code = format!(
        "INSERT INTO code SELECT code, plain.rowid, code_group.id, {expires}, 0, 1
         FROM plain {join}"
    );
    let available = format!(
        "INSERT INTO available_code SELECT code_group.id, {expires}, plain.rowid, code
         FROM plain {join}"
    );
    let from_code = "INSERT INTO available_code SELECT code_group, expires_at, id, code FROM code";
    let trigger = "CREATE TEMP TRIGGER fill AFTER INSERT ON code BEGIN
                       INSERT INTO available_code
                       VALUES (new.code_group, new.expires_at, new.id, new.code);
                   END";
    let method = |name, fill| Method { name, fill };
    [
        method("in file order", format!("{code}; {available};")),
        method(
            "each sorted by its key",
            format!("{code} ORDER BY code; {available} ORDER BY 1, 2, 3;"),
        ),
        method("the second from the first", format!("{code}; {from_code};")),
        method(
            "the second from the first, each sorted by its key",
            format!("{code} ORDER BY code; {from_code} ORDER BY code_group, expires_at, id;"),
        ),
        method(
            "one INSERT with a trigger, sorted by its key",
            format!("{trigger}; {code} ORDER BY code;"),
        ),
    ]
}

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let csv = folder.path().join("codes.csv");
    fs::write(&csv, fixture::csv(ROWS, Layout::Scattered)?)?;
    let mut measured = Vec::new();
    for method in methods() {
        measured.push((shell(folder.path(), &csv, &method)?, method));
    }
    measured.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let rates: Vec<_> = measured
        .iter()
        .map(|(rate, method)| format!("{} {rate:.0}", method.name))
        .collect();
    let (_, fastest) = measured.first().context("no method")?;

    let mut rounds = Rounds::default();
    let database = folder.path().join("pool.db");
    for _ in 0..ROUNDS {
        let baseline = shell(folder.path(), &csv, fastest)?;
        fixture::remove(&database)?;
        let begin = Instant::now();
        let promoflow = fixture::builder(&database).open()?;
        let file = fs::File::open(&csv)?;
        let done = promoflow.import(file, &ImportOptions::default(), &mut |_| ())?;
        ensure!(
            done.inserted == ROWS,
            "{} rows were inserted",
            done.inserted
        );
        rounds.add(ROWS as f64 / begin.elapsed().as_secs_f64(), baseline);
    }
    report.add_compared(
        "import_rows_per_s",
        "rows/s",
        Some(Goal::ratio_at_least(1.0)),
        &format!(
            "{ROWS} codes in random order; baseline: the sqlite3 shell into the engine's tables, in \
             the fastest of these methods (rows/s in one round): {}",
            rates.join(", ")
        ),
        &rounds,
    );
    audit::databases(report, "import", &[&database])
}

/// Returns rows per second through the shell.
fn shell(folder: &Path, csv: &Path, method: &Method) -> Result<f64> {
    let file = folder.join("shell.db");
    fixture::remove(&file)?;
    // The engine's tables and pragmas.
    drop(fixture::builder(&file).open()?);
    let script = format!(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -32768;
         PRAGMA wal_autocheckpoint = 8192;
         CREATE TABLE plain (code TEXT, expirationDate TEXT, discount TEXT, type TEXT);
         .mode csv
         .import --skip 1 {} plain
         BEGIN IMMEDIATE;
         INSERT INTO code_group (type, discount)
         SELECT DISTINCT type, CAST(discount AS INTEGER) FROM plain;
         {}
         COMMIT;
         SELECT count(*) FROM available_code;\n",
        csv.display(),
        method.fill
    );
    // The shell recognises its dot commands only at the start of a line.
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
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(
        stdout.trim().ends_with(&ROWS.to_string()),
        "the shell did not insert all rows: {stdout}"
    );
    Ok(ROWS as f64 / took.as_secs_f64())
}
