//! The faults, one after the other.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::databases::Databases;
use super::host::{Common, Host};
use super::monitor::Monitor;
use crate::crash::random::Random;

/// The longest time for which a host is paused, cut off or down: long enough for others to take it
/// for dead, and short enough that it often comes back while they do.
const MAX_DURATION: u64 = 12_000;
/// The most answers to commits that are lost at a time.
const MAX_LOST_COMMITS: u64 = 20;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A host is killed.
    Kill,
    /// All hosts but one are killed at once.
    KillOthers,
    /// A host is asked to end.
    Stop,
    /// A host is paused, and goes on as if nothing had happened.
    Pause,
    /// The connections of a host are closed, and it gets no new ones for a while.
    Cut,
    /// A host sends and gets nothing for a while.
    Stall,
    /// Answers to commits of a host are lost.
    LoseCommits,
    /// The database server is restarted.
    Restart,
    /// The database server is killed.
    Crash,
    /// The database server is lost for good, and its standby takes over.
    FailOver,
}

impl Fault {
    /// Returns the name for the summary.
    pub(super) fn name(self) -> &'static str {
        match self {
            Fault::Kill => "hosts killed",
            Fault::KillOthers => "all hosts but one killed",
            Fault::Stop => "hosts stopped",
            Fault::Pause => "hosts paused",
            Fault::Cut => "hosts cut off",
            Fault::Stall => "hosts without answers",
            Fault::LoseCommits => "answers to commits lost, times",
            Fault::Restart => "database restarted",
            Fault::Crash => "database killed",
            Fault::FailOver => "database failed over",
        }
    }

    /// Returns the faults of a run, in order: `kills` kills, as many others between them, and one
    /// fail-over in the middle.
    pub(super) fn plan(kills: u64) -> Vec<Fault> {
        const OTHERS: [Fault; 7] = [
            Fault::Pause,
            Fault::LoseCommits,
            Fault::Cut,
            Fault::Restart,
            Fault::Stall,
            Fault::Stop,
            Fault::Crash,
        ];
        let others = OTHERS.into_iter().cycle();
        let mut faults = Vec::new();
        for (kill, other) in (0..kills).zip(others) {
            if kill == kills / 2 {
                faults.push(Fault::FailOver);
            }
            faults.push(match kill % 4 {
                3 => Fault::KillOthers,
                _ => Fault::Kill,
            });
            faults.push(other);
        }
        faults
    }
}

/// What faults happen to.
pub(super) struct Victims<'v> {
    pub(super) common: &'v Common,
    pub(super) databases: &'v Databases,
    pub(super) monitor: &'v Monitor,
    pub(super) hosts: &'v mut [Host],
    pub(super) random: &'v mut Random,
}

impl Victims<'_> {
    /// Has something go wrong, and repairs it.
    pub(super) fn suffer(&mut self, fault: Fault) -> Result<()> {
        let one = usize::try_from(self.random.below(self.hosts.len() as u64))?;
        let duration = Duration::from_millis(self.random.below(MAX_DURATION));
        let (common, host) = (self.common, &mut self.hosts[one]);
        match fault {
            Fault::Kill => {
                host.kill()?;
                thread::sleep(duration);
                host.start_again(common)
            }
            Fault::KillOthers => {
                self.kill_all_but(one)?;
                thread::sleep(duration);
                self.start_all_but(one)
            }
            Fault::Stop => {
                host.stop()?;
                host.start_again(common)
            }
            Fault::Pause => {
                host.pause()?;
                thread::sleep(duration);
                host.resume()
            }
            Fault::Cut => {
                host.network.cut();
                thread::sleep(duration);
                host.network.open();
                Ok(())
            }
            Fault::Stall => {
                host.network.stall();
                thread::sleep(duration);
                host.network.open();
                Ok(())
            }
            Fault::LoseCommits => {
                let count = 1 + self.random.below(MAX_LOST_COMMITS);
                host.network.lose_commits(count);
                Ok(())
            }
            Fault::Restart => self.monitor.disturb(|| self.databases.restart()),
            Fault::Crash => self.monitor.disturb(|| self.databases.crash()),
            Fault::FailOver => self.monitor.disturb(|| self.databases.fail_over()),
        }
    }

    /// Kills all hosts but one at once.
    pub(super) fn kill_all_but(&mut self, one: usize) -> Result<()> {
        let others = self.hosts.iter_mut().enumerate();
        let mut others = others.filter(|(number, _)| *number != one);
        others.try_for_each(|(_, host)| host.kill())
    }

    /// Starts all hosts but one.
    pub(super) fn start_all_but(&mut self, one: usize) -> Result<()> {
        let others = self.hosts.iter_mut().enumerate();
        let mut others = others.filter(|(number, _)| *number != one);
        others.try_for_each(|(_, host)| host.start_again(self.common))
    }
}
