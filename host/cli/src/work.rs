//! `promoflow work`: workers in the foreground.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::Args;
use promoflow_installation::{Promoflow, Running};

use super::failure::{Done, Failure, Status, tell_note};
use super::output::Out;
use super::session::Session;

/// How soon it is looked whether anything is left to do.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// The pause doubles up to this: a look counts what is due, and much may be.
const LAST_LOOK: Duration = Duration::from_millis(160);

/// Run workers and the dispatcher in the foreground, until Ctrl-C.
///
/// What events started goes on, and due deliveries are handed to their channels. One process
/// executes for a database; another one waits, and takes over when the first ends.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow work --until-idle")]
pub(super) struct Work {
    /// End as soon as nothing may go on: no run is due, the alerts are judged, and each due delivery
    /// and notice was tried.
    #[arg(long)]
    until_idle: bool,
}

impl Work {
    pub(super) fn run(self, session: &Session, _out: &mut Out) -> Done {
        let promoflow = session.open_to_deliver()?;
        let (stop, stopped) = channel();
        ctrlc::set_handler(move || {
            // Asked twice, or while it ends already.
            let _ending = stop.send(());
        })
        .map_err(|error| Failure::failed(format_args!("cannot listen for signals: {error}")))?;
        let running = promoflow.start()?;
        if !self.until_idle {
            let what = match running.executes() {
                true => "working",
                false => "another process works on this database; waiting to take over",
            };
            tell_note(format_args!("{what}; Ctrl-C ends it"));
        }
        let mut pause = FIRST_LOOK;
        loop {
            match stopped.recv_timeout(pause) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            pause = (pause * 2).min(LAST_LOOK);
            promoflow.usable()?;
            if self.until_idle && is_over(&promoflow, &running)? {
                break;
            }
        }
        running.stop();
        Ok(Status::Done)
    }
}

/// Whether nothing is left to do, the events of alerts included. A look that finds something new ends
/// nothing: it is looked again.
fn is_over(promoflow: &Promoflow, running: &Running) -> Result<bool, Failure> {
    if !promoflow.is_idle()? {
        return Ok(false);
    }
    let before = promoflow.pool_mark()?;
    running.judge_alerts();
    // Runs of the events of alerts may have taken codes since, which may raise others.
    Ok(promoflow.is_idle()? && promoflow.pool_mark()? == before)
}
