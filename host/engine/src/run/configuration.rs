//! The configuration in memory: which workflows an event starts, and plans that are ready.

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

/// Plans that are kept for runs of former configurations.
const MOST_OLD_PLANS: usize = 256;

/// The active workflows at one moment.
pub struct Configuration {
    pub(super) id: ConfigId,
    /// Whether the directory of contacts is awake.
    pub(super) contacts: bool,
    /// By event type.
    starts: HashMap<String, Vec<Arc<Plan>>>,
}

impl Configuration {
    /// The plans of the workflows that an event starts.
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

/// Reads configurations from the store and keeps what was made of them.
pub struct Configurations {
    store: Arc<dyn Store>,
    sandboxes: Arc<Sandboxes>,
    grants: Grants,
    present: Mutex<Option<Arc<Configuration>>>,
    plans: Mutex<HashMap<(WorkflowRow, ConfigId), Arc<Plan>>>,
    blocks: Mutex<HashMap<String, (Arc<Block>, Description)>>,
    /// The calendar of the present configuration.
    calendar: Arc<RwLock<Calendar>>,
    /// A configuration that was seen to be no longer the present one.
    outdated: AtomicI64,
}

impl Configurations {
    /// Reads from this store; blocks run in these sandboxes with these grants.
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

    /// Makes blocks that are compiled already known, so that they are not compiled again.
    pub fn know(&self, library: &BlockLibrary) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, known) in library.iter() {
            let entry = (Arc::clone(&known.block), known.description.clone());
            blocks.insert(known.block.digest().to_owned(), entry);
        }
    }

    /// The present configuration, as far as is known without asking.
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

    /// The calendar of the present configuration, whichever that is; none is executed by before one
    /// was read.
    pub(super) fn calendar(&self) -> Arc<RwLock<Calendar>> {
        Arc::clone(&self.calendar)
    }

    /// Has the configuration read anew by whoever asks next: that one is not the present one.
    pub(super) fn is_outdated(&self, id: ConfigId) {
        self.outdated.store(id.0, Ordering::SeqCst);
    }

    /// The present configuration, as far as is known, if none of its workflows listens to events of
    /// that type. Waits for nobody and evaluates nothing.
    pub(super) fn ignores(&self, event: &Event) -> Option<ConfigId> {
        let present = self.present.try_lock().ok()?;
        let present = present.as_ref()?;
        if present.id.0 == self.outdated.load(Ordering::SeqCst) {
            return None;
        }
        (!present.starts.contains_key(&event.event_type)).then_some(present.id)
    }

    /// The present configuration, read anew where it has changed.
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
                // What is wrong with one workflow stops its own runs alone.
                let plan = self
                    .keep_plan(&stored, id, &messages)
                    .unwrap_or_else(|error| {
                        tracing::error!(workflow = stored.workflow.id, "cannot run: {error:#}");
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

    /// The plan of a run that started with that configuration.
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
            .with_context(|| format!("the version {workflow} of its workflow is missing"))?;
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
                // Its sending fails; other messages are sent.
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(message = message.id, "cannot be sent: {error}");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let id = message.id.clone();
            match Prepared::new(message) {
                Ok(ready) => drop(prepared.insert(id, Arc::new(ready))),
                // Its sending fails; other messages are sent.
                Err(error) => tracing::error!(message = id, "cannot be sent: {error:#}"),
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
