//! Promo codes sent from a workflow, exactly once.
//!
//! A shop uploads its codes; an event ("birthday", "cart abandoned") starts a workflow of blocks;
//! one block claims the next matching code from the pool, another sends it in a message. Each code
//! is used once, even if the process crashes. [`Promoflow`] is an open installation and the entry
//! point of this crate:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
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
//! problem with its line and column. docs/embedding.md is the guide, with the features of this
//! crate; `examples/embed` is a program with a channel of its own.
//!
//! # Map
//!
//! | to | use |
//! | --- | --- |
//! | open an installation | [`Promoflow`], [`Builder`], [`config`] |
//! | load codes and contacts | [`pool`], [`contact`] |
//! | load what authors write | [`workflow`], [`message`], [`document`] |
//! | send events | [`event`], [`EngineHandle`], [`EventSender`], [`run`] |
//! | read what happened | [`store`], [`Observer`], [`alert`], [`metrics`] |
//! | deliver messages | [`channel`] |
//! | limit blocks | [`block`] |
//! | serve HTTP | `api`, with the feature `server`; [`key`] |
//!
//! The packages `promoflow-…` behind this facade are internal: their interfaces change in any
//! release. The only one to depend on directly is `promoflow-store`, to implement a store.
#![forbid(unsafe_code)]

pub use promoflow_model::{alert, clock, database, event, key, message, workflow, zone};

pub use promoflow_document::MAX_VALUE_DEPTH;
pub use promoflow_engine::observer::{Observation, Observer};
pub use promoflow_installation::{
    AppliedFile, Builder, EXPIRING_DAYS, EngineHandle, Error, EventSender, GroupForecast,
    Promoflow, Submission, WatchedGroup, default_maildir,
};

/// The HTTP service.
#[cfg(feature = "server")]
pub mod api {
    pub use promoflow_server::{
        Limits, Options, ProbeError, ServeError, Tls, check, document, probe, serve,
    };
}

/// WebAssembly components in sandboxes, and what they say of themselves.
pub mod block {
    pub use promoflow_block_host::{
        BlockLibrary, Bounds, CompileLimits, Compiler, Grants, Interface, LibraryBlock,
        LibraryError, RejectedBlock, compile_if_asked,
    };
    pub use promoflow_model::block::*;
}

/// Channels: how messages leave the host.
pub mod channel {
    #[cfg(any(feature = "http-channel", feature = "smtp"))]
    pub use promoflow_channels::ChannelError;
    #[cfg(feature = "http-channel")]
    pub use promoflow_channels::Http;
    pub use promoflow_channels::{
        Channel, Console, DeliveryOutcome, Limits, OutboundMessage, RateLimited,
    };
    #[cfg(feature = "smtp")]
    pub use promoflow_channels::{Maildir, Smtp};
}

/// The configuration file.
pub mod config {
    pub use promoflow_config::{
        ChannelConfig, Config, ConfigError, HttpConfig, LogConfig, LogFormat, LogLevel,
        MaildirConfig, Rate, Secret, SecretError, Security, ServeConfig, SmtpConfig, TraceConfig,
        Transport, UnsubscribeConfig, WebhookConfig,
    };
}

/// The people that events are about.
pub mod contact {
    pub use promoflow_engine::import::ContactOptions;
    pub use promoflow_model::contact::*;
}

/// Mistakes in files, each with its position.
pub mod document {
    pub use promoflow_document::{Diagnostic, Severity};
}

/// Counters and gauges for operators.
pub mod metrics {
    pub use promoflow_engine::metrics::Metrics;
    #[cfg(feature = "metrics")]
    pub use promoflow_engine::metrics::{MEDIA_TYPE, Registry};
}

/// Promo codes: uploads, what a claim asks for, dates.
pub mod pool {
    pub use promoflow_engine::import::{ImportError, ImportOptions, ImportProgress, ImportReport};
    pub use promoflow_model::pool::*;
}

/// The results of events, and of test runs.
pub mod run {
    pub use promoflow_engine::run::{Receipt, SubmitError, TestRunReport, TestRunWait};
}

/// Stored runs, codes and deliveries; the trait of a store, and the stores in SQLite and PostgreSQL.
pub mod store {
    pub use promoflow_store::{
        Action, ActionResult, Alternative, Applied, AttemptRow, ClaimMark, CodeGroupCount, CodeRow,
        DeliveryHistory, DeliveryId, DeliveryRow, DeliveryState, EventRowId, FailureKind,
        Notification, NotificationId, PoolCount, PromiseReport, Reservation, RetireResult,
        RetryState, RunId, RunRow, RunState, StepRecord, Store, StoreError, StoredResponse,
        StoredWorkflow, UploadId, UploadRow, UploadState, UsedBy, WorkflowState, WorkflowVersionId,
    };
    #[cfg(feature = "postgres")]
    pub use promoflow_store_postgres::PostgresStore;
    pub use promoflow_store_sqlite::{Restored, SqliteStore};
}
