//! Shares of the work: which runs, which channels and whether the alerts are this process's.
//!
//! The table `share` decides, and the thread that beats copies it to here. A process that has not
//! joined is not restricted.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use promoflow_model::message::ChannelKind;
use promoflow_store::{CommitReply, CommitUnit, DeliveryId, Tenure};

use crate::errors::{Result, read_name};

/// The number of shares that the runs are divided into, by their ids.
pub(crate) const RUN_SHARES: i32 = 64;
/// How long after the last beat the shares are this process's. Others take them later than that.
const BEAT_VALIDITY: Duration = Duration::from_secs(4);
/// How long a share is kept after its work was last asked for.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// A kind of work that a process asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// Due runs.
    Runs,
    /// The deliveries of a channel.
    Channel(ChannelKind),
    /// The notifications of alerts.
    Alerts,
}

/// A row of the table `share`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Share {
    /// The runs whose id has this remainder.
    Run(i32),
    /// The deliveries of a channel.
    Channel(ChannelKind),
    /// Alerts and their notifications.
    Alerts,
}

impl Share {
    /// Returns the kind and the name of the row.
    pub(crate) fn key(self) -> (&'static str, String) {
        match self {
            Share::Run(remainder) => ("run", remainder.to_string()),
            Share::Channel(kind) => ("channel", kind.name().to_owned()),
            Share::Alerts => ("alerts", "alerts".to_owned()),
        }
    }

    /// Reads the kind and the name of a row.
    pub(crate) fn read(kind: &str, name: &str) -> Result<Share> {
        let what = || format!("the share `{name}` of {kind}");
        match kind {
            "run" => read_name(what, name).map(Share::Run),
            "channel" => read_name(what, name).map(Share::Channel),
            _ => Ok(Share::Alerts),
        }
    }

    fn work(self) -> Work {
        match self {
            Share::Run(_) => Work::Runs,
            Share::Channel(kind) => Work::Channel(kind),
            Share::Alerts => Work::Alerts,
        }
    }
}

/// The rows of the table `share`, as one host sees them.
#[derive(Debug, Default)]
pub(crate) struct SharePage {
    /// The host's own.
    pub(crate) own: HashSet<Share>,
    /// Those that are asked for and that no host has, whether or not they have a row.
    pub(crate) free: HashSet<Share>,
}

/// What a host should change in the table `share`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) take: Vec<Share>,
    pub(crate) give_up: Vec<Share>,
}

/// The shares of this process.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of memberships.
    members: usize,
    /// When the last successful beat was sent; `None` before the first one of the present host.
    beaten: Option<Instant>,
    /// When each kind of work was last asked for.
    asked: HashMap<Work, Instant>,
    owned: HashSet<Share>,
    /// The number of hosts that execute runs, as of the last beat.
    executors: usize,
    /// Attempts that this process has started and not ended.
    open: HashSet<(DeliveryId, u32)>,
}

impl State {
    fn owns(&self, share: Share) -> bool {
        self.is_current() && self.owned.contains(&share)
    }

    fn is_current(&self) -> bool {
        self.beaten
            .is_some_and(|beaten| beaten.elapsed() < BEAT_VALIDITY)
    }

    fn is_wanted(&self, work: Work) -> bool {
        self.members > 0
            && self
                .asked
                .get(&work)
                .is_some_and(|asked| asked.elapsed() < IDLE_TIME)
    }

    /// Returns true if a share must be kept for an attempt in progress. Which channel that uses is
    /// not worth knowing: a process asks for all of its channels, or for none.
    fn has_open_attempts(&self, share: Share) -> bool {
        match share {
            Share::Channel(_) => !self.open.is_empty(),
            Share::Run(_) | Share::Alerts => false,
        }
    }
}

impl Tenure for Shares {
    fn may_attempt(&self, channel: ChannelKind, delivery: DeliveryId, attempt: u32) -> bool {
        self.is_own(channel, delivery, attempt)
    }
}

impl Shares {
    /// Returns the remainders modulo [`RUN_SHARES`] of the ids of the runs that this process may
    /// continue; `None` if it may continue any run.
    pub(crate) fn runs(&self) -> Option<Vec<i32>> {
        let state = self.state.lock();
        if state.members == 0 {
            return None;
        }
        let all = 0..RUN_SHARES;
        let owned: Vec<i32> = all.filter(|one| state.owns(Share::Run(*one))).collect();
        match owned.len() == RUN_SHARES.unsigned_abs() as usize {
            true => None,
            false => Some(owned),
        }
    }

    /// Returns true if this process may start attempts over a channel. It may for a while: a share
    /// is kept for some time after this question.
    pub(crate) fn owns_channel(&self, kind: ChannelKind) -> bool {
        let mut state = self.state.lock();
        if state.members == 0 {
            return true;
        }
        let owns = state.owns(Share::Channel(kind));
        if owns {
            state.asked.insert(Work::Channel(kind), Instant::now());
        }
        owns
    }

    /// Returns true if an attempt that this process started is still its own.
    fn is_own(&self, kind: ChannelKind, delivery: DeliveryId, attempt: u32) -> bool {
        let state = self.state.lock();
        state.members == 0
            || state.owns(Share::Channel(kind)) && state.open.contains(&(delivery, attempt))
    }

    /// Returns true if this process may send notifications of alerts.
    pub(crate) fn owns_alerts(&self) -> bool {
        let state = self.state.lock();
        state.members == 0 || state.owns(Share::Alerts)
    }

    /// Records the attempts that this process has started and ended. To be called once the commit has
    /// ended, and before its caller learns of it.
    pub(crate) fn committed(&self, units: &[CommitUnit], replies: &[CommitReply]) {
        let mut state = self.state.lock();
        for (unit, reply) in units.iter().zip(replies) {
            let (CommitUnit::Attempts(batch), CommitReply::Started(started)) = (unit, reply) else {
                continue;
            };
            for end in &batch.ends {
                state.open.remove(&(end.delivery, end.attempt));
            }
            if state.members > 0 {
                state.open.extend(started);
            }
        }
    }

    /// Returns the number of hosts that execute runs; at least 1.
    pub(crate) fn executors(&self) -> usize {
        self.state.lock().executors.max(1)
    }

    /// Counts a membership.
    pub(super) fn join(&self) {
        self.state.lock().members += 1;
    }

    /// Ends a membership. Returns true if it was the last one.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        state.members = state.members.saturating_sub(1);
        let is_last = state.members == 0;
        if is_last {
            state.asked.clear();
            state.owned.clear();
            state.open.clear();
        }
        is_last
    }

    /// Forgets everything but the memberships: other hosts have taken the shares over.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        *state = State {
            members: state.members,
            ..State::default()
        };
    }

    /// Returns true if this process does nothing but what its shares allow.
    pub(super) fn are_binding(&self) -> bool {
        self.state.lock().members > 0
    }

    /// Records that work of these kinds is asked for. Returns true if one of them was not asked for
    /// lately, so that its shares, if they are free, are not taken yet.
    pub(super) fn ask(&self, work: &[Work]) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let is_new = |work: &Work| !state.is_wanted(*work);
        let is_new = work.iter().any(is_new);
        state.asked.extend(work.iter().map(|work| (*work, now)));
        is_new
    }

    /// Returns true if this process asks for runs.
    pub(super) fn wants_runs(&self) -> bool {
        self.state.lock().is_wanted(Work::Runs)
    }

    /// Records a successful beat that was sent at that time, and what it found. Returns what to
    /// change; what is to be given up is not this process's any more.
    pub(super) fn beaten(&self, sent: Instant, page: SharePage, executors: usize) -> Plan {
        let mut state = self.state.lock();
        state.beaten = Some(sent);
        state.executors = executors;
        let quota = RUN_SHARES.unsigned_abs() as usize;
        let quota = quota.div_ceil(executors.max(1));
        let mut plan = Plan::default();
        let mut kept: HashSet<Share> = HashSet::new();
        let mut runs: BTreeSet<i32> = BTreeSet::new();
        for share in page.own {
            match share {
                Share::Run(remainder) if state.is_wanted(Work::Runs) => {
                    runs.insert(remainder);
                }
                _ if state.is_wanted(share.work()) || state.has_open_attempts(share) => {
                    kept.insert(share);
                }
                _ => plan.give_up.push(share),
            }
        }
        while runs.len() > quota {
            plan.give_up.extend(runs.pop_last().map(Share::Run));
        }
        let mut missing = quota - runs.len();
        kept.extend(runs.into_iter().map(Share::Run));
        for share in page.free {
            if !state.is_wanted(share.work()) {
                continue;
            }
            if let Share::Run(_) = share {
                if missing == 0 {
                    continue;
                }
                missing -= 1;
            }
            plan.take.push(share);
        }
        state.owned = kept;
        plan
    }

    /// Records that shares were taken.
    pub(super) fn taken(&self, shares: Vec<Share>) {
        let mut state = self.state.lock();
        // A share that was given up meanwhile is found at the next beat.
        if state.members > 0 {
            state.owned.extend(shares);
        }
    }

    /// Returns the shares of each kind of work that is asked for, whether or not they have a row.
    pub(super) fn wanted(&self) -> Vec<Share> {
        let state = self.state.lock();
        let mut wanted = Vec::new();
        for work in state.asked.keys().filter(|work| state.is_wanted(**work)) {
            match work {
                Work::Runs => wanted.extend((0..RUN_SHARES).map(Share::Run)),
                Work::Channel(kind) => wanted.push(Share::Channel(*kind)),
                Work::Alerts => wanted.push(Share::Alerts),
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_runs() -> HashSet<Share> {
        (0..RUN_SHARES).map(Share::Run).collect()
    }

    #[test]
    fn surplus_is_given_up_and_no_more_is_taken() {
        let shares = Shares::default();
        shares.join();
        assert!(shares.ask(&[Work::Runs]));
        assert!(!shares.ask(&[Work::Runs]));
        let page = SharePage {
            own: all_runs(),
            free: HashSet::new(),
        };
        let plan = shares.beaten(Instant::now(), page, 3);
        assert_eq!((plan.take.len(), plan.give_up.len()), (0, 42));
        assert_eq!(shares.runs().unwrap().len(), 22);
        let page = SharePage {
            own: (0..20).map(Share::Run).collect(),
            free: (20..RUN_SHARES).map(Share::Run).collect(),
        };
        let plan = shares.beaten(Instant::now(), page, 3);
        assert_eq!((plan.take.len(), plan.give_up.len()), (2, 0));
        shares.taken(plan.take);
        assert_eq!(shares.runs().unwrap().len(), 22);
    }

    #[test]
    fn nothing_is_owned_without_a_recent_beat() {
        let shares = Shares::default();
        let email = ChannelKind::Email;
        assert!(shares.owns_channel(email) && shares.runs().is_none());
        shares.join();
        shares.ask(&[Work::Channel(email), Work::Runs]);
        assert!(!shares.owns_channel(email));
        let page = || SharePage {
            own: all_runs()
                .into_iter()
                .chain([Share::Channel(email)])
                .collect(),
            free: HashSet::new(),
        };
        shares.beaten(Instant::now(), page(), 1);
        assert!(shares.owns_channel(email) && shares.runs().is_none());
        if let Some(long_ago) = Instant::now().checked_sub(BEAT_VALIDITY) {
            shares.beaten(long_ago, page(), 1);
            assert!(!shares.owns_channel(email));
            assert_eq!(shares.runs(), Some(Vec::new()));
        }
    }

    #[test]
    fn channel_is_kept_until_its_attempts_have_ended() {
        use promoflow_store::{AttemptBatch, AttemptEnd, AttemptOutcome};

        let shares = Shares::default();
        let (email, delivery) = (ChannelKind::Email, DeliveryId(1));
        shares.join();
        let page = || SharePage {
            own: HashSet::from([Share::Channel(email)]),
            free: HashSet::new(),
        };
        let unit = |ends| {
            CommitUnit::Attempts(Box::new(AttemptBatch {
                ends,
                ..AttemptBatch::default()
            }))
        };
        let started = CommitReply::Started(vec![(delivery, 1)]);
        shares.committed(&[unit(Vec::new())], &[started]);
        // Nobody asks for it any more.
        let plan = shares.beaten(Instant::now(), page(), 1);
        assert_eq!(plan, Plan::default());
        assert!(shares.may_attempt(email, delivery, 1));
        assert!(!shares.may_attempt(email, delivery, 2));
        let end = AttemptEnd {
            delivery,
            attempt: 1,
            outcome: AttemptOutcome::Delivered,
        };
        shares.committed(&[unit(vec![end])], &[CommitReply::Started(Vec::new())]);
        let plan = shares.beaten(Instant::now(), page(), 1);
        assert_eq!(plan.give_up, [Share::Channel(email)]);
        assert!(!shares.may_attempt(email, delivery, 1));
    }
}
