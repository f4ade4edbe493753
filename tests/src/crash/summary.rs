//! The summary of a run of the harness.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Number of violations printed.
const MAX_PRINTED: usize = 50;

/// Kills, and the comparison of acknowledgements with the stored state.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seed of the random choices.
    pub seed: u64,
    /// Number of kills by place.
    pub kills: BTreeMap<String, u64>,
    /// Number of load rounds.
    pub rounds: u64,
    /// Number of failpoints that no process reached in time; the process was killed anyway.
    pub missed: u64,
    /// Number of acknowledged events.
    pub events: usize,
    /// Number of acknowledgements as duplicates: sent again after a kill, or by two processes at
    /// once.
    pub duplicates: u64,
    /// Number of runs acknowledged as cancelled.
    pub cancelled: usize,
    /// Number of acknowledged uploads.
    pub uploads: usize,
    /// Number of messages, by identity.
    pub messages: usize,
    /// Number of messages written again under the same identity, after a kill that left their
    /// delivery ambiguous.
    pub repeated: usize,
    /// Duration.
    pub took: Duration,
    /// Everything that breaks a promise.
    pub violations: Vec<String>,
    /// Folder with the database and the ledger, kept for inspection after a violation.
    pub kept: Option<PathBuf>,
}

impl Summary {
    pub(crate) fn new(seed: u64) -> Summary {
        Summary {
            seed,
            ..Summary::default()
        }
    }

    pub(crate) fn kill(&mut self, how: &str) {
        *self.kills.entry(how.to_owned()).or_default() += 1;
    }

    /// Returns the number of killed processes.
    pub fn killed(&self) -> u64 {
        self.kills.values().sum()
    }

    /// Returns true if every promise held.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("seed", self.seed),
            ("rounds", self.rounds),
            ("failpoints missed", self.missed),
            ("events acknowledged", self.events as u64),
            ("  again, as duplicates", self.duplicates),
            ("runs cancelled", self.cancelled as u64),
            ("uploads acknowledged", self.uploads as u64),
            ("messages", self.messages as u64),
            (
                "  written again under the same identity",
                self.repeated as u64,
            ),
            ("seconds", self.took.as_secs()),
        ];
        for (what, count) in rows {
            writeln!(f, "{what:<38} {count:>10}")?;
        }
        writeln!(f, "{:<38} {:>10}", "kills", self.killed())?;
        for (how, count) in &self.kills {
            writeln!(f, "  {how:<36} {count:>10}")?;
        }
        writeln!(f, "{:<38} {:>10}", "violations", self.violations.len())?;
        for violation in self.violations.iter().take(MAX_PRINTED) {
            writeln!(f, "  {violation}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "kept in {}", kept.display())?;
        }
        Ok(())
    }
}
