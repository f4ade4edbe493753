//! What a run of the harness found.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Offences that are told.
const MOST_TOLD: usize = 50;

/// What was killed, and what became of what was acknowledged.
#[derive(Debug, Default)]
pub struct Summary {
    /// What the choices came from.
    pub seed: u64,
    /// Kills by where they struck.
    pub kills: BTreeMap<String, u64>,
    /// Rounds of the load.
    pub rounds: u64,
    /// Failpoints that no process came by in time; it was killed then all the same.
    pub missed: u64,
    /// Events that were acknowledged.
    pub events: usize,
    /// Acknowledgements of events as known already: sent again after a kill, or twice at once.
    pub duplicates: u64,
    /// Runs that were told to be cancelled.
    pub cancelled: usize,
    /// Uploads that were acknowledged.
    pub uploads: usize,
    /// Letters, by identity.
    pub letters: usize,
    /// Letters that were written again under their identity, after a kill that left open whether
    /// they had been.
    pub repeated: usize,
    /// How long it took.
    pub took: Duration,
    /// Everything that breaks a promise.
    pub offences: Vec<String>,
    /// Where the database and the ledger were kept to be looked at.
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

    /// How many processes were killed.
    pub fn killed(&self) -> u64 {
        self.kills.values().sum()
    }

    /// Whether every promise held.
    pub fn holds(&self) -> bool {
        self.offences.is_empty()
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
            ("letters", self.letters as u64),
            ("  written again under their identity", self.repeated as u64),
            ("seconds", self.took.as_secs()),
        ];
        for (what, count) in rows {
            writeln!(f, "{what:<38} {count:>10}")?;
        }
        writeln!(f, "{:<38} {:>10}", "kills", self.killed())?;
        for (how, count) in &self.kills {
            writeln!(f, "  {how:<36} {count:>10}")?;
        }
        writeln!(f, "{:<38} {:>10}", "offences", self.offences.len())?;
        for offence in self.offences.iter().take(MOST_TOLD) {
            writeln!(f, "  {offence}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "kept in {}", kept.display())?;
        }
        Ok(())
    }
}
