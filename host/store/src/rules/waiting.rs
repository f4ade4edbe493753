//! Which waiting run gets a code, and when a wait is over.
//!
//! Runs that wait for a code of a code group take turns in the order in which they started waiting.
//! Each takes the first code, in the order of claiming, that is valid for long enough.

use promoflow_model::clock::Timestamp;

use crate::{ClaimId, WaitOutcome, WakeReason};

/// A run that waits for a code, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingRun {
    /// The earliest expiry that the run accepts now.
    pub needed: Timestamp,
    /// True if its contact keeps the code.
    pub keeps_code: bool,
    /// The claim whose code its contact kept when the run asked.
    pub found: Option<ClaimId>,
}

impl WaitingRun {
    /// Returns true if the run uses the code that its contact keeps now, instead of a new one: the
    /// contact got it in another run since this one asked. `kept`: the claim of that code.
    pub fn shares(&self, kept: Option<ClaimId>) -> bool {
        self.keeps_code && kept.is_some() && kept != self.found
    }
}

/// The turns of the runs that wait for a code of a code group.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    now: Timestamp,
    /// The earliest accepted expiry for which no code was left.
    none_from: Option<Timestamp>,
}

impl Turns {
    /// Begins with the first waiting run, at `now`.
    pub fn new(now: Timestamp) -> Turns {
        Turns {
            now,
            none_from: None,
        }
    }

    /// Returns true if there may be a code for a run that accepts this expiry, or a later one.
    pub fn may_get(&self, needed: Timestamp) -> bool {
        self.none_from.is_none_or(|from| needed < from)
    }

    /// Records that no code is left for a run that accepts this expiry, or a later one.
    pub fn none_for(&mut self, needed: Timestamp) {
        self.none_from = Some(self.none_from.map_or(needed, |from| from.min(needed)));
    }

    /// Returns true if no later run gets a code: all that are left have expired.
    pub fn are_over(&self) -> bool {
        self.none_from
            .is_some_and(|from| from.0 <= self.now.0.saturating_add(1))
    }
}

/// Returns true if the wait of a run ended as its segment found it: it has got nothing meanwhile,
/// and the code that it took has not expired. `is_served`: whether the wait has got a code or a
/// reply; `None` if the run does not wait any more.
pub fn ended_as_found(found: &WaitOutcome, is_served: Option<bool>, now: Timestamp) -> bool {
    if let WakeReason::Code(Some(taken)) = &found.reason
        && taken.code.position.expires <= now
    {
        return false;
    }
    is_served == Some(found.reason != WakeReason::TimedOut)
}

/// Returns true if the code that a waiting run got expired before its step took it: `expires` is
/// its expiry. The run then keeps its place for a further wait, no message of it carries the code,
/// and the code remains claimed.
pub fn expired_before_taken(resumed: &WaitOutcome, expires: Timestamp, now: Timestamp) -> bool {
    resumed.reason == WakeReason::Code(None) && expires <= now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AvailableCode, GrantedCode, Position};
    use promoflow_model::pool::CodeGroup;

    const NOW: Timestamp = Timestamp(0);

    /// Gives codes, by their expiry, to runs that accept these expiries, each in its turn. Returns
    /// what each gets, and the number of look-ups.
    fn serve(runs: &[i64], codes: &[i64]) -> (Vec<Option<i64>>, usize) {
        let mut left = codes.to_vec();
        left.sort_unstable();
        let mut turns = Turns::new(NOW);
        let mut look_ups = 0;
        let mut given = vec![None; runs.len()];
        for (run, needed) in given.iter_mut().zip(runs) {
            if turns.are_over() {
                break;
            }
            if !turns.may_get(Timestamp(*needed)) {
                continue;
            }
            look_ups += 1;
            match left.iter().position(|expires| expires >= needed) {
                Some(index) => *run = Some(left.remove(index)),
                None => turns.none_for(Timestamp(*needed)),
            }
        }
        (given, look_ups)
    }

    /// As [`serve`], looking up a code for every run.
    fn serve_plainly(runs: &[i64], codes: &[i64]) -> Vec<Option<i64>> {
        let mut left = codes.to_vec();
        left.sort_unstable();
        let take = |needed: &i64| {
            let index = left.iter().position(|expires| expires >= needed)?;
            Some(left.remove(index))
        };
        runs.iter().map(take).collect()
    }

    #[test]
    fn runs_get_the_first_sufficient_code_in_the_order_of_waiting() {
        const NEVER: i64 = i64::MAX;
        assert_eq!(
            serve(&[5, 1, 1, NEVER, 1], &[NEVER, 2, 3]).0,
            [Some(NEVER), Some(2), Some(3), None, None]
        );
        assert_eq!(serve(&[NEVER, 1], &[2, NEVER]).0, [Some(NEVER), Some(2)]);
        // All lists of up to four runs and up to three codes.
        let lists = |values: &[i64], most| {
            let mut lists: Vec<Vec<i64>> = vec![Vec::new()];
            for length in 0..most {
                let longer = lists.iter().filter(|list| list.len() == length);
                let longer: Vec<_> = longer
                    .flat_map(|list| values.iter().map(|value| [&list[..], &[*value]].concat()))
                    .collect();
                lists.extend(longer);
            }
            lists
        };
        for runs in lists(&[1, 2, 3, NEVER], 4) {
            for codes in lists(&[1, 2, 3, NEVER], 3) {
                let (given, _) = serve(&runs, &codes);
                assert_eq!(given, serve_plainly(&runs, &codes), "{runs:?} {codes:?}");
            }
        }
    }

    #[test]
    fn codes_that_are_gone_are_looked_up_once() {
        // The second run needs no more than the first, the third at least as much.
        assert_eq!(serve(&[3, 2, 3, 4], &[]).1, 2);
        assert_eq!(serve(&[1, 1, 1], &[]).1, 1, "nothing is left for anyone");
    }

    #[test]
    fn a_run_shares_the_code_that_its_contact_got_since_it_asked() {
        let waits = |keeps_code, found: Option<i64>| WaitingRun {
            needed: NOW,
            keeps_code,
            found: found.map(ClaimId),
        };
        for (keeps_code, found, kept, shares) in [
            (true, None, None, false),
            (true, None, Some(1), true),
            (true, Some(1), Some(1), false),
            (true, Some(1), Some(2), true),
            (true, Some(1), None, false),
            (false, None, Some(1), false),
        ] {
            let run = waits(keeps_code, found);
            assert_eq!(run.shares(kept.map(ClaimId)), shares, "{run:?} {kept:?}");
        }
    }

    fn resumed(reason: WakeReason) -> WaitOutcome {
        WaitOutcome { ordinal: 0, reason }
    }

    fn granted(expires: i64) -> WakeReason {
        WakeReason::Code(Some(GrantedCode {
            code_group: CodeGroup {
                code_type: "General".into(),
                discount: 0,
            },
            code: AvailableCode {
                position: Position {
                    expires: Timestamp(expires),
                    id: 1,
                },
                code: "A".into(),
            },
        }))
    }

    #[test]
    fn a_wait_ends_only_as_its_segment_found_it() {
        let reply = || WakeReason::Reply(true.into());
        for (reason, is_served, unchanged) in [
            (WakeReason::TimedOut, Some(false), true),
            (WakeReason::TimedOut, Some(true), false),
            (WakeReason::TimedOut, None, false),
            (reply(), Some(true), true),
            (reply(), Some(false), false),
            (reply(), None, false),
            (granted(1), Some(true), true),
            (granted(0), Some(true), false),
            (WakeReason::Code(None), Some(true), true),
        ] {
            let found = resumed(reason);
            assert_eq!(
                ended_as_found(&found, is_served, NOW),
                unchanged,
                "{found:?}"
            );
        }
    }

    #[test]
    fn p8_a_code_that_expired_before_its_step_took_it_is_lost() {
        let not_taken = resumed(WakeReason::Code(None));
        assert!(expired_before_taken(&not_taken, NOW, NOW));
        assert!(!expired_before_taken(&not_taken, Timestamp(1), NOW));
        assert!(!expired_before_taken(&resumed(granted(1)), NOW, NOW));
        assert!(!expired_before_taken(
            &resumed(WakeReason::TimedOut),
            NOW,
            NOW
        ));
    }
}
