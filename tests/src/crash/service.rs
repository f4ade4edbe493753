//! The service process that is killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

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
    /// Starts the service with a command of the program, and waits until it listens. Its diagnostics
    /// are added to the file `errors`.
    pub(super) fn start(mut command: Command, errors: &Path, address: &str) -> Result<Service> {
        let stderr = File::options().create(true).append(true).open(errors)?;
        let began = Instant::now();
        command
            .args(["serve", "--listen", address])
            .args(["--events-per-second", "1000000"])
            .args(["--requests-per-second", "1000000"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .context("cannot start the service")?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let stdout: Value = serde_json::from_str(&line).with_context(|| {
            let errors = std::fs::read_to_string(errors).unwrap_or_default();
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

    /// Stops the process with SIGSTOP, which it does not notice.
    pub(super) fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets a paused process go on.
    pub(super) fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub(super) fn end(self) -> Result<()> {
        self.end_within(SHUTDOWN_TIMEOUT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(
            Pid::from_raw(i32::try_from(self.child.id())?),
            signal,
        )?)
    }

    fn end_within(mut self, time: Duration) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
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

    use super::*;

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
        let command = Command::new(file("deaf"));
        let service = Service::start(command, &file("stderr.txt"), "127.0.0.1:0").unwrap();
        let error = service.end_within(Duration::from_millis(300)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }
}
