//! What an installation is made of.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;

use super::Promoflow;
use super::exits::{Channels, Exit};
use promoflow_block_host::{Bounds, Compiler, Grants};
use promoflow_channels::Channel;
use promoflow_config::{Config, TraceConfig, UnsubscribeConfig, WebhookConfig};
use promoflow_engine::metrics::Metrics;
use promoflow_engine::outbox::Unsubscriber;
use promoflow_model::alert::Rules;
use promoflow_model::clock::{Clock, SystemClock};
use promoflow_store::Store;
use promoflow_store_sqlite::SqliteStore;

/// Gathers what an installation is made of. Begin with [`Promoflow::builder`].
pub struct Builder {
    pub(super) database: PathBuf,
    pub(super) create: bool,
    pub(super) blocks: Vec<PathBuf>,
    pub(super) grants: Grants,
    pub(super) bounds: Bounds,
    pub(super) cache: Option<PathBuf>,
    pub(super) compiler: Compiler,
    /// How letters leave, the first that takes a kind before others.
    pub(super) exits: Vec<Exit>,
    /// What was made of them, once that was asked for.
    pub(super) channels: Option<Channels>,
    pub(super) clock: Arc<dyn Clock>,
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
    pub(super) fn new(database: PathBuf) -> Builder {
        Builder {
            database,
            create: true,
            blocks: Vec::new(),
            grants: Grants::all(),
            bounds: Bounds::default(),
            cache: None,
            compiler: Compiler::in_process(),
            exits: Vec::new(),
            channels: None,
            clock: Arc::new(SystemClock),
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

    /// Whether to make the database where there is none. It is made unless this says no.
    #[must_use]
    pub fn create(mut self, create: bool) -> Builder {
        self.create = create;
        self
    }

    /// Adds the blocks of a folder, every `*.wasm` of it, to the standard ones.
    #[must_use]
    pub fn blocks(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.blocks.push(folder.into());
        self
    }

    /// What blocks may import: everything of the contract unless this narrows it.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Builder {
        self.grants = grants;
        self
    }

    /// What one call of a block may use.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Builder {
        self.bounds = bounds;
        self
    }

    /// The folder for compiled blocks; it must belong to the host alone. Without it, the user's
    /// own cache folder.
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.cache = Some(folder.into());
        self
    }

    /// How blocks are compiled that do not come with the host: in this process unless this says
    /// another. Where strangers bring blocks, by child processes with limits.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Builder {
        self.compiler = compiler;
        self
    }

    /// Adds a channel. A letter goes through the first that takes its kind; without any, letters
    /// become files in a Maildir beside the database.
    #[must_use]
    pub fn channel(mut self, channel: impl Channel + 'static) -> Builder {
        self.exits.push(Exit::Given(Arc::new(channel)));
        self
    }

    /// Adds the channels of a configuration file, in its order, what it has watched, who is told of
    /// that, where traces go, and where contacts unsubscribe. Secrets are read when delivering starts, or when it is
    /// made [`ready`](Self::ready).
    #[must_use]
    pub fn configure(mut self, config: &Config) -> Builder {
        let channels = config.channels.iter().cloned();
        self.exits.extend(channels.map(Exit::Configured));
        self.webhooks.extend(config.webhooks.iter().cloned());
        self.trace.clone_from(&config.trace);
        if let Some(unsubscribe) = &config.unsubscribe {
            self.unsubscribe = Some(unsubscribe.clone());
        }
        self.alerts(config.alerts.clone())
    }

    /// The clock to ask: the machine's own unless this says another.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Builder {
        self.clock = Arc::new(clock);
        self
    }

    /// Threads that execute blocks: as many as there are cores unless this says otherwise.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Builder {
        self.workers = workers;
        self
    }

    /// Whether this process hands deliveries to channels. It does unless this says no; what it
    /// commits waits in the outbox then, for a process that does.
    #[must_use]
    pub fn delivers(mut self, delivers: bool) -> Builder {
        self.delivers = delivers;
        self
    }

    /// What of the pool is watched. Nothing is unless this says so.
    #[must_use]
    pub fn alerts(mut self, rules: Rules) -> Builder {
        self.alerts = rules;
        self
    }

    /// Exports traces to that collector; with the rest of what a configuration says of traces.
    pub fn trace_to(mut self, endpoint: &str) -> Result<Builder> {
        self.trace = Some(match &self.trace {
            Some(config) => config.with_endpoint(endpoint)?,
            None => TraceConfig::to(endpoint)?,
        });
        Ok(self)
    }

    /// How long the end waits for letters that are being handed over, 10 seconds unless this says
    /// another: an attempt that goes on then has no end, and is made again by the next start.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Builder {
        self.drain = drain;
        self
    }

    /// Opens the installation. Nothing is executed before [`Promoflow::start`].
    pub fn open(mut self) -> Result<Promoflow> {
        let store = if self.create {
            SqliteStore::open(&self.database)?
        } else {
            SqliteStore::open_existing(&self.database)?
        };
        if let Err(error) = store.finish_uploads(&*self.clock) {
            tracing::warn!("an upload that was decided on is not all in yet: {error}");
        }
        self.database = store.path().to_owned();
        Ok(Promoflow {
            store: Arc::new(store),
            channels: self.channels.take().map(OnceLock::from).unwrap_or_default(),
            unsubscriber: self
                .unsubscriber
                .take()
                .map(OnceLock::from)
                .unwrap_or_default(),
            parts: self,
            sandboxes: OnceLock::new(),
            library: OnceLock::new(),
            metrics: Arc::new(Metrics::new()?),
            outlook: Default::default(),
        })
    }
}

/// Where letters go that no channel was set up for.
pub fn maildir_beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-mail");
    PathBuf::from(name)
}
