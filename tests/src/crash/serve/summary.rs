//! The summary of a run against the service.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::ServePlan;
use crate::crash::ledger::Acknowledged;

/// Number of violations printed.
const MAX_PRINTED: usize = 50;

/// Kills, and the comparison of acknowledgements with the stored state.
#[derive(Debug, Default)]
pub struct ServeSummary {
    /// Seed of the random choices.
    pub seed: u64,
    /// Number of clients that sent events.
    pub connections: usize,
    /// Number of kills of the service.
    pub kills: u64,
    /// Longest time until the service listened again.
    pub slowest_start: Duration,
    /// Number of refused connections, while the service was down.
    pub unconnected: u64,
    /// Number of requests without an answer, which were sent again.
    pub unanswered: u64,
    /// Number of acknowledged events.
    pub events: usize,
    /// Number of acknowledgements as duplicates: sent again after a kill, or on two connections at
    /// once.
    pub duplicates: u64,
    /// Number of events sent on two connections at once of which one was acknowledged as new and
    /// the other as a duplicate.
    pub raced: u64,
    /// Number of acknowledged uploads.
    pub uploads: usize,
    /// Number of messages, by identity.
    pub messages: usize,
    /// Number of messages written again under the same identity.
    pub repeated: usize,
    /// Time during which events were sent.
    pub took: Duration,
    /// Everything that breaks a promise.
    pub violations: Vec<String>,
    /// Folder with the database and the ledger, kept for inspection after a violation.
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

    /// Copies the counts of the ledger.
    pub(super) fn acknowledged(&mut self, acknowledged: &Acknowledged) {
        self.events = acknowledged.events.len();
        self.duplicates = acknowledged.duplicates;
        self.uploads = acknowledged.uploads.len();
        if acknowledged.errors > 0 {
            let errors = acknowledged.errors;
            self.violations
                .push(format!("{errors} errors were returned"));
        }
    }

    /// Returns true if every promise held.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
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
            ("connections refused", self.unconnected),
            ("requests without an answer", self.unanswered),
            ("events acknowledged", self.events as u64),
            ("  again, as duplicates", self.duplicates),
            ("  of which sent twice at once", self.raced),
            ("uploads acknowledged", self.uploads as u64),
            ("messages", self.messages as u64),
            (
                "  written again under the same identity",
                self.repeated as u64,
            ),
            ("violations", self.violations.len() as u64),
        ];
        for (what, count) in rows {
            writeln!(f, "{what:<38} {count:>10}")?;
        }
        for violation in self.violations.iter().take(MAX_PRINTED) {
            writeln!(f, "  {violation}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "kept in {}", kept.display())?;
        }
        Ok(())
    }
}
