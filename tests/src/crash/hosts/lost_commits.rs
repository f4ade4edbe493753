//! Events whose commit is answered to nobody.

use anyhow::{Context, Result};

use super::load::{self, Kind};
use super::{Harness, HostsPlan, HostsSummary, run_in_folder};
use crate::crash::connection::Connection;

/// Sends each event of the plan once, and each time loses the answer to the next commit of the host.
/// The host must accept the event all the same. The summary lists all violations.
pub fn run(plan: &HostsPlan) -> Result<HostsSummary> {
    run_in_folder(plan, |mut harness| {
        harness.lose_commits()?;
        harness.wait_idle()?;
        harness.compare()
    })
}

impl Harness<'_> {
    fn lose_commits(&mut self) -> Result<()> {
        let host = self.hosts.first().context("there are hosts")?;
        let mut connection = Connection::new(&host.address, &self.key);
        let path = format!(
            "/api/v1/promocodes?type={}&discount=10",
            Kind::Patient.name()
        );
        let codes = load::codes(Kind::Patient, 0..self.plan.events);
        let (status, answer) = connection.post(&path, "text/csv", &codes)?;
        anyhow::ensure!(status == 200, "a host answered {status}: {answer}");
        for number in 0..self.plan.events {
            host.network.lose_commits(1);
            let event = load::event(number, load::now());
            self.ledger.send_once(&mut connection, number, &event)?;
        }
        host.network.lose_commits(0);
        Ok(())
    }
}
