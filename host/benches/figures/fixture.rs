//! Fixtures that several figures share: pools, a workflow of the two standard blocks, its events.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use chrono::{Days, NaiveDate};
use promoflow::event::Event;
use promoflow::pool::ImportOptions;
use promoflow::{Builder, Promoflow};
use promoflow_model::database::Database;
use tempfile::TempDir;

/// Code types in every pool.
pub(crate) const TYPES: u64 = 50;

/// Upload order of the codes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// By expiry.
    Ordered,
    /// In random order.
    Scattered,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Layout::Ordered => "ordered",
            Layout::Scattered => "scattered",
        }
    }
}

const MESSAGE: &[u8] =
    b"message: greeting\nchannel: sms\ntext: Your code is $!data.get('promocode').\n";

const WORKFLOW: &[u8] = b"
workflow: birthday
start: { event: birthday }
steps:
  - id: code
    block: get-promocode
    with: { type: $!data.get('type'), discount: 10, days: 7 }
  - id: sms
    block: send-message
    with: { channel: sms, message: greeting }
";

/// Returns the event with that number; the types alternate.
pub(crate) fn event(number: u64) -> Event {
    Event::new("birthday", "ann@example.com")
        .with_param("type", format!("type-{}", number % TYPES))
        .with_param("Phone", "+380501234567")
}

/// Creates a folder on the build disk rather than in a memory file system.
pub(crate) fn folder() -> Result<TempDir> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// A reproducible source of random numbers (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        Random(88_172_645_463_325_252)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Returns codes as CSV: random texts that expire from 2030 on.
pub(crate) fn csv(codes: u64, layout: Layout) -> Result<String> {
    let mut csv = String::from("code,expirationDate,discount,type\n");
    let first = NaiveDate::from_ymd_opt(2030, 1, 1).unwrap_or_default();
    let mut random = Random::new();
    for number in 0..codes {
        let code = random.next();
        let day = match layout {
            Layout::Ordered => number * 3_650 / codes,
            Layout::Scattered => code % 3_650,
        };
        let date = first + Days::new(day);
        writeln!(csv, "C{code:016X},{date},10,type-{}", code % TYPES)?;
    }
    Ok(csv)
}

/// Creates a pool with the workflow applied and closes it, so that the file can be copied.
pub(crate) fn pool(file: &Path, codes: &str) -> Result<()> {
    let promoflow = builder(file).open()?;
    let report = promoflow.import(codes.as_bytes(), &ImportOptions::default(), &mut |_| ())?;
    ensure!(
        report.rejected == 0,
        "{} rows were rejected",
        report.rejected
    );
    configure(&promoflow)
}

pub(crate) fn configure(promoflow: &Promoflow) -> Result<()> {
    let no_files = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let messages = promoflow.apply_messages("message.yaml", MESSAGE, &no_files)?;
    ensure!(messages.applied.len() == 1, "{:?}", messages.diagnostics);
    let workflows = promoflow.apply_workflows("workflow.yaml", WORKFLOW)?;
    ensure!(workflows.applied.len() == 1, "{:?}", workflows.diagnostics);
    Ok(())
}

/// Returns a builder for an installation that commits to its outbox and delivers nothing.
pub(crate) fn builder(database: impl Into<Database>) -> Builder {
    Promoflow::builder(database).delivers(false)
}

/// Copies a pool, to be used up by a measurement.
pub(crate) fn copy(pool: &Path, name: &str) -> Result<PathBuf> {
    let copy = pool.with_file_name(name);
    remove(&copy)?;
    fs::copy(pool, &copy)?;
    // The copy must be on disk before the measurement starts.
    fs::File::open(&copy)?.sync_all()?;
    Ok(copy)
}

/// Removes a database and the files next to it, if they exist.
pub(crate) fn remove(database: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm", "-executor"] {
        let mut file = database.to_owned().into_os_string();
        file.push(suffix);
        if Path::new(&file).exists() {
            fs::remove_file(file)?;
        }
    }
    Ok(())
}
