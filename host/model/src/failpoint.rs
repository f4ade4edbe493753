//! Failpoints: named places where a process can be told to die, for fault tests.
//!
//! They are compiled in always, so that what the tests kill is the very binary that is shipped;
//! one that is not armed costs a relaxed load of one byte, beside a commit to the disk. Nothing
//! in the library arms one: the command line does, where the environment says so.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// A place to die at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Failpoint {
    /// Units are gathered, nothing of them is written.
    BeforeCommit = 1,
    /// Everything is written, and the transaction is open.
    InsideCommit,
    /// The commit is durable, nobody was told.
    AfterCommit,
    /// Deliveries are due, no attempt has started.
    BeforeAttempt,
    /// The start of attempts is committed, nothing was handed over.
    AfterAttemptStart,
    /// A letter was handed over, the end of its attempt is not committed.
    AfterDelivery,
    /// A batch of an upload is written, and its transaction is open.
    UploadBatch,
    /// A batch of an upload is durable, nobody was told.
    AfterUploadBatch,
    /// What a person ordered is written, with what it releases, and its transaction is open.
    InsideOrder,
    /// What a person ordered is durable, nobody was told.
    AfterOrder,
    /// A letter is durable in the `tmp` of a Maildir, and not in its `new`.
    LetterWritten,
}

impl Failpoint {
    /// All of them.
    pub const ALL: [Failpoint; 11] = [
        Failpoint::BeforeCommit,
        Failpoint::InsideCommit,
        Failpoint::AfterCommit,
        Failpoint::BeforeAttempt,
        Failpoint::AfterAttemptStart,
        Failpoint::AfterDelivery,
        Failpoint::UploadBatch,
        Failpoint::AfterUploadBatch,
        Failpoint::InsideOrder,
        Failpoint::AfterOrder,
        Failpoint::LetterWritten,
    ];

    /// The name by which it is armed.
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
            Failpoint::InsideOrder => "inside-order",
            Failpoint::AfterOrder => "after-order",
            Failpoint::LetterWritten => "letter-written",
        }
    }
}

/// The armed failpoint; 0 is none.
static ARMED: AtomicU8 = AtomicU8::new(0);
/// How often it is still passed.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// A failpoint, and which time it strikes: `name`, or `name:n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    point: Failpoint,
    time: u32,
}

impl Order {
    /// Arms the failpoint in this process.
    pub fn arm(self) {
        LEFT.store(self.time, Ordering::SeqCst);
        ARMED.store(self.point as u8, Ordering::SeqCst);
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Order, String> {
        let (name, time) = text.split_once(':').unwrap_or((text, "1"));
        let point = Failpoint::ALL
            .into_iter()
            .find(|point| point.name() == name)
            .ok_or_else(|| format!("there is no failpoint `{name}`"))?;
        match time.parse() {
            Ok(time @ 1..) => Ok(Order { point, time }),
            _ => Err(format!("`{time}` is not which time it strikes")),
        }
    }
}

/// Passes a failpoint; where it is armed and its time has come, the process is no more.
#[inline]
pub fn pass(point: Failpoint) {
    if ARMED.load(Ordering::Relaxed) == point as u8 {
        count_down();
    }
}

#[cold]
fn count_down() {
    if LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
        die();
    }
}

/// As `kill -9` does: no destructor, no flush, no handler.
fn die() -> ! {
    #[cfg(unix)]
    {
        // It cannot be refused; where it were, the abort below is next best.
        let _dead = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_a_failpoint_and_which_time() {
        for point in Failpoint::ALL {
            let order: Order = format!("{}:3", point.name()).parse().unwrap();
            assert_eq!(order, Order { point, time: 3 });
        }
        let order: Order = "after-commit".parse().unwrap();
        assert_eq!(order.time, 1);
        for wrong in [
            "",
            "commit",
            "after-commit:",
            "after-commit:0",
            "after-commit:x",
        ] {
            assert!(wrong.parse::<Order>().is_err(), "{wrong}");
        }
    }
}
