//! A host: `promoflow serve` with its own way to the database.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::databases::{Databases, Network};
use crate::MISCHIEF;
use crate::crash::service::Service;

/// What all hosts have in common.
pub(super) struct Common {
    pub(super) program: PathBuf,
    /// The configuration file.
    pub(super) configuration: PathBuf,
    /// The file for diagnostics.
    pub(super) errors: PathBuf,
}

/// A host that is killed, paused and cut off.
pub(super) struct Host {
    service: Option<Service>,
    /// Where it listens, also after a restart.
    pub(super) address: String,
    database: String,
    pub(super) network: Network,
    /// How far its clock is ahead, as `faketime` writes it.
    clock: Option<Clock>,
}

/// A clock that is wrong.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// The library of Debian's package `libfaketime`.
    pub(super) library: PathBuf,
    /// The difference, such as `+180`.
    pub(super) seconds: String,
}

impl Common {
    /// Returns the program's command for a database.
    pub(super) fn command(&self, database: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--json");
        // For the block that waits for a time.
        let blocks = Path::new(MISCHIEF).parent();
        command.arg("--blocks").args(blocks);
        command.env("PROMOFLOW_DB", database);
        command.env("PROMOFLOW_CONFIG", &self.configuration);
        command.env_remove("PROMOFLOW_FAILPOINT");
        command
    }

    /// Runs a command that must succeed.
    pub(super) fn succeed(&self, database: &str, args: &[&str]) -> Result<String> {
        let output = self.command(database).args(args).output()?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{args:?}: {stdout}{error}");
        Ok(stdout)
    }
}

impl Host {
    pub(super) fn start(
        common: &Common,
        databases: &Databases,
        clock: Option<Clock>,
    ) -> Result<Host> {
        let network = databases.network()?;
        let mut host = Host {
            service: None,
            address: "127.0.0.1:0".to_owned(),
            database: databases.address_through(&network),
            network,
            clock,
        };
        host.start_again(common)?;
        Ok(host)
    }

    /// Starts the host after it was killed or stopped.
    pub(super) fn start_again(&mut self, common: &Common) -> Result<()> {
        let mut command = common.command(&self.database);
        if let Some(clock) = &self.clock {
            command
                .env("LD_PRELOAD", &clock.library)
                .env("FAKETIME", &clock.seconds)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let service = Service::start(command, &common.errors, &self.address)?;
        self.address.clone_from(&service.address);
        self.service = Some(service);
        Ok(())
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        self.service.take().context("the host runs")?.kill()
    }

    /// Asks the host to end, which it must do without an error.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.service.take().context("the host runs")?.end()
    }

    pub(super) fn pause(&self) -> Result<()> {
        self.service.as_ref().context("the host runs")?.pause()
    }

    pub(super) fn resume(&self) -> Result<()> {
        self.service.as_ref().context("the host runs")?.resume()
    }
}
