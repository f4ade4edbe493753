//! The service as its clients see it: the real program, real HTTP.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of a suite may panic too; clippy only recognises test functions"
)]

mod alerts;
mod atomic_upload;
mod browsers;
mod certificate;
mod cloudevents;
mod configuration;
mod connections;
mod contacts;
mod events;
mod examples;
mod forms;
mod idempotency;
mod keys;
mod limits;
mod logs;
mod metrics;
mod openapi;
mod promocodes;
mod rejected_uploads;
mod resources;
mod restore;
mod service;
mod shutdown;
mod test_runs;
mod tls;
mod traces;
mod unsubscribe;
mod upgrade;
mod uploads;
