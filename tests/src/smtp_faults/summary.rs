//! The summary of a run with faults.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::Plan;
use super::compare::Stored;
use super::server::ServerLog;

/// Number of violations printed.
const MAX_PRINTED: usize = 20;

/// Deliveries and the faults they met.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seed of the faults.
    pub seed: u64,
    /// Number of requested deliveries.
    pub deliveries: u64,
    /// Number of deliveries stored as delivered.
    pub delivered: u64,
    /// Number of attempts.
    pub attempts: u64,
    /// Number of temporarily rejected emails (4xx).
    pub later: u64,
    /// Number of permanently rejected emails (5xx).
    pub refused: u64,
    /// Number of emails cut off in the middle of their data.
    pub cut: u64,
    /// Number of accepted emails whose connection was cut before the acknowledgement.
    pub ambiguous: u64,
    /// Number of deliveries that arrived more than once, each after a lost answer.
    pub twice: u64,
    /// Number of dead letters after the first pass: permanently rejected according to the servers.
    pub dead: u64,
    /// Number of retries of dead letters.
    pub retried: u64,
    /// Number of restarts while the process delivered.
    pub restarts: u64,
    /// Duration of the first pass.
    pub took: Duration,
    /// Everything that breaks a promise.
    pub violations: Vec<String>,
    /// Folder with the database and the logs, kept for inspection after a violation.
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

    /// Records the state after the first pass, before dead letters are retried.
    pub(super) fn after_first_pass(
        &mut self,
        logged: &HashMap<String, ServerLog>,
        stored: &Stored,
    ) {
        let dead = stored
            .deliveries
            .values()
            .filter(|one| one.state == "failed");
        self.dead = dead.count() as u64;
        self.violations.extend(stored.violations(logged, false));
    }

    /// Records the state at the end.
    pub(super) fn at_end(&mut self, logged: &HashMap<String, ServerLog>, stored: &Stored) {
        let sum = |part: fn(&ServerLog) -> u64| logged.values().map(part).sum();
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
        self.violations.extend(stored.violations(logged, true));
        if self.delivered != self.deliveries {
            let (delivered, asked) = (self.delivered, self.deliveries);
            self.violations
                .push(format!("only {delivered} of {asked} are delivered"));
        }
    }

    /// Returns true if no email was lost, and none was sent twice without a lost answer.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
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
            ("  temporarily rejected (4xx)", self.later),
            ("  permanently rejected (5xx)", self.refused),
            ("  cut off in the middle of the data", self.cut),
            ("  cut off after the final dot", self.ambiguous),
            ("arrived twice, after such a cut", self.twice),
            ("dead letters of the first pass", self.dead),
            ("dead letters retried", self.retried),
            ("restarts", self.restarts),
            ("seconds of the first pass", seconds as u64),
            ("deliveries a second", rate as u64),
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
