//! One suite per promise: real databases, real components in real sandboxes, real processes.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a suite may panic too; clippy only recognises test functions"
)]

mod allowed_hours;
mod alternatives;
mod channel_queues;
mod consent;
mod contacts;
mod damaged_rows;
mod failure_isolation;
mod fairness;
mod forecast;
mod observers;
mod p10_sandbox;
mod p11_test_runs;
mod p12_audit;
mod p1_once;
mod p2_commit;
mod p2_retry;
mod p3_outbox;
mod p4_claims;
mod p4_code_usage;
mod p4_consent;
mod p4_release;
mod p5_events;
mod p5_starts;
mod p6_uploads;
mod p7_durable;
mod p8_expiry;
mod p9_retire;
mod reuse;
mod selection;
mod tag_claims;
mod versions;
mod waits;

/// Path of the helper program.
const HELPER: &str = env!("CARGO_BIN_EXE_helper");
