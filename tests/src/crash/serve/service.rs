//! The process that is killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::crash::process::Shop;

/// `promoflow serve`. Killed when dropped.
pub(super) struct Service {
    child: Child,
    pub(super) address: String,
    /// How long it took until it listened.
    pub(super) start: Duration,
}

impl Service {
    /// Starts it, and waits until it listens.
    pub(super) fn start(shop: &Shop, address: &str) -> Result<Service> {
        let errors = File::options()
            .create(true)
            .append(true)
            .open(&shop.errors)?;
        let began = Instant::now();
        let mut command = shop.command();
        command
            .args(["serve", "--listen", address])
            .args(["--events-per-second", "1000000"])
            .args(["--requests-per-second", "1000000"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("the service cannot be started")?;
        let told = child.stdout.take().context("its output is a pipe")?;
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line).with_context(|| {
            let errors = std::fs::read_to_string(&shop.errors).unwrap_or_default();
            format!("the service told `{line}`: {errors}")
        })?;
        let url = told["url"]
            .as_str()
            .context("the service told no address")?;
        Ok(Service {
            child,
            address: url.trim_start_matches("http://").to_owned(),
            start: began.elapsed(),
        })
    }

    /// Ends it by SIGKILL.
    pub(super) fn kill(mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "it had ended by itself: {ended:?}");
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Tells it to end, and waits until it has, well.
    pub(super) fn end(mut self) -> Result<()> {
        kill(
            Pid::from_raw(i32::try_from(self.child.id())?),
            Signal::SIGTERM,
        )?;
        let status = self.child.wait()?;
        ensure!(status.success(), "ended with {status}");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
