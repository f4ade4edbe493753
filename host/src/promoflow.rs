//! The front door: a [`Promoflow`] is one installation, opened.

use std::collections::HashMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};

use crate::block::{BlockLibrary, Bounds, Grants, Sandboxes};
use crate::channel::{Channel, Maildir};
use crate::clock::{Clock, SystemClock};
use crate::document::{Diagnostic, Parsed};
use crate::event::Event;
use crate::message::{self, Files, Message};
use crate::outbox::Dispatcher;
use crate::pool::{Calendar, Filter, ImportError, ImportOptions, ImportReport, import};
use crate::run::{self, Configurations, Engine, EngineParts, Receipt, Rehearsed, SendError};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    Applied, Audited, CodeRow, Committer, DeliveryId, DeliveryRow, DeliveryState, Order, Ordered,
    PoolCount, Retired, RunId, RunRow, RunState, StepRecord, Store, StoredBlock, StoredWorkflow,
    WorkflowRow, WorkflowState,
};
use crate::workflow::{self, Catalog, CatalogBlock, CatalogMessage, Workflow};

/// Gathers what an installation is made of. Begin with [`Promoflow::builder`].
pub struct Builder {
    database: PathBuf,
    create: bool,
    blocks: Vec<PathBuf>,
    grants: Grants,
    bounds: Bounds,
    cache: Option<PathBuf>,
    channels: Vec<Arc<dyn Channel>>,
    clock: Arc<dyn Clock>,
    workers: usize,
    delivers: bool,
}

impl Builder {
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

    /// Adds a channel. A letter goes through the first that takes its kind; without any, letters
    /// become files in a Maildir beside the database.
    #[must_use]
    pub fn channel(mut self, channel: impl Channel + 'static) -> Builder {
        self.channels.push(Arc::new(channel));
        self
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

    /// Opens the installation. Nothing is executed before [`Promoflow::start`].
    pub fn open(mut self) -> Result<Promoflow> {
        let store = if self.create {
            SqliteStore::open(&self.database)?
        } else {
            SqliteStore::open_existing(&self.database)?
        };
        if self.channels.is_empty() {
            self.channels
                .push(Arc::new(Maildir::new(maildir_beside(&self.database))));
        }
        Ok(Promoflow {
            store: Arc::new(store),
            parts: self,
            sandboxes: OnceLock::new(),
            library: OnceLock::new(),
        })
    }
}

/// Where letters go that no channel was set up for.
pub fn maildir_beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-mail");
    PathBuf::from(name)
}

/// One installation: a pool, its workflows and messages, and their history.
///
/// All methods may be called from any thread. What only looks does not execute anything; events
/// are sent through the [`Running`] that [`start`](Self::start) gives.
pub struct Promoflow {
    store: Arc<SqliteStore>,
    parts: Builder,
    sandboxes: OnceLock<Arc<Sandboxes>>,
    library: OnceLock<BlockLibrary>,
}

/// What became of an applied file: the diagnostics of all documents in it, and what was stored,
/// which is nothing where one of them is an error.
#[derive(Debug)]
pub struct AppliedFile<T> {
    /// Faults and warnings, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// What the file holds, with what became of it.
    pub applied: Vec<(T, Applied)>,
}

impl Promoflow {
    /// An installation in this database.
    pub fn builder(database: impl Into<PathBuf>) -> Builder {
        Builder {
            database: database.into(),
            create: true,
            blocks: Vec::new(),
            grants: Grants::all(),
            bounds: Bounds::default(),
            cache: None,
            channels: Vec::new(),
            clock: Arc::new(SystemClock),
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            delivers: true,
        }
    }

    /// The installation in this database with everything else as it comes.
    pub fn open(database: impl Into<PathBuf>) -> Result<Promoflow> {
        Promoflow::builder(database).open()
    }

    fn sandboxes(&self) -> Result<&Arc<Sandboxes>> {
        if let Some(sandboxes) = self.sandboxes.get() {
            return Ok(sandboxes);
        }
        let made = Sandboxes::new(self.parts.bounds, self.parts.cache.clone())
            .map_err(|error| anyhow::anyhow!("cannot make sandboxes for blocks: {error:#}"))?;
        Ok(self.sandboxes.get_or_init(|| made))
    }

    /// The blocks that workflows may place.
    pub fn blocks(&self) -> Result<&BlockLibrary> {
        if let Some(library) = self.library.get() {
            return Ok(library);
        }
        let sandboxes = self.sandboxes()?;
        let mut library = BlockLibrary::standard(sandboxes)?;
        for folder in &self.parts.blocks {
            library.add_folder(sandboxes, folder, &self.parts.grants)?;
        }
        Ok(self.library.get_or_init(|| library))
    }

    /// Starts the threads that execute: this process does, or waits until the one that does ends.
    pub fn start(&self) -> Result<Running> {
        let store: Arc<dyn Store> = Arc::clone(&self.store) as Arc<dyn Store>;
        let clock = Arc::clone(&self.parts.clock);
        let sandboxes = Arc::clone(self.sandboxes()?);
        let configurations = self.configurations()?;
        let committer = Arc::new(Committer::start(Arc::clone(&store), Arc::clone(&clock))?);
        let dispatcher = self.parts.delivers.then(|| {
            Arc::new(Dispatcher::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&committer),
                self.parts.channels.clone(),
            ))
        });
        let engine = Engine::start(EngineParts {
            store,
            clock,
            sandboxes,
            configurations: Arc::new(configurations),
            committer,
            dispatcher,
            database: Some(self.store.path().to_owned()),
            workers: self.parts.workers,
        })?;
        Ok(Running { engine })
    }

    fn configurations(&self) -> Result<Configurations> {
        let store: Arc<dyn Store> = Arc::clone(&self.store) as Arc<dyn Store>;
        let sandboxes = Arc::clone(self.sandboxes()?);
        let configurations = Configurations::new(store, sandboxes, self.parts.grants.clone());
        if let Some(library) = self.library.get() {
            configurations.know(library);
        }
        Ok(configurations)
    }

    /// What the workflows would do that an event starts. Nothing of it is done: pool, outbox,
    /// events and runs stay as they are.
    pub fn rehearse(&self, event: Event) -> Result<Vec<Rehearsed>, SendError> {
        let store: Arc<dyn Store> = Arc::clone(&self.store) as Arc<dyn Store>;
        let clock = Arc::clone(&self.parts.clock);
        let configurations = self.configurations().map_err(SendError::Configuration)?;
        run::rehearse(event, store, clock, &configurations)
    }

    /// The dates of this installation.
    pub fn calendar(&self) -> Result<Calendar> {
        Ok(self.store.calendar()?)
    }

    /// Sets the time zone in which dates are judged from now on.
    pub fn set_calendar(&self, calendar: Calendar) -> Result<()> {
        Ok(self.store.set_calendar(calendar)?)
    }

    /// Uploads codes. `progress` is told how many rows were taken in all.
    pub fn import(
        &self,
        reader: impl Read + Send,
        options: &ImportOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ImportReport, ImportError> {
        let calendar = self.store.calendar()?;
        import(
            &*self.store,
            calendar,
            self.parts.clock.now(),
            reader,
            options,
            progress,
        )
    }

    /// Gives each code that passes to `visit`.
    pub fn codes(
        &self,
        filter: &Filter,
        mut visit: impl FnMut(CodeRow) -> ControlFlow<()>,
    ) -> Result<()> {
        Ok(self
            .store
            .codes(filter, self.parts.clock.now(), &mut visit)?)
    }

    /// How many codes pass.
    pub fn count(&self, filter: &Filter) -> Result<PoolCount> {
        Ok(self.store.count_codes(filter, self.parts.clock.now())?)
    }

    /// One code, with the deliveries that carry it.
    pub fn code(&self, code: &str) -> Result<Option<(CodeRow, Vec<DeliveryRow>)>> {
        let Some((row, ids)) = self.store.code(code)? else {
            return Ok(None);
        };
        let mut deliveries = Vec::with_capacity(ids.len());
        for id in ids {
            deliveries.extend(self.store.delivery(id)?);
        }
        Ok(Some((row, deliveries)))
    }

    /// Sets unused codes aside.
    pub fn retire(&self, codes: &[String]) -> Result<Retired> {
        Ok(self.store.retire(codes, true, self.parts.clock.now())?)
    }

    /// Brings retired codes back.
    pub fn reinstate(&self, codes: &[String]) -> Result<Retired> {
        Ok(self.store.retire(codes, false, self.parts.clock.now())?)
    }

    /// Checks the messages of a file, and stores them where nothing is wrong with any.
    /// `name` stands in diagnostics; `files` is where the file finds what it names.
    pub fn apply_messages(
        &self,
        name: &str,
        source: &[u8],
        files: &dyn Files,
    ) -> Result<AppliedFile<Message>> {
        let parsed = message::parse(name, source, files, &message::check_template);
        if parsed.has_errors() {
            return Ok(AppliedFile {
                diagnostics: parsed.diagnostics,
                applied: Vec::new(),
            });
        }
        let now = self.parts.clock.now();
        let mut applied = Vec::with_capacity(parsed.items.len());
        for message in parsed.items {
            let done = self.store.put_message(&message, now)?;
            applied.push((message, done));
        }
        Ok(AppliedFile {
            diagnostics: parsed.diagnostics,
            applied,
        })
    }

    /// Checks the messages of a file, and stores nothing.
    pub fn check_messages(name: &str, source: &[u8], files: &dyn Files) -> Parsed<Message> {
        message::parse(name, source, files, &message::check_template)
    }

    /// The present version of every message.
    pub fn messages(&self) -> Result<Vec<Message>> {
        Ok(self.store.messages()?)
    }

    /// Checks the workflows of a file, and changes nothing.
    pub fn check_workflows(&self, name: &str, source: &[u8]) -> Result<Parsed<Workflow>> {
        self.check_workflows_with(name, source, &[])
    }

    /// The same as if `more` messages had been applied.
    pub fn check_workflows_with(
        &self,
        name: &str,
        source: &[u8],
        more: &[Message],
    ) -> Result<Parsed<Workflow>> {
        let messages = self.store.messages()?;
        let messages = messages
            .into_iter()
            .chain(more.iter().cloned())
            .map(|one| (one.id.clone(), one))
            .collect();
        let known = Known {
            blocks: self.blocks()?,
            messages,
        };
        Ok(workflow::parse(
            name,
            source,
            &known,
            &message::check_template,
        ))
    }

    /// Checks the workflows of a file, and stores them, with the blocks that they place, where
    /// nothing is wrong with any.
    pub fn apply_workflows(&self, name: &str, source: &[u8]) -> Result<AppliedFile<Workflow>> {
        let parsed = self.check_workflows(name, source)?;
        if parsed.has_errors() {
            return Ok(AppliedFile {
                diagnostics: parsed.diagnostics,
                applied: Vec::new(),
            });
        }
        let now = self.parts.clock.now();
        let mut applied = Vec::with_capacity(parsed.items.len());
        for workflow in parsed.items {
            for step in &workflow.steps {
                let block = self
                    .blocks()?
                    .get(&step.block)
                    .with_context(|| format!("the block `{}` is gone", step.block))?;
                self.store.put_block(&StoredBlock {
                    digest: step.digest.clone(),
                    description: block.description.clone(),
                    bytes: block.bytes.to_vec(),
                })?;
            }
            let done = self.store.put_workflow(&workflow, now)?;
            applied.push((workflow, done));
        }
        Ok(AppliedFile {
            diagnostics: parsed.diagnostics,
            applied,
        })
    }

    /// The present version of every workflow.
    pub fn workflows(&self) -> Result<Vec<StoredWorkflow>> {
        Ok(self.store.workflows()?)
    }

    /// Whether events start a workflow from now on; false where there is none of that id.
    pub fn set_workflow_state(&self, id: &str, state: WorkflowState) -> Result<bool> {
        Ok(self.store.set_workflow_state(id, state)?)
    }

    /// Ids and versions of the workflows' rows, for listings of runs.
    pub fn workflow_names(&self) -> Result<HashMap<WorkflowRow, (String, u32)>> {
        Ok(self.store.workflow_names()?)
    }

    /// The launch history, the newest first.
    pub fn runs(&self, state: Option<RunState>, limit: usize) -> Result<Vec<RunRow>> {
        Ok(self.store.runs(state, limit)?)
    }

    /// One run with its steps.
    pub fn run(&self, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>> {
        Ok(self.store.run(id)?)
    }

    /// Ends a run, or puts one that failed back to where it failed, due now.
    pub fn order_run(&self, id: RunId, order: Order) -> Result<Ordered> {
        Ok(self.store.order_run(id, order, self.parts.clock.now())?)
    }

    /// Calls a delivery off, or puts one that failed back into the outbox, due now.
    pub fn order_delivery(&self, id: DeliveryId, order: Order) -> Result<Ordered> {
        Ok(self
            .store
            .order_delivery(id, order, self.parts.clock.now())?)
    }

    /// Gives each delivery to `visit`, the oldest first.
    pub fn deliveries(
        &self,
        state: Option<DeliveryState>,
        mut visit: impl FnMut(DeliveryRow) -> ControlFlow<()>,
    ) -> Result<()> {
        Ok(self.store.deliveries(state, &mut visit)?)
    }

    /// One delivery.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>> {
        Ok(self.store.delivery(id)?)
    }

    /// Whether nothing of the whole database may go on now: no run is due, and each due delivery
    /// was tried once.
    pub fn is_idle(&self) -> Result<bool> {
        let now = self.parts.clock.now();
        let all = (RunId(i64::MIN), RunId(i64::MAX));
        Ok(self.store.rested(all.0, all.1, now)?)
    }

    /// Re-derives the promises from the stored rows.
    pub fn audit(&self) -> Result<Vec<Audited>> {
        Ok(self.store.audit()?)
    }
}

/// An installation whose threads run. They end when this is dropped; what is under way is
/// finished first, and what is due later goes on with the next start.
pub struct Running {
    engine: Engine,
}

impl Running {
    /// Sends an event: returns when it is stored durably, with the runs that it started.
    pub fn send(&self, event: Event) -> Result<Receipt, SendError> {
        self.engine.send(event)
    }

    /// Hands in an event and goes on; `answer` is told what became of it, on a thread of the
    /// engine, and must not block. Waits where too many wait already.
    pub fn submit(
        &self,
        event: Event,
        answer: impl FnOnce(Result<Receipt, SendError>) + Send + 'static,
    ) {
        self.engine.submit(event, answer);
    }

    /// Waits until these runs rest: none may go on now, and each due delivery was tried once.
    pub fn rest(&self, runs: &[RunId]) -> Result<()> {
        Ok(self.engine.rest(runs)?)
    }

    /// Waits until nothing of the whole database may go on now.
    pub fn rest_all(&self) -> Result<()> {
        Ok(self.engine.rest_all()?)
    }

    /// Whether this process is the one that executes.
    pub fn executes(&self) -> bool {
        self.engine.executes()
    }

    /// Ends the threads after what is under way.
    pub fn stop(self) {
        self.engine.stop();
    }
}

/// What workflows may refer to in this installation.
struct Known<'k> {
    blocks: &'k BlockLibrary,
    messages: HashMap<String, Message>,
}

impl Catalog for Known<'_> {
    fn block(&self, name: &str) -> Option<CatalogBlock<'_>> {
        self.blocks.get(name).map(|known| CatalogBlock {
            digest: known.block.digest().to_owned(),
            description: &known.description,
        })
    }

    fn block_names(&self) -> Vec<String> {
        self.blocks
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    fn message(&self, id: &str) -> Option<CatalogMessage> {
        self.messages.get(id).map(|message| CatalogMessage {
            channel: message.channel,
        })
    }

    fn message_ids(&self) -> Vec<String> {
        self.messages.keys().cloned().collect()
    }
}
