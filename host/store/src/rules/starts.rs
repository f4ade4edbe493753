//! Start rules: how often a workflow starts for one event key.

use promoflow_model::clock::Timestamp;
use promoflow_model::workflow::Repeat;

use crate::StartRule;

/// The earlier starts of a workflow for one event key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PastStarts {
    /// The number of runs.
    pub runs: u64,
    /// When the last one started.
    pub last: Option<Timestamp>,
    /// True if one of them is active and the event does not stop it.
    pub is_any_active: bool,
}

/// Returns why an event may not start a run now, as text for the author; `None` if it may.
pub fn blocked_by(rule: &StartRule, past: PastStarts, now: Timestamp) -> Option<&'static str> {
    if rule.skip_if_running && past.is_any_active {
        return Some("another run is active for this key");
    }
    match rule.repeat {
        Repeat::EveryTime => None,
        Repeat::Once => (past.runs > 0).then_some("it starts only once for each key"),
        Repeat::Every { seconds } => {
            let period = i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000);
            past.last
                .is_some_and(|last| last.0.saturating_add(period) > now.0)
                .then_some("the period since its last start for this key is not over")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(repeat: Repeat, skip_if_running: bool) -> StartRule {
        StartRule {
            workflow: "w".into(),
            repeat,
            skip_if_running,
            stop_event: None,
        }
    }

    const PAST: PastStarts = PastStarts {
        runs: 1,
        last: Some(Timestamp(1_000)),
        is_any_active: true,
    };

    fn blocks(rule: &StartRule, past: PastStarts, now: i64) -> bool {
        blocked_by(rule, past, Timestamp(now)).is_some()
    }

    #[test]
    fn p5_repeats_as_often_as_stated() {
        let every = rule(Repeat::Every { seconds: 2 }, false);
        assert!(blocks(&every, PAST, 2_999));
        assert!(!blocks(&every, PAST, 3_000));
        assert!(blocks(&rule(Repeat::Once, false), PAST, i64::MAX));
        assert!(!blocks(&rule(Repeat::EveryTime, false), PAST, 0));
        for repeat in [
            Repeat::EveryTime,
            Repeat::Once,
            Repeat::Every { seconds: 2 },
        ] {
            assert!(!blocks(&rule(repeat, true), PastStarts::default(), 0));
        }
        let endless = rule(Repeat::Every { seconds: u64::MAX }, false);
        assert!(blocks(&endless, PAST, i64::MAX - 1));
    }

    #[test]
    fn p5_skips_while_a_run_is_active() {
        let skips = rule(Repeat::EveryTime, true);
        assert!(blocks(&skips, PAST, 0));
        let ended = PastStarts {
            is_any_active: false,
            ..PAST
        };
        assert!(!blocks(&skips, ended, 0));
    }
}
