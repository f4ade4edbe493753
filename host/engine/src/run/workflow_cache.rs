//! The configuration in memory: the workflows that an event starts, with their compiled plans.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono_tz::Tz;

use super::SubmitError;
use super::plan::{Plan, PlanError, StepBlock};
use crate::committer::CommitError;
use promoflow_block_host::{Block, BlockError, BlockLibrary, Grants, SandboxPool};
use promoflow_model::block::Description;
use promoflow_model::event::Event;
use promoflow_model::message::PreparedMessage;
use promoflow_model::pool::Calendar;
use promoflow_store::{
    ConfigVersion, Store, StoreError, StoredWorkflow, WorkflowState, WorkflowVersionId,
};

/// Maximum number of cached plans of earlier configuration versions.
const MAX_CACHED_PLANS: usize = 256;

/// The reason why a configuration, or the plan of a workflow, cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("workflow version {0} is missing")]
    NoWorkflow(WorkflowVersionId),
    #[error("the database has no block with digest {0}")]
    NoBlock(String),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// A store that fails is no mistake in the configuration: the event may be sent again.
impl From<LoadError> for SubmitError {
    fn from(error: LoadError) -> SubmitError {
        match error {
            LoadError::Store(error) => CommitError(Arc::new(error)).into(),
            error => SubmitError::Configuration(error.to_string()),
        }
    }
}

type Result<T, E = LoadError> = std::result::Result<T, E>;

/// The active workflows of one configuration version.
pub struct Configuration {
    pub(super) id: ConfigVersion,
    /// True if the contact directory is enabled.
    pub(super) contacts: bool,
    /// The plans by event type.
    starts: HashMap<String, Vec<Arc<Plan>>>,
}

impl Configuration {
    /// Returns the plans of the workflows that an event starts.
    pub(super) fn plans_for(&self, event: &Event) -> Vec<Arc<Plan>> {
        let param = |name: &str| event.params.get(name).cloned();
        let plans = self
            .starts
            .get(&event.event_type)
            .map(Vec::as_slice)
            .unwrap_or_default();
        plans
            .iter()
            .filter(|plan| {
                plan.condition
                    .as_ref()
                    .is_none_or(|one| one.matches(&param))
            })
            .cloned()
            .collect()
    }
}

/// Reads the configuration from the store and caches the compiled plans and blocks.
pub struct WorkflowCache {
    store: Arc<dyn Store>,
    sandboxes: Arc<SandboxPool>,
    grants: Grants,
    current: Mutex<Option<Arc<Configuration>>>,
    plans: Mutex<HashMap<(WorkflowVersionId, ConfigVersion), Arc<Plan>>>,
    blocks: Mutex<HashMap<String, (Arc<StepBlock>, Description)>>,
    /// The calendar of the current configuration.
    calendar: Arc<RwLock<Calendar>>,
    /// The id of a configuration that is known to be outdated.
    outdated: AtomicI64,
}

impl WorkflowCache {
    /// Creates a cache on this store; blocks run in these sandboxes with these grants.
    pub fn new(
        store: Arc<dyn Store>,
        sandboxes: Arc<SandboxPool>,
        grants: Grants,
    ) -> WorkflowCache {
        WorkflowCache {
            store,
            sandboxes,
            grants,
            current: Mutex::default(),
            plans: Mutex::default(),
            blocks: Mutex::default(),
            calendar: Arc::new(RwLock::new(Calendar::new(Tz::UTC))),
            outdated: AtomicI64::new(-1),
        }
    }

    /// Adds compiled blocks, so that they are not compiled again.
    pub fn preload(&self, library: &BlockLibrary) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, known) in library.iter() {
            // A block that cannot be linked is loaded on first use, which reports the error.
            if let Ok(block) = known.block.link() {
                let entry = (Arc::new(block), known.description.clone());
                blocks.insert(known.block.digest().to_owned(), entry);
            }
        }
    }

    /// Returns the current configuration as cached, and reads it only if it is missing or outdated.
    pub(super) fn current(&self) -> Result<Arc<Configuration>> {
        let current = self
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let outdated = self.outdated.load(Ordering::SeqCst);
        let current = current.filter(|current| current.id.0 != outdated);
        current.map_or_else(|| self.refresh(), Ok)
    }

    /// Returns the shared calendar, which follows the current configuration. It is UTC until a
    /// configuration is read; nothing executes before that.
    pub(super) fn calendar(&self) -> Arc<RwLock<Calendar>> {
        Arc::clone(&self.calendar)
    }

    /// Marks a configuration as outdated, so that the next caller reads it again.
    pub(super) fn invalidate(&self, id: ConfigVersion) {
        self.outdated.store(id.0, Ordering::SeqCst);
    }

    /// Returns the id of the cached configuration if no workflow in it listens to events of this
    /// type. Never blocks and evaluates no condition.
    pub(super) fn config_without_listener(&self, event: &Event) -> Option<ConfigVersion> {
        let current = self.current.try_lock().ok()?;
        let current = current.as_ref()?;
        if current.id.0 == self.outdated.load(Ordering::SeqCst) {
            return None;
        }
        (!current.starts.contains_key(&event.event_type)).then_some(current.id)
    }

    /// Returns the current configuration and reads it again if it has changed.
    pub(super) fn refresh(&self) -> Result<Arc<Configuration>> {
        let id = self.store.config()?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_ref()
            && current.id == id
        {
            return Ok(Arc::clone(current));
        }
        *self
            .calendar
            .write()
            .unwrap_or_else(PoisonError::into_inner) = self.store.calendar()?;
        let messages = self.messages(id)?;
        let mut starts: HashMap<String, Vec<Arc<Plan>>> = HashMap::new();
        for stored in self.store.workflows()? {
            if stored.state == WorkflowState::Active {
                // A broken workflow stops only its own runs.
                let plan = self
                    .cache_plan(&stored, id, &messages)
                    .unwrap_or_else(|error| {
                        tracing::error!(
                            workflow = stored.workflow.id,
                            "the workflow cannot run: {error}"
                        );
                        Arc::new(Plan::broken(
                            stored.row,
                            &stored.workflow,
                            error.to_string(),
                        ))
                    });
                starts
                    .entry(stored.workflow.start.event.clone())
                    .or_default()
                    .push(plan);
            }
        }
        let configuration = Arc::new(Configuration {
            id,
            contacts: self.store.contacts_enabled()?,
            starts,
        });
        *current = Some(Arc::clone(&configuration));
        Ok(configuration)
    }

    /// Returns the plan of a run that started with this configuration.
    pub(super) fn plan(
        &self,
        workflow: WorkflowVersionId,
        config: ConfigVersion,
    ) -> Result<Arc<Plan>> {
        let kept = self
            .plans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(workflow, config))
            .cloned();
        if let Some(plan) = kept {
            return Ok(plan);
        }
        let stored = self
            .store
            .workflow_version(workflow)?
            .ok_or(LoadError::NoWorkflow(workflow))?;
        self.cache_plan(&stored, config, &self.messages(config)?)
    }

    fn cache_plan(
        &self,
        stored: &StoredWorkflow,
        config: ConfigVersion,
        messages: &HashMap<String, Arc<PreparedMessage>>,
    ) -> Result<Arc<Plan>> {
        let messages = messages.clone();
        let plan = Plan::new(stored.row, &stored.workflow, messages, &mut |digest| {
            self.block(digest)
        })?;
        let plan = Arc::new(plan);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= MAX_CACHED_PLANS {
            plans.clear();
        }
        plans.insert((stored.row, config), Arc::clone(&plan));
        Ok(plan)
    }

    fn messages(&self, config: ConfigVersion) -> Result<HashMap<String, Arc<PreparedMessage>>> {
        let mut prepared = HashMap::new();
        for message in self.store.messages()? {
            let message = match self.store.message_at(&message.id, config) {
                Ok(Some((_, message))) => message,
                Ok(None) => continue,
                // Only deliveries of this message fail; other messages are sent.
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(message = message.id, "the message cannot be sent: {error}");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let id = message.id.clone();
            match PreparedMessage::new(message) {
                Ok(ready) => drop(prepared.insert(id, Arc::new(ready))),
                // Only deliveries of this message fail; other messages are sent.
                Err(error) => {
                    tracing::error!(message = id, "the message cannot be sent: {error}");
                }
            }
        }
        Ok(prepared)
    }

    fn block(&self, digest: &str) -> Result<(Arc<StepBlock>, Description)> {
        let known = self
            .blocks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let stored = self
            .store
            .block(digest)?
            .ok_or_else(|| LoadError::NoBlock(digest.to_owned()))?;
        let block = Block::load(&self.sandboxes, &stored.bytes, &self.grants)?;
        let entry = (Arc::new(block.link()?), stored.description);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.insert(digest.to_owned(), entry.clone());
        Ok(entry)
    }
}
