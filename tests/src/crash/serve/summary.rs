//! What a run against the service found.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::ServePlan;
use crate::crash::ledger::Acknowledged;

/// Offences that are told.
const MOST_TOLD: usize = 50;

/// How often the service was killed, and what became of what it had acknowledged.
#[derive(Debug, Default)]
pub struct ServeSummary {
    /// What the choices came from.
    pub seed: u64,
    /// Clients that sent events.
    pub connections: usize,
    /// How often the service was killed.
    pub kills: u64,
    /// The longest time until it listened again.
    pub slowest_start: Duration,
    /// Connections that nobody took, because the service was down.
    pub unconnected: u64,
    /// Requests that got no answer, and were sent again.
    pub unanswered: u64,
    /// Events that were acknowledged.
    pub events: usize,
    /// Acknowledgements of events as known already: sent again after a kill, or twice at once.
    pub duplicates: u64,
    /// Events that were sent twice at once, and of which one half was acknowledged as new and the
    /// other as known already.
    pub raced: u64,
    /// Uploads that were acknowledged.
    pub uploads: usize,
    /// Letters, by identity.
    pub letters: usize,
    /// Letters that were written again under their identity.
    pub repeated: usize,
    /// How long events were sent.
    pub took: Duration,
    /// Everything that breaks a promise.
    pub offences: Vec<String>,
    /// Where the database and the ledger were kept to be looked at.
    pub kept: Option<PathBuf>,
}

impl ServeSummary {
    pub(super) fn new(plan: &ServePlan) -> ServeSummary {
        ServeSummary {
            seed: plan.seed,
            connections: plan.connections,
            ..ServeSummary::default()
        }
    }

    /// Takes over what the ledger has.
    pub(super) fn acknowledged(&mut self, acknowledged: &Acknowledged) {
        self.events = acknowledged.events.len();
        self.duplicates = acknowledged.duplicates;
        self.uploads = acknowledged.uploads.len();
        if acknowledged.errors > 0 {
            let errors = acknowledged.errors;
            self.offences.push(format!("{errors} answers were errors"));
        }
    }

    /// Whether every promise held.
    pub fn holds(&self) -> bool {
        self.offences.is_empty()
    }
}

impl fmt::Display for ServeSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.slowest_start.as_millis()).unwrap_or(u64::MAX);
        let rows = [
            ("seed", self.seed),
            ("connections", self.connections as u64),
            ("seconds", self.took.as_secs()),
            ("kills", self.kills),
            ("milliseconds of the slowest start", millis),
            ("connections that nobody took", self.unconnected),
            ("requests without an answer", self.unanswered),
            ("events acknowledged", self.events as u64),
            ("  again, as duplicates", self.duplicates),
            ("  of which twice at once", self.raced),
            ("uploads acknowledged", self.uploads as u64),
            ("letters", self.letters as u64),
            ("  written again under their identity", self.repeated as u64),
            ("offences", self.offences.len() as u64),
        ];
        for (what, count) in rows {
            writeln!(f, "{what:<38} {count:>10}")?;
        }
        for offence in self.offences.iter().take(MOST_TOLD) {
            writeln!(f, "  {offence}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "kept in {}", kept.display())?;
        }
        Ok(())
    }
}
