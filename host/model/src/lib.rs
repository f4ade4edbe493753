//! The domain of Promoflow: promo codes, events, contacts, workflows, messages.
//!
//! Nothing here reads or writes anything: no file, no database, no network, no sandbox.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`pool`] | promo codes: rows of uploads, what a claim asks for, dates |
//! | [`event`] | what triggers workflows |
//! | [`contact`] | the people that events are about |
//! | [`workflow`], [`message`] | what authors write: parsed, checked, drawn, rendered |
//! | [`block`] | what a block says of itself: parameters, ports, values |
//! | [`alert`] | rules about the pool, and the alerts that they raise |
//! | [`key`] | API keys |
//! | [`database`] | the address of a database |
//! | [`trace_context`] | the trace that a request belongs to |
//! | [`clock`], [`retry`], [`zone`] | time, delays between attempts, time zones by name |
//! | [`redact`] | secrets and addresses in logs |
//!
//! ```
//! use promoflow_model::clock::{Clock, ManualClock, Timestamp};
//!
//! let clock = ManualClock::new(Timestamp(0));
//! clock.advance(1_500);
//! assert_eq!(clock.now().to_string(), "1970-01-01T00:00:01.500Z");
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

pub mod alert;
pub mod block;
pub mod clock;
pub mod contact;
pub mod database;
pub mod event;
#[doc(hidden)]
pub mod failpoint;
pub mod key;
pub mod message;
pub mod pool;
pub mod redact;
pub mod retry;
#[cfg(test)]
mod schema_check;
pub mod trace_context;
pub mod workflow;
pub mod zone;
