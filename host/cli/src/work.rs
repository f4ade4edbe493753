//! `promoflow work`: workers in the foreground.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::Args;
use promoflow_installation::{EngineHandle, Promoflow};

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, print_note};
use super::output::Out;

/// Time before the first check for remaining work.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The maximum pause between checks. The pause doubles up to this, since a check counts everything
/// that is due.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(160);

/// Run workers and the dispatcher in the foreground, until Ctrl-C.
///
/// Runs are executed, and due deliveries are passed to their channels. One process executes per
/// database; another one waits, and takes over when the first ends.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow work --until-idle")]
pub(super) struct Work {
    /// End when nothing is left to do: no run is due, the alerts are evaluated, and each due
    /// delivery and notification was attempted.
    #[arg(long)]
    until_idle: bool,
}

impl Work {
    pub(super) fn run(self, context: &CliContext, _out: &mut Out) -> CommandResult {
        let promoflow = context.open_to_deliver()?;
        let (stop, stopped) = channel();
        ctrlc::set_handler(move || {
            // The receiver may be gone if the process already ends.
            let _ending = stop.send(());
        })
        .map_err(|error| CliError::failed(format_args!("cannot listen for signals: {error}")))?;
        let running = promoflow.start()?;
        if !self.until_idle {
            let what = match running.is_executor() {
                true => "working",
                false => "another process executes on this database; waiting to take over",
            };
            print_note(format_args!("{what}; press Ctrl-C to stop"));
        }
        let mut pause = MIN_POLL_INTERVAL;
        loop {
            match stopped.recv_timeout(pause) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            pause = (pause * 2).min(MAX_POLL_INTERVAL);
            promoflow.check_schema()?;
            if self.until_idle && is_finished(&promoflow, &running)? {
                break;
            }
        }
        running.stop();
        Ok(Status::Success)
    }
}

/// Returns true if nothing is left to do, including the events of alerts. If a check finds
/// something new, it is repeated later.
fn is_finished(promoflow: &Promoflow, running: &EngineHandle) -> Result<bool, CliError> {
    if !promoflow.is_idle()? {
        return Ok(false);
    }
    let before = promoflow.pool_version()?;
    running.evaluate_alerts();
    // Runs started by alerts may have claimed codes since, which may raise other alerts.
    Ok(promoflow.is_idle()? && promoflow.pool_version()? == before)
}
