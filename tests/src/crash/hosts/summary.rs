//! The summary of a run on several hosts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Number of violations printed.
const MAX_PRINTED: usize = 50;

/// Faults, and the comparison of acknowledgements and messages with the stored state.
#[derive(Debug, Default)]
pub struct HostsSummary {
    /// Seed of the random choices.
    pub seed: u64,
    /// Number of hosts.
    pub hosts: usize,
    /// Number of faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Number of hosts whose work was taken over, or that gave it up.
    pub take_overs: u64,
    /// Longest time from a host's last sign of life until its work was free for others.
    pub slowest_take_over: Duration,
    /// Longest time from the kill of all hosts but one until a run that was due was continued and its
    /// message handed over.
    pub slowest_continuation: Duration,
    /// Number of answers to commits that were lost.
    pub lost_commits: u64,
    /// Number of acknowledged events.
    pub events: u64,
    /// Number of acknowledgements as duplicates.
    pub duplicates: u64,
    /// Number of events sent to two hosts at once and acknowledged by both.
    pub raced: u64,
    /// Number of requests answered with 5xx, which were sent again.
    pub refused: u64,
    /// Number of requests without an answer, which were sent again.
    pub unanswered: u64,
    /// Number of messages.
    pub messages: u64,
    /// Number of messages handed over again under the same identity.
    pub repeated: u64,
    /// Time during which events were sent.
    pub took: Duration,
    /// Everything that breaks a promise.
    pub violations: Vec<String>,
    /// Folder with the diagnostics of the hosts, kept for inspection after a violation.
    pub kept: Option<PathBuf>,
}

impl HostsSummary {
    /// Returns true if every promise held.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for HostsSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let rows = [
            ("seed", self.seed),
            ("hosts", self.hosts as u64),
            ("seconds", self.took.as_secs()),
            ("events acknowledged", self.events),
            ("  again, as duplicates", self.duplicates),
            ("  of which sent to two hosts at once", self.raced),
            ("requests answered with 5xx", self.refused),
            ("requests without an answer", self.unanswered),
            ("answers to commits lost", self.lost_commits),
            ("messages", self.messages),
            ("  again under the same identity", self.repeated),
            ("hosts whose work was taken over", self.take_overs),
            ("  slowest, milliseconds", millis(self.slowest_take_over)),
            (
                "continued after a kill, milliseconds",
                millis(self.slowest_continuation),
            ),
        ];
        for (what, count) in rows {
            writeln!(f, "{what:<38} {count:>10}")?;
        }
        for (what, count) in &self.faults {
            writeln!(f, "{what:<38} {count:>10}")?;
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
