//! The entry point: a [`Promoflow`] is an open installation.
//!
//! | module | contents |
//! | --- | --- |
//! | `builder` | opening an installation |
//! | `handle`, `sender` | an installation that executes; sending events |
//! | `apply`, `warnings` | messages and workflows |
//! | `contacts`, `channels`, `alerts`, `forecast` | contacts, channels, alerts, the forecast of the pool |
//! | `admin`, `metrics` | what the HTTP service and operators read |
//! | `error` | the error of an installation |
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! use promoflow_installation::Promoflow;
//!
//! let promoflow = Promoflow::open(folder.path().join("shop.db"))?;
//! assert!(promoflow.is_idle()?);
//! # Ok(())
//! # }
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod admin;
mod alerts;
mod apply;
mod builder;
mod channels;
mod contacts;
mod error;
mod forecast;
mod handle;
#[cfg(feature = "metrics")]
mod metrics;
mod migrate;
mod sender;
mod warnings;

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use chrono::DateTime;
use chrono_tz::Tz;

pub use alerts::WatchedGroup;
pub use apply::AppliedFile;
pub use builder::{Builder, default_maildir};
pub use error::{Error, Result};
pub use forecast::{EXPIRING_DAYS, GroupForecast};
pub use handle::EngineHandle;
pub use migrate::Migrated;
pub use sender::{EventSender, Submission};

use promoflow_block_host::{BlockLibrary, SandboxPool};
use promoflow_document::value::check_value;
use promoflow_engine::committer::Committer;
use promoflow_engine::import::{self, ImportError, ImportOptions, ImportProgress, ImportReport};
use promoflow_engine::metrics::Metrics;
use promoflow_engine::outbox::{Dispatcher, DispatcherParts, Unsubscriber};
use promoflow_engine::run;
use promoflow_engine::run::{Engine, EngineParts, SubmitError, TestRunReport, WorkflowCache};
use promoflow_model::database::{self, Database};
use promoflow_model::event::CheckedEvent;
use promoflow_model::pool::{Calendar, Filter};
use promoflow_store::{
    Action, ActionResult, ClaimMark, CodeRow, DeliveryHistory, DeliveryId, DeliveryRow,
    DeliveryState, PoolCount, PromiseReport, RetireResult, RunId, RunRow, RunState, StepRecord,
    Store,
};
use promoflow_store_sqlite as sqlite;
use promoflow_store_sqlite::Restored;
use promoflow_tabular::clean_exact;
#[cfg(feature = "otlp")]
use promoflow_trace::Tracer;

/// Maximum number of rows that are read at once for a visitor.
const MAX_PAGE_ROWS: usize = 1_000;

/// One installation: a pool, its workflows and messages, and their history.
///
/// All methods may be called from any thread. Methods of this type do not execute runs; events are
/// sent through the [`EngineHandle`] that [`start`](Self::start) returns.
pub struct Promoflow {
    store: Arc<dyn Store>,
    settings: Builder,
    sandboxes: OnceLock<Arc<SandboxPool>>,
    library: OnceLock<BlockLibrary>,
    metrics: Arc<Metrics>,
    forecast: forecast::ForecastCache,
    channels: OnceLock<channels::Channels>,
    unsubscriber: OnceLock<Option<Unsubscriber>>,
}

impl Promoflow {
    /// Returns a builder for an installation in this database: the path of a SQLite file.
    pub fn builder(database: impl Into<Database>) -> Builder {
        Builder::new(database.into())
    }

    /// Returns true if the database exists: the file, or the tables in PostgreSQL.
    pub fn exists(database: impl Into<Database>) -> Result<bool> {
        builder::exists(&database.into())
    }

    /// Opens the installation in this database with defaults for everything else.
    pub fn open(database: impl Into<Database>) -> Result<Promoflow> {
        Promoflow::builder(database).open()
    }

    fn sandboxes(&self) -> Result<&Arc<SandboxPool>> {
        if let Some(sandboxes) = self.sandboxes.get() {
            return Ok(sandboxes);
        }
        let (bounds, cache) = (self.settings.bounds, self.settings.cache.clone());
        let made = SandboxPool::with_compiler(bounds, cache, self.settings.compiler.clone())
            .map_err(Error::sandboxes)?;
        Ok(self.sandboxes.get_or_init(|| made))
    }

    /// Returns the blocks that workflows may place.
    pub fn blocks(&self) -> Result<&BlockLibrary> {
        if let Some(library) = self.library.get() {
            return Ok(library);
        }
        let sandboxes = self.sandboxes()?;
        let mut library = BlockLibrary::standard(sandboxes).map_err(Error::block)?;
        for folder in &self.settings.blocks {
            library
                .add_folder(sandboxes, folder, &self.settings.grants)
                .map_err(Error::block)?;
        }
        Ok(self.library.get_or_init(|| library))
    }

    /// Starts the threads that execute. If another process executes, this one waits until it ends.
    /// Reads the secrets of configured channels, unless that was done.
    pub fn start(&self) -> Result<EngineHandle> {
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.settings.clock);
        let sandboxes = Arc::clone(self.sandboxes()?);
        let workflow_cache = self.workflow_cache()?;
        let observers = self.settings.start_observers(&store)?;
        let committer = Arc::new(Committer::start(
            store.clone(),
            Arc::clone(&clock),
            Arc::clone(&self.metrics),
            Arc::clone(&observers),
        )?);
        let tracer = match &self.settings.trace {
            #[cfg(feature = "otlp")]
            Some(config) => Some(Arc::new(Tracer::start(config, Arc::clone(&store))?)),
            #[cfg(not(feature = "otlp"))]
            Some(_) => {
                return Err(Error::configuration(
                    "this program was built without the export of traces; enable the feature \
                     `otlp` of `promoflow`",
                ));
            }
            None => None,
        };
        let dispatcher = match self.settings.delivers {
            true => Some(Arc::new(Dispatcher::new(DispatcherParts {
                store: Arc::clone(&store),
                clock: Arc::clone(&clock),
                committer: Arc::clone(&committer),
                channels: self.channels()?.clone(),
                metrics: Arc::clone(&self.metrics),
                tracer: tracer.clone(),
                drain: self.settings.drain,
                unsubscriber: self.unsubscriber()?.cloned(),
                webhooks: self.settings.make_webhooks()?,
            })?)),
            false => None,
        };
        let engine = Engine::start(EngineParts {
            store,
            clock,
            sandboxes,
            workflow_cache: Arc::new(workflow_cache),
            committer,
            dispatcher,
            metrics: Arc::clone(&self.metrics),
            observers,
            tracer,
            alerts: self.settings.alerts.clone(),
            workers: self.settings.workers,
        })?;
        Ok(EngineHandle {
            engine: Arc::new(engine),
        })
    }

    fn workflow_cache(&self) -> Result<WorkflowCache> {
        let store = Arc::clone(&self.store);
        let sandboxes = Arc::clone(self.sandboxes()?);
        let workflow_cache = WorkflowCache::new(store, sandboxes, self.settings.grants.clone());
        if let Some(library) = self.library.get() {
            workflow_cache.preload(library);
        }
        Ok(workflow_cache)
    }

    /// Runs the workflows that an event would start, without effects: pool, outbox, events and runs
    /// stay unchanged.
    pub fn test_run<E>(&self, event: E) -> Result<Vec<TestRunReport>, SubmitError>
    where
        E: TryInto<CheckedEvent>,
        SubmitError: From<E::Error>,
    {
        let event = event.try_into()?;
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.settings.clock);
        let workflow_cache = self
            .workflow_cache()
            .map_err(|error| SubmitError::Configuration(error.to_string()))?;
        run::test_run(&event, store, clock, &workflow_cache)
    }

    /// Returns true if events are exported as traces.
    pub fn is_tracing(&self) -> bool {
        self.settings.trace.is_some()
    }

    /// Returns the calendar that interprets dates.
    pub fn calendar(&self) -> Result<Calendar> {
        Ok(self.store.calendar()?)
    }

    /// Returns the current time in the installation's time zone, as templates print it.
    pub fn local_time(&self) -> Result<Option<DateTime<Tz>>> {
        Ok(self.calendar()?.local(self.settings.clock.now()))
    }

    /// Sets the calendar, and with it the time zone in which dates are interpreted from now on.
    pub fn set_calendar(&self, calendar: Calendar) -> Result<()> {
        Ok(self.store.set_calendar(calendar)?)
    }

    /// Uploads codes. `progress` is called with the number of rows read so far.
    pub fn import(
        &self,
        reader: impl Read + Send,
        options: &ImportOptions,
        mut progress: &mut dyn FnMut(u64),
    ) -> Result<ImportReport, ImportError> {
        self.import_with_progress(reader, options, &mut progress)
    }

    /// Uploads codes; `watch` receives the id of the upload and its progress.
    pub fn import_with_progress(
        &self,
        reader: impl Read + Send,
        options: &ImportOptions,
        watch: &mut dyn ImportProgress,
    ) -> Result<ImportReport, ImportError> {
        let calendar = self.store.calendar()?;
        import::codes::import(
            &*self.store,
            calendar,
            &*self.settings.clock,
            reader,
            options,
            watch,
        )
    }

    /// Calls `visit` with each code that matches. A code that changes meanwhile is visited as it is
    /// when its turn comes.
    pub fn codes(
        &self,
        filter: &Filter,
        visit: impl FnMut(CodeRow) -> ControlFlow<()>,
    ) -> Result<()> {
        let now = self.settings.clock.now();
        let read = |after: Option<&String>| {
            let after = after.map(String::as_str);
            self.store.codes(filter, after, MAX_PAGE_ROWS, now)
        };
        visit_pages(read, |row| row.code.clone(), visit)
    }

    /// Counts the codes that match.
    pub fn count(&self, filter: &Filter) -> Result<PoolCount> {
        Ok(self.store.count_codes(filter, self.settings.clock.now())?)
    }

    /// Returns a code with the deliveries that contain it.
    pub fn code(&self, code: &str) -> Result<Option<(CodeRow, Vec<DeliveryRow>)>> {
        let Some((row, ids)) = self.store.code(&clean_exact(code))? else {
            return Ok(None);
        };
        let mut deliveries = Vec::with_capacity(ids.len());
        for id in ids {
            deliveries.extend(self.store.delivery(id)?);
        }
        Ok(Some((row, deliveries)))
    }

    /// Retires unused codes.
    pub fn retire(&self, codes: &[String]) -> Result<RetireResult> {
        Ok(self
            .store
            .retire(&normalize_codes(codes), true, &*self.settings.clock)?)
    }

    /// Makes retired codes available again.
    pub fn reinstate(&self, codes: &[String]) -> Result<RetireResult> {
        Ok(self
            .store
            .retire(&normalize_codes(codes), false, &*self.settings.clock)?)
    }

    /// Returns up to `limit` runs, the newest first.
    pub fn runs(&self, state: Option<RunState>, limit: usize) -> Result<Vec<RunRow>> {
        Ok(self.store.runs(state, None, limit)?)
    }

    /// Returns a run with its steps.
    pub fn run(&self, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>> {
        Ok(self.store.run(id)?)
    }

    /// Cancels a run, or makes a failed one due again at the point of failure.
    pub fn apply_run_action(&self, id: RunId, order: Action) -> Result<ActionResult> {
        Ok(self
            .store
            .apply_run_action(id, order, &*self.settings.clock)?)
    }

    /// Passes a run the reply that it waits for; returns false if it does not wait for a reply to
    /// that request. The reply is durable when this returns.
    ///
    /// Fails if the reply is nested deeper than [`MAX_VALUE_DEPTH`](promoflow_document::MAX_VALUE_DEPTH)
    /// or contains the character U+0000.
    pub fn reply(&self, run: RunId, request: &str, reply: &serde_json::Value) -> Result<bool> {
        if let Err(why) = check_value(reply) {
            let why = format!("the reply to `{request}` of run {run}: {why}");
            return Err(Error::Invalid(why));
        }
        Ok(self.store.reply(run, request, &reply.to_string())?)
    }

    /// Cancels a delivery, or makes a failed one due again.
    pub fn apply_delivery_action(&self, id: DeliveryId, order: Action) -> Result<ActionResult> {
        Ok(self
            .store
            .apply_delivery_action(id, order, &*self.settings.clock)?)
    }

    /// Calls `visit` with each delivery, the oldest first.
    pub fn deliveries(
        &self,
        state: Option<DeliveryState>,
        visit: impl FnMut(DeliveryRow) -> ControlFlow<()>,
    ) -> Result<()> {
        let read = |after: Option<&DeliveryId>| {
            self.store.deliveries(state, after.copied(), MAX_PAGE_ROWS)
        };
        visit_pages(read, |row| row.id, visit)
    }

    /// Returns a delivery.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>> {
        Ok(self.store.delivery(id)?)
    }

    /// Returns the alternatives and attempts of a delivery.
    pub fn delivery_history(&self, id: DeliveryId) -> Result<Option<DeliveryHistory>> {
        Ok(self.store.delivery_history(id)?)
    }

    /// Returns true if nothing in the whole database is due now: no run, no delivery, and no
    /// notification to a configured webhook.
    pub fn is_idle(&self) -> Result<bool> {
        let now = self.settings.clock.now();
        let mut idle = self.store.are_idle(None, now)?;
        for webhook in &self.settings.webhooks {
            idle = idle
                && self
                    .store
                    .due_notifications(&webhook.name, now, 1)?
                    .is_empty();
        }
        Ok(idle)
    }

    /// Returns a mark that changes with the pool: its generation and its place in the history of
    /// claims.
    pub fn pool_version(&self) -> Result<(u64, ClaimMark)> {
        Ok((self.store.pool_generation()?, self.store.claim_mark()?))
    }

    /// Copies the database as it is at one moment into a new file, durably, while others write.
    /// Fails if the file exists.
    pub fn backup(&self, to: &std::path::Path) -> Result<()> {
        Ok(self.store.backup(to)?)
    }

    /// Creates a SQLite file at `to` from a backup. The backup must be undamaged and not from a
    /// later release, and its promises must hold. Fails for another database.
    pub fn restore(from: &std::path::Path, to: impl Into<Database>) -> Result<Restored> {
        let to = to.into();
        match to.engine().map_err(Error::invalid)? {
            database::Engine::Sqlite(file) => Ok(sqlite::restore(from, file)?),
            database::Engine::Postgres(_) => Err(Error::invalid(format_args!(
                "{to}: use pg_restore to restore a PostgreSQL database"
            ))),
        }
    }

    /// Checks the promises against the stored rows.
    pub fn audit(&self) -> Result<Vec<PromiseReport>> {
        Ok(self.store.audit()?)
    }
}

/// Calls `visit` with the rows of the pages that `read` returns, each after the row with that key.
/// No read transaction is open while `visit` works.
fn visit_pages<T, K>(
    mut read: impl FnMut(Option<&K>) -> promoflow_store::Result<Vec<T>>,
    key: impl Fn(&T) -> K,
    mut visit: impl FnMut(T) -> ControlFlow<()>,
) -> Result<()> {
    let mut after = None;
    loop {
        let page = read(after.as_ref())?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(key(last));
        for row in page {
            if visit(row).is_break() {
                return Ok(());
            }
        }
    }
}

/// Normalizes codes as uploads do.
fn normalize_codes(codes: &[String]) -> Vec<String> {
    codes
        .iter()
        .map(|code| clean_exact(code).into_owned())
        .collect()
}
