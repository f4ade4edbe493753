//! What a run with faults found.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::Plan;
use super::compare::Stored;
use super::server::Noted;

/// Offences that are told.
const MOST_TOLD: usize = 20;

/// What was delivered, through which faults.
#[derive(Debug, Default)]
pub struct Summary {
    /// What the faults came from.
    pub seed: u64,
    /// Deliveries that were asked for.
    pub deliveries: u64,
    /// Those that are stored as delivered.
    pub delivered: u64,
    /// Attempts in all.
    pub attempts: u64,
    /// Mails that were refused for now (4xx).
    pub later: u64,
    /// Mails that were refused for good (5xx).
    pub refused: u64,
    /// Mails that were cut off in the middle of their data.
    pub cut: u64,
    /// Mails that were taken, and the connection cut off before that was said.
    pub ambiguous: u64,
    /// Deliveries that arrived more than once: each for an answer that was lost.
    pub twice: u64,
    /// Dead letters after the first pass: refused for good, as the servers say as well.
    pub dead: u64,
    /// Dead letters that were revived, some more than once.
    pub revived: u64,
    /// How often the process was told to end while it delivered.
    pub restarts: u64,
    /// How long the first pass took.
    pub took: Duration,
    /// Everything that breaks a promise.
    pub offences: Vec<String>,
    /// Where the database and the ledgers were kept to be looked at.
    pub kept: Option<PathBuf>,
}

impl Summary {
    pub(super) fn new(plan: &Plan) -> Summary {
        Summary {
            seed: plan.seed,
            deliveries: plan.deliveries,
            ..Summary::default()
        }
    }

    /// After everything was tried, before dead letters are revived.
    pub(super) fn first(&mut self, noted: &HashMap<String, Noted>, stored: &Stored) {
        let dead = stored
            .deliveries
            .values()
            .filter(|one| one.state == "failed");
        self.dead = dead.count() as u64;
        self.offences.extend(stored.offences(noted, false));
    }

    /// At the end.
    pub(super) fn last(&mut self, noted: &HashMap<String, Noted>, stored: &Stored) {
        let sum = |part: fn(&Noted) -> u64| noted.values().map(part).sum();
        self.later = sum(|one| one.later);
        self.refused = sum(|one| one.refused);
        self.cut = sum(|one| one.cut);
        self.ambiguous = sum(|one| one.ambiguous);
        self.twice = sum(|one| u64::from(one.taken + one.ambiguous > 1));
        self.attempts = stored.deliveries.values().map(|one| one.attempts).sum();
        let delivered = stored
            .deliveries
            .values()
            .filter(|one| one.state == "delivered");
        self.delivered = delivered.count() as u64;
        self.offences.extend(stored.offences(noted, true));
        if self.delivered != self.deliveries {
            let (delivered, asked) = (self.delivered, self.deliveries);
            self.offences
                .push(format!("{delivered} of {asked} are delivered"));
        }
    }

    /// Whether none was lost, and none sent twice but for a lost answer.
    pub fn holds(&self) -> bool {
        self.offences.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let rate = self.deliveries as f64 / seconds.max(0.001);
        let rows = [
            ("seed", self.seed),
            ("deliveries", self.deliveries),
            ("  delivered", self.delivered),
            ("attempts", self.attempts),
            ("  refused for now (4xx)", self.later),
            ("  refused for good (5xx)", self.refused),
            ("  cut off in the middle of the data", self.cut),
            ("  cut off after the final dot", self.ambiguous),
            ("arrived twice, each after such a cut", self.twice),
            ("dead letters of the first pass", self.dead),
            ("dead letters revived", self.revived),
            ("told to end and started again", self.restarts),
            ("seconds of the first pass", seconds as u64),
            ("deliveries a second", rate as u64),
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
