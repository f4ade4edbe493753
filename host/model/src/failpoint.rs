//! Failpoints: named places at which a process can be made to kill itself, for fault tests.
//!
//! They are always compiled in, so that the tests kill the binary that is shipped. A failpoint that
//! is not armed costs a relaxed load of one byte, which is negligible next to a commit to disk. The
//! library never arms one; the command line does, if the environment asks for it.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// A place at which the process can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Failpoint {
    /// A batch of units is gathered; none of them is written.
    BeforeCommit = 1,
    /// Everything is written; the transaction is still open.
    InsideCommit,
    /// The commit is durable; no caller has been notified.
    AfterCommit,
    /// Deliveries are due; no attempt has started.
    BeforeAttempt,
    /// The start of the attempts is committed; nothing has reached a channel.
    AfterAttemptStart,
    /// A delivery has reached its channel; the end of its attempt is not committed.
    AfterDelivery,
    /// A batch of an upload is written; its transaction is still open.
    UploadBatch,
    /// A batch of an upload is durable; the caller has not been notified.
    AfterUploadBatch,
    /// An action of an operator, and what it releases, is written; its transaction is still open.
    InsideAction,
    /// An action of an operator is durable; the caller has not been notified.
    AfterAction,
    /// A message is durable in the `tmp` folder of a Maildir, but not yet in `new`.
    MessageWritten,
}

impl Failpoint {
    /// All failpoints.
    pub const ALL: [Failpoint; 11] = [
        Failpoint::BeforeCommit,
        Failpoint::InsideCommit,
        Failpoint::AfterCommit,
        Failpoint::BeforeAttempt,
        Failpoint::AfterAttemptStart,
        Failpoint::AfterDelivery,
        Failpoint::UploadBatch,
        Failpoint::AfterUploadBatch,
        Failpoint::InsideAction,
        Failpoint::AfterAction,
        Failpoint::MessageWritten,
    ];

    /// The name that arms this failpoint.
    pub fn name(self) -> &'static str {
        match self {
            Failpoint::BeforeCommit => "before-commit",
            Failpoint::InsideCommit => "inside-commit",
            Failpoint::AfterCommit => "after-commit",
            Failpoint::BeforeAttempt => "before-attempt",
            Failpoint::AfterAttemptStart => "after-attempt-start",
            Failpoint::AfterDelivery => "after-delivery",
            Failpoint::UploadBatch => "upload-batch",
            Failpoint::AfterUploadBatch => "after-upload-batch",
            Failpoint::InsideAction => "inside-action",
            Failpoint::AfterAction => "after-action",
            Failpoint::MessageWritten => "message-written",
        }
    }
}

/// The armed failpoint; 0 means that no failpoint is armed.
static ARMED: AtomicU8 = AtomicU8::new(0);
/// The number of passes left until the armed failpoint kills the process.
static PASSES_LEFT: AtomicU32 = AtomicU32::new(0);

/// A failpoint and the pass on which it kills the process: `name` or `name:n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArmedFailpoint {
    point: Failpoint,
    pass: u32,
}

impl ArmedFailpoint {
    /// Arms the failpoint in this process.
    pub fn arm(self) {
        PASSES_LEFT.store(self.pass, Ordering::SeqCst);
        ARMED.store(self.point as u8, Ordering::SeqCst);
    }
}

impl FromStr for ArmedFailpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<ArmedFailpoint, String> {
        let (name, pass) = text.split_once(':').unwrap_or((text, "1"));
        let point = Failpoint::ALL
            .into_iter()
            .find(|point| point.name() == name)
            .ok_or_else(|| format!("unknown failpoint `{name}`"))?;
        match pass.parse() {
            Ok(pass @ 1..) => Ok(ArmedFailpoint { point, pass }),
            _ => Err(format!(
                "failpoint `{name}`: `{pass}` is not a pass number; expected 1 or more"
            )),
        }
    }
}

/// Passes a failpoint. If it is armed and its count is reached, kills the process.
#[inline]
pub fn pass(point: Failpoint) {
    if ARMED.load(Ordering::Relaxed) == point as u8 {
        count_down();
    }
}

#[cold]
fn count_down() {
    if PASSES_LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
        kill_process();
    }
}

/// Ends the process as `kill -9` does: no destructors, no flush, no handlers.
fn kill_process() -> ! {
    #[cfg(unix)]
    {
        // SIGKILL cannot be refused; the abort below is a fallback.
        let _dead = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_failpoint_with_an_optional_pass_number() {
        for point in Failpoint::ALL {
            let armed: ArmedFailpoint = format!("{}:3", point.name()).parse().unwrap();
            assert_eq!(armed, ArmedFailpoint { point, pass: 3 });
        }
        let armed: ArmedFailpoint = "after-commit".parse().unwrap();
        assert_eq!(armed.pass, 1);
        for wrong in [
            "",
            "commit",
            "after-commit:",
            "after-commit:0",
            "after-commit:x",
        ] {
            assert!(wrong.parse::<ArmedFailpoint>().is_err(), "{wrong}");
        }
    }
}
