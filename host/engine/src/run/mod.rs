//! Runs: how an event becomes committed effects.
//!
//! An [`Engine`] owns the threads of a process. *Workers* execute segments: each step's block runs
//! in a fresh sandbox and only stages effects. The *committer* groups staged segments into one
//! durable transaction. The *leases* hand out the next codes from memory, so that a claim does not
//! wait for a commit. The *poller* looks for due runs, and the *executor lock* decides which
//! process of a database executes runs. After a segment is committed, the [outbox](crate::outbox)
//! is notified. The *alert monitor* evaluates the alert rules on the pool.

mod alert_monitor;
mod claim;
pub mod claim_rates;
mod completion;
mod contact_overlay;
mod engine;
mod job_queue;
mod leases;
mod plan;
mod poller;
mod run_contacts;
mod run_values;
mod segment;
mod segment_context;
mod send;
mod spans;
mod staged_effects;
mod steps;
mod tag_claims;
mod test_run;
mod trap_monitor;
mod wakeup;
mod worker;
mod workflow_cache;

pub use claim_rates::ClaimRates;
pub use engine::{Engine, EngineError, EngineParts, Receipt, SubmitError};
pub use test_run::test_run;
pub use test_run::{TestRunReport, TestRunWait};
pub use trap_monitor::MAX_TRAPS_IN_A_ROW;
pub use workflow_cache::{Configuration, WorkflowCache};
