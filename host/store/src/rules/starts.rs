//! Start and stop rules: how often a workflow starts for one event key, and which events stop its
//! runs.

use promoflow_model::clock::Timestamp;
use promoflow_model::workflow::Repeat;

use super::runs::is_active;
use crate::{RunState, StartRule};

/// A run that was started under a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedRun<'r> {
    /// When it started.
    pub started: Timestamp,
    /// Its state.
    pub state: RunState,
    /// The type of the event that stops it, as the rule said when it started.
    pub stop_event: Option<&'r str>,
}

impl StartedRun<'_> {
    /// Returns true if an event of this type, about the run's event key, stops the run.
    pub fn is_stopped_by(&self, event_type: &str) -> bool {
        is_active(self.state) && self.stop_event == Some(event_type)
    }
}

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

impl PastStarts {
    /// Adds a run of the workflow for the event key; `event_type`: the type of the event that is to
    /// start another one. A run that the event stops does not count as active.
    pub fn add(&mut self, run: &StartedRun<'_>, event_type: &str) {
        self.runs += 1;
        self.last = self.last.max(Some(run.started));
        self.is_any_active |= is_active(run.state) && !run.is_stopped_by(event_type);
    }
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

    #[test]
    fn p5_past_starts_count_every_run_and_the_active_ones_that_the_event_does_not_stop() {
        use RunState::{Cancelled, Completed, Failed, Running, Waiting};
        let mut all = PastStarts::default();
        for (state, stop_event, is_active) in [
            (Running, None, true),
            (Waiting, Some("bought"), true),
            (Waiting, Some("birthday"), false),
            (Running, Some("birthday"), false),
            (Completed, None, false),
            (Failed, None, false),
            (Cancelled, Some("bought"), false),
        ] {
            let run = StartedRun {
                started: Timestamp(1_000),
                state,
                stop_event,
            };
            let mut past = PastStarts::default();
            past.add(&run, "birthday");
            let expected = PastStarts {
                is_any_active: is_active,
                ..PAST
            };
            assert_eq!(past, expected, "{run:?}");
            all.add(&run, "birthday");
        }
        let earlier = StartedRun {
            started: Timestamp(500),
            state: Completed,
            stop_event: None,
        };
        all.add(&earlier, "birthday");
        assert_eq!((all.runs, all.last), (8, Some(Timestamp(1_000))));
        assert!(all.is_any_active);
    }

    #[test]
    fn an_event_stops_active_runs_that_started_with_it_as_their_stop_event() {
        for state in [
            RunState::Running,
            RunState::Waiting,
            RunState::Completed,
            RunState::Failed,
            RunState::Cancelled,
        ] {
            let run = |stop_event| StartedRun {
                started: Timestamp(0),
                state,
                stop_event,
            };
            assert_eq!(
                run(Some("bought")).is_stopped_by("bought"),
                is_active(state)
            );
            assert!(!run(Some("bought")).is_stopped_by("other"));
            assert!(!run(None).is_stopped_by("bought"));
        }
    }
}
