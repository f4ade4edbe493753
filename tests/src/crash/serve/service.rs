//! The service process that is killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::crash::process::Installation;

/// Longest time for a graceful shutdown: the service has 30 seconds for open requests.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);
/// Poll interval while waiting for the shutdown.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// `promoflow serve`. Killed when dropped.
pub(super) struct Service {
    child: Child,
    pub(super) address: String,
    /// Time from the start until it listened.
    pub(super) start: Duration,
}

impl Service {
    /// Starts the service and waits until it listens.
    pub(super) fn start(app: &Installation, address: &str) -> Result<Service> {
        let errors = File::options()
            .create(true)
            .append(true)
            .open(&app.errors)?;
        let began = Instant::now();
        let mut command = app.command();
        command
            .args(["serve", "--listen", address])
            .args(["--events-per-second", "1000000"])
            .args(["--requests-per-second", "1000000"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("cannot start the service")?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let stdout: Value = serde_json::from_str(&line).with_context(|| {
            let errors = std::fs::read_to_string(&app.errors).unwrap_or_default();
            format!("the service printed `{line}`: {errors}")
        })?;
        let url = stdout["url"]
            .as_str()
            .context("the service printed no address")?;
        Ok(Service {
            child,
            address: url.trim_start_matches("http://").to_owned(),
            start: began.elapsed(),
        })
    }

    /// Kills the service with SIGKILL.
    pub(super) fn kill(mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(
            ended.is_none(),
            "the service had ended before the kill: {ended:?}"
        );
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub(super) fn end(self) -> Result<()> {
        self.end_within(SHUTDOWN_TIMEOUT)
    }

    fn end_within(mut self, time: Duration) -> Result<()> {
        kill(
            Pid::from_raw(i32::try_from(self.child.id())?),
            Signal::SIGTERM,
        )?;
        let signalled = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "ended with {status}");
                return Ok(());
            }
            ensure!(signalled.elapsed() < time, "did not end within {time:?}");
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::crash::ledger::Ledger;

    /// A program that reports an address and ignores SIGTERM.
    const DEAF: &str = "#!/bin/sh
trap '' TERM
echo '{\"url\":\"http://127.0.0.1:1\"}'
while :; do sleep 0.1; done
";

    #[test]
    fn does_not_wait_for_a_service_that_ignores_sigterm() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("deaf"), DEAF).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file("deaf"), executable).unwrap();
        let app = Installation {
            program: file("deaf"),
            database: file("shop.db"),
            errors: file("stderr.txt"),
            ledger: Arc::new(Ledger::new(&file("ledger.jsonl")).unwrap()),
        };
        let service = Service::start(&app, "127.0.0.1:0").unwrap();
        let error = service.end_within(Duration::from_millis(300)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }
}
