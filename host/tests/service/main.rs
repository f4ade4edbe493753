//! The service as its clients see it: the real program, real HTTP.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of a suite may panic too; clippy only recognises test functions"
)]

mod alerts;
mod browsers;
mod certificate;
mod cloudevents;
mod configured;
mod contacts;
mod crowd;
mod ending;
mod events;
mod examples;
mod forms;
mod idempotency;
mod keys;
mod limits;
mod logs;
mod metrics;
mod openapi;
mod pool;
mod refused;
mod rehearsal;
mod resources;
mod restore;
mod service;
mod strict;
mod tls;
mod traces;
mod unsubscribe;
mod upgrade;
mod uploads;
