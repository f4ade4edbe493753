//! The configuration in memory: the workflows that an event starts, with their compiled plans.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context, Result};
use chrono_tz::Tz;

use super::plan::Plan;
use promoflow_block_host::{Block, BlockLibrary, Grants, Sandboxes};
use promoflow_model::block::Description;
use promoflow_model::event::Event;
use promoflow_model::message::Prepared;
use promoflow_model::pool::Calendar;
use promoflow_store::{ConfigId, Store, StoreError, StoredWorkflow, WorkflowRow, WorkflowState};

/// Maximum number of cached plans of earlier configuration versions.
const MOST_OLD_PLANS: usize = 256;

/// The active workflows of one configuration version.
pub struct Configuration {
    pub(super) id: ConfigId,
    /// True if the contact directory is enabled.
    pub(super) contacts: bool,
    /// The plans by event type.
    starts: HashMap<String, Vec<Arc<Plan>>>,
}

impl Configuration {
    /// Returns the plans of the workflows that an event starts.
    pub(super) fn starts(&self, event: &Event) -> Vec<Arc<Plan>> {
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
pub struct Configurations {
    store: Arc<dyn Store>,
    sandboxes: Arc<Sandboxes>,
    grants: Grants,
    present: Mutex<Option<Arc<Configuration>>>,
    plans: Mutex<HashMap<(WorkflowRow, ConfigId), Arc<Plan>>>,
    blocks: Mutex<HashMap<String, (Arc<Block>, Description)>>,
    /// The calendar of the current configuration.
    calendar: Arc<RwLock<Calendar>>,
    /// The id of a configuration that is known to be outdated.
    outdated: AtomicI64,
}

impl Configurations {
    /// Creates a cache on this store; blocks run in these sandboxes with these grants.
    pub fn new(store: Arc<dyn Store>, sandboxes: Arc<Sandboxes>, grants: Grants) -> Configurations {
        Configurations {
            store,
            sandboxes,
            grants,
            present: Mutex::default(),
            plans: Mutex::default(),
            blocks: Mutex::default(),
            calendar: Arc::new(RwLock::new(Calendar::new(Tz::UTC))),
            outdated: AtomicI64::new(-1),
        }
    }

    /// Adds compiled blocks, so that they are not compiled again.
    pub fn know(&self, library: &BlockLibrary) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, known) in library.iter() {
            let entry = (Arc::clone(&known.block), known.description.clone());
            blocks.insert(known.block.digest().to_owned(), entry);
        }
    }

    /// Returns the current configuration as cached, and reads it only if it is missing or outdated.
    pub(super) fn present(&self) -> Result<Arc<Configuration>> {
        let present = self
            .present
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let outdated = self.outdated.load(Ordering::SeqCst);
        let present = present.filter(|present| present.id.0 != outdated);
        present.map_or_else(|| self.refresh(), Ok)
    }

    /// Returns the shared calendar, which follows the current configuration. It is UTC until a
    /// configuration is read; nothing executes before that.
    pub(super) fn calendar(&self) -> Arc<RwLock<Calendar>> {
        Arc::clone(&self.calendar)
    }

    /// Marks a configuration as outdated, so that the next caller reads it again.
    pub(super) fn is_outdated(&self, id: ConfigId) {
        self.outdated.store(id.0, Ordering::SeqCst);
    }

    /// Returns the id of the cached configuration if no workflow in it listens to events of this
    /// type. Never blocks and evaluates no condition.
    pub(super) fn ignores(&self, event: &Event) -> Option<ConfigId> {
        let present = self.present.try_lock().ok()?;
        let present = present.as_ref()?;
        if present.id.0 == self.outdated.load(Ordering::SeqCst) {
            return None;
        }
        (!present.starts.contains_key(&event.event_type)).then_some(present.id)
    }

    /// Returns the current configuration and reads it again if it has changed.
    pub(super) fn refresh(&self) -> Result<Arc<Configuration>> {
        let id = self.store.config()?;
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = present.as_ref()
            && present.id == id
        {
            return Ok(Arc::clone(present));
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
                    .keep_plan(&stored, id, &messages)
                    .unwrap_or_else(|error| {
                        tracing::error!(
                            workflow = stored.workflow.id,
                            "the workflow cannot run: {error:#}"
                        );
                        Arc::new(Plan::broken(
                            stored.row,
                            &stored.workflow,
                            format!("{error:#}"),
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
            contacts: self.store.contacts_awake()?,
            starts,
        });
        *present = Some(Arc::clone(&configuration));
        Ok(configuration)
    }

    /// Returns the plan of a run that started with this configuration.
    pub(super) fn plan(&self, workflow: WorkflowRow, config: ConfigId) -> Result<Arc<Plan>> {
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
            .with_context(|| format!("workflow version {workflow} is missing"))?;
        self.keep_plan(&stored, config, &self.messages(config)?)
    }

    fn keep_plan(
        &self,
        stored: &StoredWorkflow,
        config: ConfigId,
        messages: &HashMap<String, Arc<Prepared>>,
    ) -> Result<Arc<Plan>> {
        let messages = messages.clone();
        let plan = Plan::new(stored.row, &stored.workflow, messages, &mut |digest| {
            self.block(digest)
        })?;
        let plan = Arc::new(plan);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= MOST_OLD_PLANS {
            plans.clear();
        }
        plans.insert((stored.row, config), Arc::clone(&plan));
        Ok(plan)
    }

    fn messages(&self, config: ConfigId) -> Result<HashMap<String, Arc<Prepared>>> {
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
            match Prepared::new(message) {
                Ok(ready) => drop(prepared.insert(id, Arc::new(ready))),
                // Only deliveries of this message fail; other messages are sent.
                Err(error) => {
                    tracing::error!(message = id, "the message cannot be sent: {error:#}");
                }
            }
        }
        Ok(prepared)
    }

    fn block(&self, digest: &str) -> Result<(Arc<Block>, Description)> {
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
            .with_context(|| format!("the database has no block with digest {digest}"))?;
        let block = Arc::new(Block::load(&self.sandboxes, &stored.bytes, &self.grants)?);
        let entry = (block, stored.description);
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.insert(digest.to_owned(), entry.clone());
        Ok(entry)
    }
}
