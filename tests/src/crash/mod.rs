//! The crash harness: kills the real binary under load, again and again.
//!
//! Several processes send events and upload codes on one database. They are killed by SIGKILL, at
//! random moments and at every failpoint in turn, and unfinished work is sent again.
//! Acknowledgements go into a ledger outside the database. At the end, when no run is active, the
//! ledger is compared with the database and with the messages that left.

mod compare;
mod connection;
pub mod hosts;
mod ledger;
mod load;
mod mailbox;
mod process;
mod random;
pub mod serve;
mod service;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use promoflow_model::failpoint::Failpoint;

use crate::{CODE_THEN_MAIL, MAIL};
use ledger::Ledger;
use load::Load;
use mailbox::Mailbox;
use process::{Ended, Installation, Job, Process};
use random::Random;
pub use summary::Summary;

/// Longest time for a job, or until a failpoint is reached.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Time during which a worker gets new load while it has not reached its failpoint.
const LOAD_TIME: Duration = Duration::from_secs(10);
/// Codes per kill: more than the events sent per kill.
const CODES_PER_KILL: u64 = 250;

/// The parameters of a run of the harness.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The binary.
    pub program: PathBuf,
    /// Minimum number of processes to kill.
    pub kills: u64,
    /// Seed of the random choices.
    pub seed: u64,
}

/// The target of a round's kill.
#[derive(Clone, Copy)]
enum Target {
    /// One process, at a random moment.
    One,
    /// All processes at once, at a random moment.
    All,
    /// A process that reaches a failpoint.
    Failpoint(Failpoint),
}

struct Harness {
    app: Installation,
    load: Load,
    random: Random,
    mailbox: Mailbox,
    summary: Summary,
}

/// Kills as planned and compares. The summary lists all violations.
pub fn run(plan: &Plan) -> Result<Summary> {
    let began = Instant::now();
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("shop.db");
    let app = Installation {
        program: plan.program.clone(),
        ledger: Arc::new(Ledger::new(&folder.path().join("ledger.jsonl"))?),
        errors: folder.path().join("stderr.txt"),
        database: database.clone(),
    };
    let mut harness = Harness {
        app,
        load: Load::new(folder.path().to_owned()),
        random: Random::new(plan.seed),
        mailbox: Mailbox::new(promoflow::default_maildir(&database)),
        summary: Summary::new(plan.seed),
    };
    harness.set_up(plan.kills)?;
    let targets: Vec<Target> = [Target::One, Target::All]
        .into_iter()
        .chain(Failpoint::ALL.map(Target::Failpoint))
        .collect();
    for target in targets.iter().cycle() {
        if harness.summary.killed() >= plan.kills {
            break;
        }
        harness.round(*target)?;
        harness.summary.rounds += 1;
    }
    harness.wait_idle()?;
    harness.compare()?;
    let mut summary = harness.summary;
    summary.took = began.elapsed();
    if !summary.holds() {
        summary.kept = Some(folder.keep());
    }
    Ok(summary)
}

impl Harness {
    fn set_up(&mut self, kills: u64) -> Result<()> {
        let folder = self.app.database.parent().context("a file in a folder")?;
        for (command, name, text) in [
            ("message", "mail.yaml", MAIL),
            ("workflow", "birthday.yaml", CODE_THEN_MAIL),
            ("workflow", "others.yaml", load::WORKFLOWS),
        ] {
            let file = folder.join(name);
            std::fs::write(&file, text)?;
            self.app
                .succeed(&[command, "apply", &file.to_string_lossy()])?;
        }
        let codes = usize::try_from((kills + 20) * CODES_PER_KILL)?;
        let job = self.load.import_of(codes, 0)?;
        self.finish(job)
    }

    fn round(&mut self, target: Target) -> Result<()> {
        match target {
            Target::One | Target::All => {
                let mut processes = self.start_some()?;
                let moment = self.random.below(160);
                thread::sleep(Duration::from_millis(moment));
                match target {
                    Target::One => {
                        let one = self.random.below(processes.len() as u64);
                        let victim = processes.swap_remove(usize::try_from(one)?);
                        self.kill(victim, "random moment")?;
                    }
                    _ => {
                        for victim in processes.drain(..) {
                            self.kill(victim, "random moment, all")?;
                        }
                    }
                }
                self.end_round(processes)
            }
            Target::Failpoint(point) => self.failpoint(point),
        }
    }

    fn failpoint(&mut self, point: Failpoint) -> Result<()> {
        use Failpoint::{
            AfterAttemptStart, AfterDelivery, AfterUploadBatch, BeforeAttempt, MessageWritten,
        };
        if matches!(point, Failpoint::InsideAction | Failpoint::AfterAction) {
            return self.kill_cancelling(point);
        }
        let latest = match point {
            AfterUploadBatch | Failpoint::UploadBatch => 1,
            BeforeAttempt | AfterAttemptStart => 3,
            AfterDelivery | MessageWritten => 60,
            _ => 5,
        };
        let order = format!("{}:{}", point.name(), 1 + self.random.below(latest));
        let delivers = matches!(
            point,
            BeforeAttempt | AfterAttemptStart | AfterDelivery | MessageWritten
        );
        let job = match point {
            _ if delivers => Job::Work,
            Failpoint::UploadBatch | AfterUploadBatch => self.load.import(&mut self.random)?,
            _ => self.load.send(&mut self.random)?,
        };
        let before = self.app.started_workers()?;
        let mut victim = self.app.start(job, Some(&order))?;
        if delivers {
            // Processes that start later leave the execution to this one.
            let began = Instant::now();
            while self.app.started_workers()? == before && victim.ended()?.is_none() {
                ensure!(began.elapsed() < TIMEOUT, "{:?} does not start", victim.job);
                thread::sleep(Duration::from_millis(2));
            }
        }
        let mut others = self.start_some()?;
        let began = Instant::now();
        let mut ended = victim.wait(Duration::from_millis(100))?;
        while delivers && ended.is_none() && began.elapsed() < LOAD_TIME {
            if others.len() < 6 {
                let job = self.load.send(&mut self.random)?;
                others.push(self.app.start(job, None)?);
            }
            ended = victim.wait(Duration::from_millis(100))?;
        }
        if ended.is_none() && !delivers {
            ended = victim.wait(TIMEOUT)?;
        }
        match ended {
            Some(ended) => self.account(&victim.job, ended, point.name())?,
            None if delivers => {
                self.summary.missed += 1;
                self.kill(victim, "random moment")?;
            }
            None => bail!("{:?} hangs before failpoint {order}", victim.job),
        }
        self.end_round(others)
    }

    /// Kills a process that cancels a run while others send.
    fn kill_cancelling(&mut self, point: Failpoint) -> Result<()> {
        let others = self.start_some()?;
        thread::sleep(Duration::from_millis(self.random.below(60)));
        // A finished run cannot be cancelled, but the process reaches the failpoint all the same.
        let run = self.app.ledger.random_run("p", &mut self.random);
        let job = Job::Cancel {
            run: run.unwrap_or(1),
        };
        let mut victim = self.app.start(job, Some(point.name()))?;
        match victim.wait(TIMEOUT)? {
            Some(ended) => self.account(&victim.job, ended, point.name())?,
            None => bail!("{:?} hangs before failpoint {}", victim.job, point.name()),
        }
        self.end_round(others)
    }

    /// Starts two processes that send, one that uploads and one that cancels. Sometimes both
    /// senders send the same file.
    fn start_some(&mut self) -> Result<Vec<Process>> {
        let first = self.load.send(&mut self.random)?;
        let second = match self.random.once_in(4) {
            true => first.clone(),
            false => self.load.send(&mut self.random)?,
        };
        let upload = self.load.import(&mut self.random)?;
        let mut jobs = vec![first, second, upload];
        if let Some(run) = self.app.ledger.random_run("p", &mut self.random) {
            jobs.push(Job::Cancel { run });
        }
        jobs.into_iter()
            .map(|job| self.app.start(job, None))
            .collect()
    }

    /// Waits for the remaining processes of a round, or kills them.
    fn end_round(&mut self, processes: Vec<Process>) -> Result<()> {
        let kills = self.random.once_in(3);
        for mut process in processes {
            if kills {
                self.kill(process, "random moment")?;
                continue;
            }
            match process.wait(TIMEOUT)? {
                Some(ended) => self.account(&process.job, ended, "nothing")?,
                None => bail!("{:?} hangs", process.job),
            }
        }
        self.mailbox.collect()
    }

    fn kill(&mut self, process: Process, how: &str) -> Result<()> {
        let job = process.job.clone();
        let ended = process.kill()?;
        self.account(&job, ended, how)
    }

    fn account(&mut self, job: &Job, ended: Ended, how: &str) -> Result<()> {
        match ended {
            Ended::Done => {
                if let Job::Cancel { run } = job {
                    self.app.ledger.cancelled(*run)?;
                }
            }
            // A finished run is not cancelled.
            Ended::Failed if matches!(job, Job::Cancel { .. }) => {}
            Ended::Killed => {
                self.summary.kill(how);
                self.load.requeue(job.clone());
            }
            Ended::Failed => {
                let errors = std::fs::read_to_string(&self.app.errors).unwrap_or_default();
                bail!("{job:?} failed without a kill: {errors}");
            }
        }
        Ok(())
    }

    /// Runs a job to its end without kills.
    fn finish(&mut self, job: Job) -> Result<()> {
        let mut process = self.app.start(job, None)?;
        let ended = process.wait(TIMEOUT * 10)?;
        let job = &process.job;
        ensure!(ended == Some(Ended::Done), "{job:?} ended with {ended:?}");
        Ok(())
    }

    /// Sends the unfinished work and waits until no run is active.
    fn wait_idle(&mut self) -> Result<()> {
        for job in self.load.take_repeats() {
            self.finish(job)?;
        }
        let job = self.load.refill()?;
        self.finish(job)?;
        // Runs that wait for a time have reached it once they have their code, plus a short delay.
        for _ in 0..2 {
            self.app.succeed(&["work", "--until-idle"])?;
            thread::sleep(Duration::from_millis(load::MAX_WAIT_MILLIS));
        }
        self.app.succeed(&["work", "--until-idle"])?;
        self.mailbox.collect()
    }

    fn compare(&mut self) -> Result<()> {
        let (database, mailbox) = (&self.app.database, &self.mailbox);
        let summary = &mut self.summary;
        self.app.ledger.read(|acknowledged| {
            summary.violations = compare::compare(database, acknowledged, mailbox)?;
            summary.events = acknowledged.events.len();
            summary.uploads = acknowledged.uploads.len();
            summary.cancelled = acknowledged.cancelled.len();
            summary.duplicates = acknowledged.duplicates;
            if acknowledged.errors > 0 {
                let errors = acknowledged.errors;
                summary
                    .violations
                    .push(format!("{errors} errors were returned"));
            }
            if acknowledged.events.len() != self.load.events {
                let sent = self.load.events;
                let received = acknowledged.events.len();
                summary
                    .violations
                    .push(format!("{sent} events were sent, {received} acknowledged"));
            }
            anyhow::Ok(())
        })?;
        summary.messages = mailbox.messages.len();
        summary.repeated = mailbox.repeated();
        if let Err(error) = self.app.succeed(&["audit"]) {
            summary.violations.push(format!("the audit: {error:#}"));
        }
        Ok(())
    }
}
