//! `pgbench` with transactions of three statements.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use promoflow_test_postgres::{Programs, TestDatabase};
use tempfile::TempDir;

use crate::fixture;

/// The duration of a measurement, in seconds.
const SECONDS: &str = "4";
/// Numbers of clients, of which the best counts.
const CLIENTS: [&str; 2] = ["16", "32"];
const CODES: u64 = 1_000_000;

/// Ways to claim the next code of a group.
const CLAIMS: [(&str, &str); 2] = [
    (
        "delete.sql",
        "WITH next AS (
             SELECT lane, expires, id FROM bench_free WHERE lane = :lane
             ORDER BY expires, id LIMIT 1 FOR UPDATE SKIP LOCKED
         )
         DELETE FROM bench_free USING next
         WHERE (bench_free.lane, bench_free.expires, bench_free.id)
             = (next.lane, next.expires, next.id)
         RETURNING bench_free.code \\gset",
    ),
    (
        "update.sql",
        "WITH next AS (
             SELECT id FROM bench_code WHERE lane = :lane AND NOT used
             ORDER BY expires, id LIMIT 1 FOR UPDATE SKIP LOCKED
         )
         UPDATE bench_code SET used = true FROM next WHERE bench_code.id = next.id
         RETURNING bench_code.code \\gset",
    ),
];

/// The tables and scripts.
pub(super) struct Pgbench {
    database: TestDatabase,
    programs: Programs,
    folder: TempDir,
}

impl Pgbench {
    pub(super) fn prepare(database: TestDatabase) -> Result<Pgbench> {
        super::execute(
            &database,
            &format!(
                "CREATE TABLE bench_run (
                     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event text, state text,
                     at timestamptz DEFAULT now()
                 );
                 CREATE TABLE bench_message (
                     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run bigint, text text
                 );
                 CREATE TABLE bench_free (
                     lane int, expires bigint, id bigint, code text,
                     PRIMARY KEY (lane, expires, id)
                 );
                 CREATE TABLE bench_code (
                     id bigint PRIMARY KEY, lane int, expires bigint, code text, used boolean
                 );
                 INSERT INTO bench_free SELECT number % {types}, number, number, 'C' || number
                 FROM generate_series(1, {CODES}) AS number;
                 INSERT INTO bench_code SELECT number, number % {types}, number, 'C' || number, false
                 FROM generate_series(1, {CODES}) AS number;
                 CREATE INDEX ON bench_code (lane, expires, id) WHERE NOT used;
                 ANALYZE",
                types = fixture::TYPES
            ),
        )?;
        let folder = fixture::folder()?;
        for (name, claim) in CLAIMS {
            let script = format!(
                "\\set lane random(0, {})\nBEGIN;\n\
                 INSERT INTO bench_run (event, state) VALUES ('birthday', 'completed') \
                 RETURNING id AS run \\gset\n{}\n\
                 INSERT INTO bench_message (run, text) VALUES (:run, :code);\nCOMMIT;\n",
                fixture::TYPES - 1,
                claim.lines().map(str::trim).collect::<Vec<_>>().join(" ")
            );
            fs::write(folder.path().join(name), script)?;
        }
        let programs = Programs::find().map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Pgbench {
            database,
            programs,
            folder,
        })
    }

    /// Returns the transactions per second of the best way.
    pub(super) fn rate(&self) -> Result<f64> {
        let mut best: f64 = 0.0;
        for (script, _) in CLAIMS {
            for clients in CLIENTS {
                let printed = self.run(script, clients, &[])?;
                let rate = printed
                    .lines()
                    .find_map(|line| line.strip_prefix("tps = "))
                    .and_then(|rest| rest.split_whitespace().next())
                    .context("pgbench printed no rate")?;
                best = best.max(rate.parse()?);
            }
        }
        Ok(best)
    }

    /// Returns the median time of a transaction with one client, in microseconds, of the best way.
    pub(super) fn latency(&self) -> Result<f64> {
        let mut best = f64::INFINITY;
        for (script, _) in CLAIMS {
            self.run(script, "1", &["--log", "--log-prefix=latency"])?;
            let mut times = Vec::new();
            for entry in fs::read_dir(self.folder.path())? {
                let path = entry?.path();
                if is_log(&path) {
                    for line in fs::read_to_string(&path)?.lines() {
                        let time = line.split(' ').nth(2).context("a line of pgbench's log")?;
                        times.push(time.parse::<f64>()?);
                    }
                    fs::remove_file(path)?;
                }
            }
            times.sort_by(f64::total_cmp);
            ensure!(!times.is_empty(), "pgbench logged nothing");
            best = best.min(times[times.len() / 2]);
        }
        Ok(best)
    }

    fn run(&self, script: &str, clients: &str, options: &[&str]) -> Result<String> {
        let mut command = Command::new(self.programs.path("pgbench"));
        self.programs.prepare(&mut command);
        let output = command
            .current_dir(self.folder.path())
            .args(["--no-vacuum", "--protocol=prepared", "--time", SECONDS])
            .args(["--client", clients, "--jobs", "1", "--file", script])
            .args(options)
            .arg(self.database.address())
            .output()
            .context("cannot start `pgbench`")?;
        ensure!(
            output.status.success(),
            "pgbench failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn is_log(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("latency.")
}
