//! The external ledger: acknowledgements of all processes, read from their output, in a separate
//! file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::random::Random;

/// The acknowledgements.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Runs of each event.
    pub(crate) events: BTreeMap<String, Vec<i64>>,
    /// Events acknowledged as new. When two processes send one event, either may be acknowledged
    /// first.
    new: BTreeSet<String>,
    /// Codes of each upload.
    pub(crate) uploads: BTreeMap<String, Vec<String>>,
    /// Number of acknowledgements as duplicates.
    pub(crate) duplicates: u64,
    /// Runs whose cancellation was requested, and those acknowledged as cancelled.
    pub(crate) cancel_requested: BTreeSet<i64>,
    pub(crate) cancelled: BTreeSet<i64>,
    /// Number of events and uploads answered with an error.
    pub(crate) errors: u64,
    /// Contradicting acknowledgements.
    pub(crate) violations: BTreeSet<String>,
}

/// The ledger, written by the reader threads of all processes.
pub(crate) struct Ledger {
    state: Mutex<(File, Acknowledged)>,
}

impl Ledger {
    pub(crate) fn new(file: &Path) -> Result<Ledger> {
        let file = File::create(file).context("cannot create the ledger")?;
        Ok(Ledger {
            state: Mutex::new((file, Acknowledged::default())),
        })
    }

    /// Records a line printed by `event send --json`.
    pub(crate) fn event(&self, line: &str) -> Result<()> {
        let report: Value =
            serde_json::from_str(line).with_context(|| format!("not JSON: `{line}`"))?;
        let runs: Vec<i64> = report["runs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|run| run.as_str()?.parse().ok())
            .collect();
        let mut state = self.state();
        match (report["event"].as_str(), report["status"].as_str()) {
            (Some(event), Some(status @ ("accepted" | "duplicate"))) => {
                writeln!(state.0, "{}", json!({ "event": event, "runs": runs }))?;
                let known = &mut state.1;
                known.duplicates += u64::from(status == "duplicate");
                if status == "accepted" && !known.new.insert(event.to_owned()) {
                    let violation = format!("event {event} was accepted as new twice");
                    known.violations.insert(violation);
                }
                let before = known.events.entry(event.to_owned()).or_insert(runs.clone());
                if *before != runs {
                    let violation = format!("event {event} has runs {before:?}, and then {runs:?}");
                    known.violations.insert(violation);
                }
            }
            _ => state.1.errors += 1,
        }
        Ok(())
    }

    /// Records the report of `codes import --json` for a file of codes.
    pub(crate) fn upload(&self, file: &str, codes: &[String], line: &str) -> Result<()> {
        let report: Value =
            serde_json::from_str(line).with_context(|| format!("not JSON: `{line}`"))?;
        let count = |field: &str| report[field].as_u64().unwrap_or_default();
        let mut state = self.state();
        if count("inserted") + count("updated") + count("unchanged") < codes.len() as u64 {
            state.1.errors += 1;
            return Ok(());
        }
        writeln!(state.0, "{}", json!({ "upload": file, "codes": codes }))?;
        state.1.uploads.insert(file.to_owned(), codes.to_owned());
        Ok(())
    }

    /// Records a request to cancel a run.
    pub(crate) fn cancel_requested(&self, run: i64) {
        self.state().1.cancel_requested.insert(run);
    }

    /// Records a successful cancellation.
    pub(crate) fn cancelled(&self, run: i64) -> Result<()> {
        let mut state = self.state();
        writeln!(state.0, "{}", json!({ "cancelled": run }))?;
        state.1.cancelled.insert(run);
        Ok(())
    }

    /// Returns a random run of the events whose ids start with `prefix`.
    pub(crate) fn random_run(&self, prefix: &str, random: &mut Random) -> Option<i64> {
        self.read(|known| {
            let events = known.events.range(prefix.to_owned()..);
            let runs: Vec<i64> = events
                .take_while(|(event, _)| event.starts_with(prefix))
                .flat_map(|(_, runs)| runs.iter().copied())
                .collect();
            let at = usize::try_from(random.below(runs.len() as u64)).ok()?;
            runs.get(at).copied()
        })
    }

    /// Gives access to the acknowledgements.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Acknowledged) -> T) -> T {
        read(&self.state().1)
    }

    fn state(&self) -> MutexGuard<'_, (File, Acknowledged)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
