//! Promo codes sent from a workflow, exactly once.
//!
//! A shop uploads its codes; an event ("birthday", "cart abandoned") starts a workflow of blocks;
//! one block claims the next matching code from the pool, another sends it in a message. Each code
//! is used once, even if the process crashes. [`Promoflow`] is an open installation and the entry
//! point of this crate:
//!
//! ```
//! # fn main() -> anyhow::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! use promoflow::{Promoflow, event::Event, message::Folder};
//!
//! let promoflow = Promoflow::open(folder.path().join("shop.db"))?;
//! promoflow.apply_messages(
//!     "greeting.yaml",
//!     b"{ message: greeting, channel: sms, text: \"Your code: $!data.get('promocode')\" }",
//!     &Folder::new("."),
//! )?;
//! promoflow.apply_workflows(
//!     "birthday.yaml",
//!     b"
//! workflow: birthday
//! start: { event: birthday }
//! steps:
//!   - { id: code, block: get-promocode, with: { type: birthday, discount: 10, days: 7 } }
//!   - { id: sms, block: send-message, with: { channel: sms, message: greeting } }
//! ",
//! )?;
//! let codes = "code,expirationDate,discount,type\nSPRING-1,2099-12-31,10,birthday\n";
//! promoflow.import(codes.as_bytes(), &Default::default(), &mut |_| ())?;
//!
//! let running = promoflow.start()?;
//! let receipt = running.send(Event::new("birthday", "ann").with_param("Phone", "+380501234567"))?;
//! running.wait_idle(&receipt.runs)?;
//!
//! let mut texts = Vec::new();
//! promoflow.deliveries(None, |delivery| {
//!     texts.extend(delivery.content.text);
//!     std::ops::ControlFlow::Continue(())
//! })?;
//! assert_eq!(texts, ["Your code: SPRING-1"]);
//! # Ok(())
//! # }
//! ```
//!
//! A mistake in a file is not an error of the call: [`AppliedFile::diagnostics`] lists every
//! problem with its line and column. `examples/embed` is a program with a channel of its own.
//!
//! # Modules
//!
//! | module | contents |
//! | --- | --- |
//! | [`pool`] | promo codes: uploads, what a claim asks for, dates |
//! | [`upload`] | files of rows: CSV and JSON, read in constant memory |
//! | [`event`] | what triggers workflows |
//! | [`contact`] | the people that events are about |
//! | [`workflow`], [`message`] | what authors write: parsed, checked, drawn, rendered |
//! | [`document`] | YAML and JSON with the position of every value; diagnostics |
//! | [`block`] | WebAssembly components in sandboxes, and the host interfaces available to them |
//! | [`run`] | segments: executed by workers, staged, committed; leases |
//! | [`key`], [`api`] | API keys; the HTTP service |
//! | [`alert`] | rules that watch the pool, and the events they raise |
//! | [`outbox`], [`channel`] | committed deliveries, and how they leave the host |
//! | [`store`] | the one trait through which state is read and committed; SQLite; the committer; the executor lock |
//! | [`config`] | the configuration file |
//! | `net` | clients for other servers: TLS, and HTTP with bounded replies |
//! | [`trace`] | the path of an event as OpenTelemetry spans |
//! | [`metrics`] | counters and gauges for operators; every module counts there |
//! | [`clock`], [`backoff`] | the time, and when to retry |
//! | [`zone`] | time zones by name, with hints for unknown names |
//!
//! Dependencies point one way: `api` → [`Promoflow`] → `run` → `block`, `pool`, `message`, `outbox`
//! → `store`. To follow an event, begin at [`run::Engine::send`].
#![forbid(unsafe_code)]

pub use promoflow_block_host as block_host;
pub use promoflow_channels as channel;
pub use promoflow_config as config;
pub use promoflow_document as document;
pub use promoflow_engine::{metrics, outbox, run};
#[doc(hidden)]
pub use promoflow_model::failpoint;
pub use promoflow_model::{alert, backoff, clock, event, key, message, redact, workflow, zone};
#[cfg(feature = "server")]
pub use promoflow_server as api;
pub use promoflow_tabular as upload;
pub use promoflow_trace as trace;

pub use promoflow_document::MAX_VALUE_DEPTH;
pub use promoflow_engine::observer::{Observation, Observer};
pub use promoflow_installation::{
    AppliedFile, Builder, EXPIRING_DAYS, EngineHandle, Error, EventSender, GroupForecast,
    Promoflow, Submission, WatchedGroup, default_maildir,
};

/// WebAssembly components in sandboxes, and what they say of themselves.
pub mod block {
    pub use promoflow_block_host::*;
    pub use promoflow_model::block::*;
}

/// Promo codes: uploads, what a claim asks for, dates.
pub mod pool {
    pub use promoflow_engine::import::codes::{ImportOptions, ImportProgress, import};
    pub use promoflow_engine::import::{ImportError, ImportReport};
    pub use promoflow_engine::run::ClaimRates;
    pub use promoflow_model::pool::*;
}

/// The people that events are about.
pub mod contact {
    pub use promoflow_engine::import::contacts::{ContactOptions, import};
    pub use promoflow_model::contact::*;
}

/// The traits through which state is read and committed, and SQLite's implementation.
pub mod store {
    pub use promoflow_engine::committer::{CommitError, Committer, Reservation};
    pub use promoflow_store::*;
    pub use promoflow_store_sqlite as sqlite;
}

#[cfg(all(any(test, fuzzing), feature = "smtp"))]
#[doc(hidden)]
pub mod fuzzing;
