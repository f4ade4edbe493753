//! The builder of an installation.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::Promoflow;
use super::channels::{ChannelSource, Channels};
use super::{Error, Result};
use promoflow_block_host::{Bounds, Compiler, Grants};
use promoflow_channels::Channel;
use promoflow_config::{Config, TraceConfig, UnsubscribeConfig, WebhookConfig};
use promoflow_engine::metrics::Metrics;
#[cfg(feature = "metrics")]
use promoflow_engine::metrics::Registry;
use promoflow_engine::observer::{Observer, Observers};
use promoflow_engine::outbox::Unsubscriber;
use promoflow_model::alert::Rules;
use promoflow_model::clock::{Clock, SystemClock};
use promoflow_model::database::{Database, Engine};
use promoflow_store::Store;
#[cfg(feature = "postgres")]
use promoflow_store_postgres::PostgresStore;
use promoflow_store_sqlite::SqliteStore;

/// Collects the parts of an installation. Created by [`Promoflow::builder`].
pub struct Builder {
    database: Database,
    pub(super) create: bool,
    pub(super) blocks: Vec<PathBuf>,
    pub(super) grants: Grants,
    pub(super) bounds: Bounds,
    pub(super) cache: Option<PathBuf>,
    pub(super) compiler: Compiler,
    /// The channels in order of preference: the first one that supports a kind is used.
    pub(super) channel_sources: Vec<ChannelSource>,
    /// The created channels, if [`resolve_secrets`](Self::resolve_secrets) was called.
    pub(super) channels: Option<Channels>,
    /// The machine's clock until the store is open, unless one was set.
    pub(super) clock: Arc<dyn Clock>,
    is_clock_set: bool,
    store: Option<Arc<dyn Store>>,
    observers: Mutex<Vec<Box<dyn Observer>>>,
    #[cfg(feature = "metrics")]
    registry: Option<Registry>,
    pub(super) workers: usize,
    pub(super) delivers: bool,
    pub(super) drain: Duration,
    pub(super) alerts: Rules,
    pub(super) trace: Option<TraceConfig>,
    pub(super) unsubscribe: Option<UnsubscribeConfig>,
    pub(super) unsubscriber: Option<Option<Unsubscriber>>,
    pub(super) webhooks: Vec<WebhookConfig>,
}

impl Builder {
    pub(super) fn new(database: Database) -> Builder {
        Builder {
            database,
            create: true,
            blocks: Vec::new(),
            grants: Grants::all(),
            bounds: Bounds::default(),
            cache: None,
            compiler: Compiler::in_process(),
            channel_sources: Vec::new(),
            channels: None,
            clock: Arc::new(SystemClock),
            is_clock_set: false,
            store: None,
            observers: Mutex::default(),
            #[cfg(feature = "metrics")]
            registry: None,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            delivers: true,
            drain: Duration::from_secs(10),
            alerts: Rules::default(),
            trace: None,
            unsubscribe: None,
            unsubscriber: None,
            webhooks: Vec::new(),
        }
    }

    /// Creates the database if it does not exist (default: true).
    #[must_use]
    pub fn create(mut self, create: bool) -> Builder {
        self.create = create;
        self
    }

    /// Adds the blocks of a folder, every `*.wasm` in it, to the standard ones.
    #[must_use]
    pub fn blocks(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.blocks.push(folder.into());
        self
    }

    /// Sets the interfaces that blocks may import (default: all).
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Builder {
        self.grants = grants;
        self
    }

    /// Sets the bounds of one call of a block.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Builder {
        self.bounds = bounds;
        self
    }

    /// Sets the folder for compiled blocks; it must belong to the host alone (default: the user's
    /// cache folder).
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.cache = Some(folder.into());
        self
    }

    /// Sets the compiler of blocks that are not built in (default: in this process). For untrusted
    /// blocks, use child processes with limits.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Builder {
        self.compiler = compiler;
        self
    }

    /// Adds a channel. A delivery uses the first one that supports its kind; without any channel,
    /// messages are written to a Maildir next to the database, which needs the feature `smtp`.
    #[must_use]
    pub fn channel(mut self, channel: impl Channel + 'static) -> Builder {
        self.channel_sources
            .push(ChannelSource::Custom(Arc::new(channel)));
        self
    }

    /// Adds the channels, alerts, webhooks, traces and unsubscribe address of a configuration file.
    /// Secrets are read when delivery starts, or by [`resolve_secrets`](Self::resolve_secrets).
    #[must_use]
    pub fn configure(mut self, config: &Config) -> Builder {
        let channels = config.channels.iter().cloned();
        self.channel_sources
            .extend(channels.map(ChannelSource::Configured));
        self.webhooks.extend(config.webhooks.iter().cloned());
        self.trace.clone_from(&config.trace);
        if let Some(unsubscribe) = &config.unsubscribe {
            self.unsubscribe = Some(unsubscribe.clone());
        }
        self.alerts(config.alerts.clone())
    }

    /// Sets the clock (default: that of the store, which in SQLite is the machine's).
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Builder {
        self.clock = Arc::new(clock);
        self.is_clock_set = true;
        self
    }

    /// Sets the store (default: SQLite in the database file).
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Builder {
        self.store = Some(store);
        self
    }

    /// Adds an observer of what this process commits. It is called from the next
    /// [`start`](Promoflow::start) on, until that engine stops.
    #[must_use]
    pub fn observer(self, observer: impl Observer + 'static) -> Builder {
        lock(&self.observers).push(Box::new(observer));
        self
    }

    /// Starts the observers, and the threads that call them.
    pub(super) fn start_observers(&self, store: &Arc<dyn Store>) -> Result<Arc<Observers>> {
        let observers = std::mem::take(&mut *lock(&self.observers));
        Ok(Arc::new(Observers::start(observers, store)?))
    }

    /// Sets the registry in which the metrics are registered (default: one of their own), so that
    /// the embedding program exports them with its own.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics_registry(mut self, registry: Registry) -> Builder {
        self.registry = Some(registry);
        self
    }

    fn make_metrics(&mut self) -> Result<Metrics> {
        #[cfg(feature = "metrics")]
        if let Some(registry) = self.registry.take() {
            return Metrics::with_registry(registry)
                .map_err(|error| Error::Invalid(error.to_string()));
        }
        Metrics::new().map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Sets the number of threads that execute blocks (default: the number of cores).
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Builder {
        self.workers = workers;
        self
    }

    /// Sets whether this process delivers (default: true). If false, its deliveries wait in the
    /// outbox for a process that does.
    #[must_use]
    pub fn delivers(mut self, delivers: bool) -> Builder {
        self.delivers = delivers;
        self
    }

    /// Sets the alert rules (default: none).
    #[must_use]
    pub fn alerts(mut self, rules: Rules) -> Builder {
        self.alerts = rules;
        self
    }

    /// Exports traces to that collector, with the feature `otlp`; other trace settings of the configuration are kept.
    pub fn trace_endpoint(mut self, endpoint: &str) -> Result<Builder> {
        let trace = match &self.trace {
            Some(config) => config.with_endpoint(endpoint),
            None => TraceConfig::new(endpoint),
        }
        .map_err(Error::configuration)?;
        self.trace = Some(trace);
        Ok(self)
    }

    /// Sets how long a shutdown waits for attempts in progress (default: 10 seconds). A longer
    /// attempt stays without a result, and is repeated after the next start.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Builder {
        self.drain = drain;
        self
    }

    /// Returns the folder for messages if no channel is configured.
    pub(super) fn default_maildir(&self) -> PathBuf {
        default_maildir(self.database.clone())
    }

    /// Opens the installation. Nothing is executed before [`Promoflow::start`].
    pub fn open(mut self) -> Result<Promoflow> {
        let store: Arc<dyn Store> = match self.store.take() {
            Some(store) => store,
            None => {
                let (store, database) = open_store(&self.database, self.create)?;
                self.database = database;
                store
            }
        };
        if !self.is_clock_set {
            self.clock = store.clock();
        }
        if let Err(error) = store.finish_uploads(&*self.clock) {
            tracing::warn!("an accepted upload is not completely imported yet: {error}");
        }
        let metrics = Arc::new(self.make_metrics()?);
        Ok(Promoflow {
            store,
            channels: self.channels.take().map(OnceLock::from).unwrap_or_default(),
            unsubscriber: self
                .unsubscriber
                .take()
                .map(OnceLock::from)
                .unwrap_or_default(),
            settings: self,
            sandboxes: OnceLock::new(),
            library: OnceLock::new(),
            metrics,
            forecast: Default::default(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the store of a database, and returns it with the database's full address.
fn open_store(database: &Database, create: bool) -> Result<(Arc<dyn Store>, Database)> {
    match database.engine().map_err(Error::invalid)? {
        Engine::Sqlite(file) => {
            let store = match create {
                true => SqliteStore::open(file)?,
                false => SqliteStore::open_existing(file)?,
            };
            let database = Database::from(store.path());
            Ok((Arc::new(store), database))
        }
        #[cfg(feature = "postgres")]
        Engine::Postgres(address) => {
            let store = match create {
                true => PostgresStore::open(address)?,
                false => PostgresStore::open_existing(address)?,
            };
            Ok((Arc::new(store), database.clone()))
        }
        #[cfg(not(feature = "postgres"))]
        Engine::Postgres(_) => Err(promoflow_store::StoreError::Open(
            "this build of promoflow has no engine for PostgreSQL; name a SQLite file, or add the \
             feature `postgres`"
                .to_owned(),
        )
        .into()),
    }
}

/// Returns true if the database exists: the file, or the tables in PostgreSQL.
pub(super) fn exists(database: &Database) -> Result<bool> {
    match database.engine().map_err(Error::invalid)? {
        Engine::Sqlite(file) => Ok(file.exists()),
        #[cfg(feature = "postgres")]
        Engine::Postgres(address) => Ok(PostgresStore::exists(address)?),
        #[cfg(not(feature = "postgres"))]
        Engine::Postgres(_) => Ok(true),
    }
}

/// Returns the folder for messages if no channel is configured: next to a SQLite file, otherwise in
/// the current folder.
pub fn default_maildir(database: impl Into<Database>) -> PathBuf {
    match database.into().engine() {
        Ok(Engine::Sqlite(file)) => {
            let mut name = file.as_os_str().to_owned();
            name.push("-mail");
            PathBuf::from(name)
        }
        _ => PathBuf::from("promoflow-mail"),
    }
}
