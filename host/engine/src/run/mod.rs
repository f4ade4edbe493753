//! Runs: how an event becomes committed effects.
//!
//! An [`Engine`] owns the threads of a process. *Workers* execute segments: each step's block runs
//! in a fresh sandbox and only stages effects. The *committer* groups staged segments into one
//! durable transaction. The *leases* hand out the next codes from memory, so that a claim does not
//! wait for a commit. The *poller* looks for due runs, and the *executor lock* decides which
//! process of a database executes runs. After a segment is committed, the [outbox](crate::outbox)
//! is notified. The *alert monitor* evaluates the alert rules on the pool.

mod aside;
mod bell;
mod claim;
mod configuration;
mod engine;
mod implied;
mod job_queue;
mod leases;
mod person;
mod plan;
pub mod rates;
mod rehearse;
mod scout;
mod segment;
mod send;
mod settle;
mod step;
mod traced;
mod trap_watch;
mod watch;
mod worker;

pub use configuration::{Configuration, Configurations};
pub use engine::{Engine, EngineParts, Receipt, SendError};
pub use rates::Rates;
pub use rehearse::rehearse;
pub use rehearse::{Rehearsed, WouldWait};
pub use trap_watch::MAX_TRAPS_IN_A_ROW;
