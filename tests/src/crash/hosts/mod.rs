//! The crash harness of many hosts: several `promoflow serve` on one PostgreSQL.
//!
//! Clients send events to any host, and to another one if they get no answer. Meanwhile hosts are
//! killed, paused and cut off from the database, whose server is restarted and replaced by its
//! synchronous standby. Acknowledgements, and the messages that were handed over, are recorded
//! outside the database and compared with it at the end.

mod clients;
mod compare;
mod databases;
mod faults;
mod host;
mod load;
pub mod lost_commits;
mod monitor;
mod receiver;
mod summary;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::connection::Connection;
use super::random::Random;
use clients::{Clients, Ledger};
use databases::Databases;
use faults::{Fault, Victims};
use host::{Clock, Common, Host};
use load::Kind;
use monitor::{MAX_TAKE_OVER, Monitor};
use receiver::Receiver;
pub use summary::HostsSummary;

/// How long nothing may make progress.
const MAX_STANDSTILL: Duration = Duration::from_secs(120);
/// Poll interval of the progress.
const INTERVAL: Duration = Duration::from_millis(250);
/// Events of the first phase, in which all hosts but one are killed, and when that happens.
const SLEEPERS: u64 = 100;
const KILL_AFTER: Duration = Duration::from_secs(3);
/// When their runs are due: from before the kill until after it, in milliseconds.
const DUE_FROM: u64 = 2_500;
const DUE_FOR: u64 = 4_000;

/// How much too early a run may be continued: two clocks are read, one after the other.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(100);

/// The parameters of a run of the harness.
#[derive(Clone, Debug)]
pub struct HostsPlan {
    /// The binary.
    pub program: PathBuf,
    /// Number of hosts; at least 2.
    pub hosts: usize,
    /// Number of events.
    pub events: u64,
    /// Number of kills, with as many other faults between them.
    pub kills: u64,
    /// Number of clients, each of which sends its next event after the answer to the previous one.
    pub connections: usize,
    /// Pause of a client after an answer; zero for as fast as possible.
    pub pause: Duration,
    /// The library of Debian's package `libfaketime`: if named, the clocks of the hosts are minutes
    /// apart.
    pub faketime: Option<PathBuf>,
    /// Seed of the random choices.
    pub seed: u64,
}

struct Harness<'p> {
    plan: &'p HostsPlan,
    common: Common,
    databases: Arc<Databases>,
    receiver: Receiver,
    ledger: Arc<Ledger>,
    hosts: Vec<Host>,
    key: String,
    random: Random,
    summary: HostsSummary,
}

/// Runs the plan and compares. The summary lists all violations.
pub fn run(plan: &HostsPlan) -> Result<HostsSummary> {
    run_in_folder(plan, Harness::run)
}

/// Runs an installation in a folder that is kept unless every promise holds.
fn run_in_folder<'p>(
    plan: &'p HostsPlan,
    run: impl FnOnce(Harness<'p>) -> Result<HostsSummary>,
) -> Result<HostsSummary> {
    let folder = tempfile::tempdir()?;
    match Harness::set_up(plan, folder.path()).and_then(run) {
        Ok(mut summary) => {
            if !summary.holds() {
                summary.kept = Some(folder.keep());
            }
            Ok(summary)
        }
        Err(error) => Err(error.context(format!("kept in {}", folder.keep().display()))),
    }
}

impl<'p> Harness<'p> {
    fn set_up(plan: &'p HostsPlan, folder: &Path) -> Result<Harness<'p>> {
        let databases = Arc::new(Databases::start()?);
        let receiver = Receiver::start()?;
        let file = |name: &str, text: &str| {
            let file = folder.join(name);
            std::fs::write(&file, text)?;
            anyhow::Ok(file)
        };
        let common = Common {
            program: plan.program.clone(),
            configuration: file("promoflow.toml", &load::configuration(receiver.port))?,
            errors: folder.join("stderr.txt"),
        };
        let address = databases.address();
        let message = file("message.yaml", load::MESSAGE)?;
        let workflows = file("workflows.yaml", load::WORKFLOWS)?;
        for (command, file) in [("message", message), ("workflow", workflows)] {
            common.succeed(&address, &[command, "apply", &file.to_string_lossy()])?;
        }
        for kind in [Kind::Prompt, Kind::Sleeping] {
            let codes = file(
                &format!("{}.csv", kind.name()),
                &load::codes(kind, 0..plan.events),
            )?;
            let codes = codes.to_string_lossy().into_owned();
            let of = ["--type", kind.name(), "--discount", "10"];
            common.succeed(&address, &[&["codes", "import", &*codes], &of[..]].concat())?;
        }
        let made = common.succeed(&address, &["key", "create", "--scopes", "codes,events"])?;
        let made: serde_json::Value = serde_json::from_str(&made)?;
        let key = made["secret"].as_str().context("a key has a secret")?;
        let hosts = (0..plan.hosts).map(|number| {
            let clock = plan.faketime.clone().map(|library| Clock {
                library,
                // 0, 3 minutes ahead, 6 minutes behind, 9 minutes ahead and so on.
                seconds: format!("{}{}", ["-", "+"][number % 2], number * 180),
            });
            Host::start(&common, &databases, clock)
        });
        Ok(Harness {
            plan,
            hosts: hosts.collect::<Result<_>>()?,
            key: key.to_owned(),
            common,
            databases,
            receiver,
            ledger: Arc::new(Ledger::new(plan.events)),
            random: Random::new(plan.seed),
            summary: HostsSummary {
                seed: plan.seed,
                hosts: plan.hosts,
                ..HostsSummary::default()
            },
        })
    }

    fn run(mut self) -> Result<HostsSummary> {
        let monitor = Monitor::start(Arc::clone(&self.databases));
        self.take_over(&monitor)?;
        self.send_through_faults(&monitor)?;
        self.wait_idle()?;
        let found = monitor.end()?;
        self.summary.take_overs = found.count;
        self.summary.slowest_take_over = found.slowest;
        self.summary.violations.extend(found.violations);
        self.compare()
    }

    fn victims<'v>(&'v mut self, monitor: &'v Monitor) -> Victims<'v> {
        Victims {
            common: &self.common,
            databases: &self.databases,
            monitor,
            hosts: &mut self.hosts,
            random: &mut self.random,
        }
    }

    /// Kills all hosts but one while runs wait for a time, and measures when they are continued.
    fn take_over(&mut self, monitor: &Monitor) -> Result<()> {
        let (began, now) = (Instant::now(), load::now());
        let of_sleepers = |number: &u64| Kind::of(*number) == Kind::Sleeping;
        let sleepers: Vec<u64> = (0..self.plan.events)
            .filter(of_sleepers)
            .take(usize::try_from(SLEEPERS)?)
            .collect();
        let mut due = Vec::new();
        for (&number, index) in sleepers.iter().zip(0..) {
            let wait = Duration::from_millis(DUE_FROM + index * DUE_FOR / SLEEPERS);
            let host = &self.hosts[usize::try_from(index)? % self.hosts.len()];
            let event = load::event(number, now + wait.as_millis());
            let mut connection = Connection::new(&host.address, &self.key);
            self.ledger.send_once(&mut connection, number, &event)?;
            due.push((load::address(number), began + wait));
        }
        thread::sleep((began + KILL_AFTER).saturating_duration_since(Instant::now()));
        let killed = Instant::now();
        let survivor = usize::try_from(self.random.below(self.hosts.len() as u64))?;
        self.victims(monitor).kill_all_but(survivor)?;
        let limit = Duration::from_millis(DUE_FROM + DUE_FOR) + 3 * MAX_TAKE_OVER;
        loop {
            let received = self.receiver.deliveries();
            let late: Option<Vec<Duration>> = due
                .iter()
                .map(|(address, due)| {
                    let first = received.to(address)?.first;
                    Some(first.saturating_duration_since(killed.max(*due)))
                })
                .collect();
            drop(received);
            if let Some(slowest) = late.and_then(|late| late.into_iter().max()) {
                self.summary.slowest_continuation = slowest;
                break;
            }
            if killed.elapsed() > limit {
                self.summary.slowest_continuation = limit;
                break;
            }
            thread::sleep(INTERVAL);
        }
        for (address, due) in due {
            let received = self.receiver.deliveries().to(&address).cloned();
            if let Some(early) = received.and_then(|one| due.checked_duration_since(one.first))
                && early > CLOCK_TOLERANCE
            {
                let violation = format!("the run for {address} was continued {early:?} early");
                self.summary.violations.push(violation);
            }
        }
        if self.summary.slowest_continuation > MAX_TAKE_OVER {
            let slowest = self.summary.slowest_continuation;
            let violation = format!("work of killed hosts was continued after {slowest:?}");
            self.summary.violations.push(violation);
        }
        let killed = self.hosts.len() as u64 - 1;
        *self.summary.faults.entry(Fault::Kill.name()).or_default() += killed;
        self.victims(monitor).start_all_but(survivor)
    }

    /// Sends the events while things go wrong.
    fn send_through_faults(&mut self, monitor: &Monitor) -> Result<()> {
        let began = Instant::now();
        let hosts = self.hosts.iter().map(|host| host.address.clone());
        let clients = Clients::start(self.plan, &self.ledger, hosts.collect(), &self.key);
        let faults = Fault::plan(self.plan.kills);
        let count = faults.len() as u64;
        for (fault, number) in faults.into_iter().zip(1..) {
            self.wait_for_events(self.plan.events * number / (count + 2))?;
            println!(
                "{:>10} events, {}",
                self.ledger.acknowledged(),
                fault.name()
            );
            self.victims(monitor).suffer(fault)?;
            *self.summary.faults.entry(fault.name()).or_default() += 1;
        }
        self.wait_for_events(self.plan.events)?;
        clients.end()?;
        self.summary.took = began.elapsed();
        Ok(())
    }

    fn wait_for_events(&self, count: u64) -> Result<()> {
        wait(|| {
            let left = count.saturating_sub(self.ledger.acknowledged());
            Ok((left, "events that are not acknowledged"))
        })
        .with_context(|| format!("violations: {:#?}", self.ledger.violations()))
    }

    /// Waits until no run and no delivery is pending, and ends the hosts.
    fn wait_idle(&mut self) -> Result<()> {
        let pending = "SELECT (SELECT count(*) FROM run WHERE state IN ('running', 'waiting'))
                            + (SELECT count(*) FROM delivery WHERE due_at IS NOT NULL)";
        let databases = &self.databases;
        wait(|| Ok((databases.number(pending)?, "pending runs and deliveries")))?;
        for host in &mut self.hosts {
            self.summary.lost_commits += host.network.lost_commits();
            host.stop().context("a host does not end")?;
        }
        Ok(())
    }

    fn compare(mut self) -> Result<HostsSummary> {
        let mut summary = self.summary;
        let uploaded = self.databases.number("SELECT count(*) FROM code")?;
        if uploaded != self.plan.events {
            let violation = format!("{uploaded} codes of {} are stored", self.plan.events);
            summary.violations.push(violation);
        }
        let received = self.receiver.deliveries();
        let compared = compare::compare(&self.databases, &self.ledger, &received, uploaded)?;
        summary.violations.extend(compared);
        summary.events = self.ledger.acknowledged();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::SeqCst);
        summary.duplicates = count(&self.ledger.duplicates);
        summary.raced = count(&self.ledger.raced);
        summary.refused = count(&self.ledger.refused);
        summary.unanswered = count(&self.ledger.unanswered);
        summary.messages = received.len() as u64;
        summary.repeated = received.repeated() as u64;
        drop(received);
        self.hosts.clear();
        let address = self.databases.address();
        if let Err(error) = self.common.succeed(&address, &["audit"]) {
            summary.violations.push(format!("the audit: {error:#}"));
        }
        Ok(summary)
    }
}

/// Waits until a number is 0. Fails if it does not change for long.
fn wait(left: impl Fn() -> Result<(u64, &'static str)>) -> Result<()> {
    let mut least = u64::MAX;
    let mut progressed = Instant::now();
    loop {
        let (count, what) = left()?;
        if count == 0 {
            return Ok(());
        }
        if count < least {
            least = count;
            progressed = Instant::now();
        }
        if progressed.elapsed() > MAX_STANDSTILL {
            bail!("{count} {what}, and no progress for {MAX_STANDSTILL:?}");
        }
        thread::sleep(INTERVAL);
    }
}
