//! The engine: runs workflows for events, commits what they staged, delivers what is due.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`run`] | workers, segments, leases, waits, alerts |
//! | [`committer`] | group commit: one thread, one transaction for what waits |
//! | [`outbox`] | the dispatcher: committed deliveries, attempted by channels |
//! | [`import`] | uploads of codes and contacts into the store |
//! | [`metrics`] | counts and durations for operators |
//! | [`observer`] | what embedding programs learn after a commit |
//!
//! ```
//! use promoflow_engine::metrics::Metrics;
//!
//! let metrics = Metrics::new().expect("distinct names");
//! metrics.events.accepted.inc();
//! # #[cfg(feature = "metrics")]
//! assert!(metrics.text().expect("text").contains("promoflow_events_total"));
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

pub mod committer;
pub mod import;
pub mod metrics;
pub mod observer;
pub mod outbox;
pub mod run;
mod sync;
