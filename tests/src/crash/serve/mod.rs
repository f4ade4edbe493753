//! The crash harness of the HTTP service: clients send events and upload codes while `promoflow
//! serve` is killed by SIGKILL and started again.
//!
//! A client without an answer sends the same event again until it has one, as real clients do.
//! Answers go into the ledger, which is compared at the end like that of the other harness.

mod clients;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::compare::compare;
use super::ledger::Ledger;
use super::mailbox::Mailbox;
use super::process::Installation;
use super::random::Random;
use super::service::Service;
use crate::{CODE_THEN_MAIL, MAIL};
use clients::Clients;
pub use summary::ServeSummary;

/// Codes in the pool per second, and the limit of events per second: more than the service can
/// execute.
const EVENTS_PER_SECOND: u64 = 10_000;

/// The parameters of a run of the harness.
#[derive(Clone, Debug)]
pub struct ServePlan {
    /// The binary.
    pub program: PathBuf,
    /// Time during which events are sent.
    pub time: Duration,
    /// Number of kills in that time.
    pub kills: u64,
    /// Number of clients, each of which sends its next event after the answer to the previous one.
    pub connections: usize,
    /// Pause of a client after an answer; zero for as fast as possible.
    pub pause: Duration,
    /// Seed of the random choices.
    pub seed: u64,
}

/// Kills as planned and compares. The summary lists all violations.
pub fn run(plan: &ServePlan) -> Result<ServeSummary> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("shop.db");
    let app = Installation {
        program: plan.program.clone(),
        ledger: Arc::new(Ledger::new(&folder.path().join("ledger.jsonl"))?),
        errors: folder.path().join("stderr.txt"),
        database: database.clone(),
    };
    let most = plan.time.as_secs().max(1) * EVENTS_PER_SECOND;
    let key = set_up(&app, most)?;
    let mut random = Random::new(plan.seed);
    let mut summary = ServeSummary::new(plan);

    let mut service = Service::start(app.command(), &app.errors, "127.0.0.1:0")?;
    let clients = Clients::start(plan, &app.ledger, &service.address, &key, most);
    let began = Instant::now();
    let share = plan.time / u32::try_from(plan.kills + 1)?;
    for kill in 1..=u32::try_from(plan.kills)? {
        let later = Duration::from_millis(random.below(u64::try_from(share.as_millis())? / 2));
        let moment = began + share * kill + later;
        thread::sleep(moment.saturating_duration_since(Instant::now()));
        let address = service.address.clone();
        service.kill()?;
        summary.kills += 1;
        service = Service::start(app.command(), &app.errors, &address)?;
        summary.slowest_start = summary.slowest_start.max(service.start);
    }
    thread::sleep((began + plan.time).saturating_duration_since(Instant::now()));
    summary.took = began.elapsed();
    clients.end(&mut summary)?;
    service.end().context("stopping the service")?;

    app.succeed(&["work", "--until-idle"])?;
    let mut mailbox = Mailbox::new(promoflow::default_maildir(&database));
    mailbox.collect()?;
    app.ledger.read(|acknowledged| {
        summary
            .violations
            .extend(compare(&database, acknowledged, &mailbox)?);
        summary.acknowledged(acknowledged);
        anyhow::Ok(())
    })?;
    summary.messages = mailbox.messages.len();
    summary.repeated = mailbox.repeated();
    if let Err(error) = app.succeed(&["audit"]) {
        summary.violations.push(format!("the audit: {error:#}"));
    }
    if !summary.holds() {
        summary.kept = Some(folder.keep());
    }
    Ok(summary)
}

/// Sets up a pool and a workflow of two blocks, and returns the clients' key.
fn set_up(app: &Installation, codes: u64) -> Result<String> {
    let folder = app.database.parent().context("a file in a folder")?;
    for (command, name, text) in [
        ("message", "mail.yaml", MAIL),
        ("workflow", "birthday.yaml", CODE_THEN_MAIL),
    ] {
        let file = folder.join(name);
        std::fs::write(&file, text)?;
        app.succeed(&[command, "apply", &file.to_string_lossy()])?;
    }
    let mut csv = "code,expirationDate,discount,type\n".to_owned();
    for number in 0..codes {
        csv.push_str(&format!("S{number},2999-12-31,10,birthday\n"));
    }
    let file = folder.join("codes.csv");
    std::fs::write(&file, csv)?;
    app.succeed(&["codes", "import", &file.to_string_lossy()])?;
    let made = app.succeed(&["key", "create", "--scopes", "codes,events"])?;
    let made: serde_json::Value = serde_json::from_str(&made)?;
    let secret = made["secret"].as_str();
    Ok(secret.context("a key has a secret")?.to_owned())
}
