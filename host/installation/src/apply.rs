//! Messages and workflows of an installation: check, apply, list.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};

use super::Promoflow;
use super::{Error, Result};
use promoflow_block_host::BlockLibrary;
use promoflow_document::{Diagnostic, Parsed};
use promoflow_model::clock::Timestamp;
use promoflow_model::message;
use promoflow_model::message::{Files, Message};
use promoflow_model::pool;
use promoflow_model::pool::{CodeGroup, CodeGroupWarning};
use promoflow_model::workflow;
use promoflow_model::workflow::{
    Catalog, CatalogBlock, CatalogMessage, MessageNeeds, MessageUse, Workflow, message_uses,
};
use promoflow_store::{Applied, StoredBlock, StoredWorkflow, WorkflowState, WorkflowVersionId};

/// The result of applying a file: the diagnostics of all its documents, and the stored items. If a
/// diagnostic is an error, nothing is stored.
#[derive(Debug)]
pub struct AppliedFile<T> {
    /// Errors and warnings, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The items of the file, each with its result.
    pub applied: Vec<(T, Applied)>,
}

impl Promoflow {
    /// Checks the messages of a file, and stores them if none has an error. `name` appears in
    /// diagnostics; `files` resolves the files that it references.
    pub fn apply_messages(
        &self,
        name: &str,
        source: &[u8],
        files: &dyn Files,
    ) -> Result<AppliedFile<Message>> {
        let parsed = message::parse(name, source, files, &message::check_part);
        if parsed.has_errors() {
            return Ok(AppliedFile {
                diagnostics: parsed.diagnostics,
                applied: Vec::new(),
            });
        }
        let now = self.settings.clock.now();
        let mut diagnostics = parsed.diagnostics;
        let mut applied = Vec::with_capacity(parsed.items.len());
        for message in parsed.items {
            let done = self.store.save_message(&message, now)?;
            applied.push((message, done));
        }
        let messages: Vec<&Message> = applied.iter().map(|(message, _)| message).collect();
        diagnostics.extend(self.warnings(name, source, &messages)?);
        Ok(AppliedFile {
            diagnostics,
            applied,
        })
    }

    /// Checks the messages of a file, and stores nothing.
    pub fn check_messages(name: &str, source: &[u8], files: &dyn Files) -> Parsed<Message> {
        message::parse(name, source, files, &message::check_part)
    }

    /// Returns the current version of every message.
    pub fn messages(&self) -> Result<Vec<Message>> {
        Ok(self.store.messages()?)
    }

    /// Checks the workflows of a file, and changes nothing.
    pub fn check_workflows(&self, name: &str, source: &[u8]) -> Result<Parsed<Workflow>> {
        self.check_workflows_with(name, source, &[])
    }

    /// Like [`check_workflows`](Self::check_workflows), as if the messages in `more` had been
    /// applied.
    pub fn check_workflows_with(
        &self,
        name: &str,
        source: &[u8],
        more: &[Message],
    ) -> Result<Parsed<Workflow>> {
        Ok(workflow::parse(
            name,
            source,
            &self.catalog(more)?,
            &message::check_template,
        ))
    }

    /// Returns the messages that the steps of a workflow send, the values they read, and the promo
    /// codes they claim, as if the messages in `more` had been applied.
    pub fn message_uses(&self, workflow: &Workflow, more: &[Message]) -> Result<Vec<MessageUse>> {
        Ok(message_uses(workflow, &self.catalog(more)?))
    }

    pub(super) fn catalog(&self, more: &[Message]) -> Result<InstallationCatalog<'_>> {
        let messages = self.store.messages()?;
        let messages = messages
            .into_iter()
            .chain(more.iter().cloned())
            .map(|one| (one.id.clone(), one))
            .collect();
        Ok(InstallationCatalog {
            blocks: self.blocks()?,
            messages,
            pool: self,
            code_groups: OnceCell::new(),
            contact_values: OnceCell::new(),
            event_values: RefCell::default(),
        })
    }

    /// Checks the workflows of a file; if none has an error, stores them and the blocks that they
    /// place.
    pub fn apply_workflows(&self, name: &str, source: &[u8]) -> Result<AppliedFile<Workflow>> {
        let parsed = self.check_workflows(name, source)?;
        if parsed.has_errors() {
            return Ok(AppliedFile {
                diagnostics: parsed.diagnostics,
                applied: Vec::new(),
            });
        }
        let now = self.settings.clock.now();
        let mut applied = Vec::with_capacity(parsed.items.len());
        for workflow in parsed.items {
            for step in &workflow.steps {
                let block = self
                    .blocks()?
                    .get(&step.block)
                    .ok_or_else(|| Error::block(format!("block `{}` is missing", step.block)))?;
                self.store.save_block(&StoredBlock {
                    digest: step.digest.clone(),
                    description: block.description.clone(),
                    bytes: block.bytes.to_vec(),
                })?;
            }
            let done = self.store.save_workflow(&workflow, now)?;
            applied.push((workflow, done));
        }
        Ok(AppliedFile {
            diagnostics: parsed.diagnostics,
            applied,
        })
    }

    /// Returns the current version of every workflow.
    pub fn workflows(&self) -> Result<Vec<StoredWorkflow>> {
        Ok(self.store.workflows()?)
    }

    /// Sets whether events start a workflow from now on; returns false if the id is unknown.
    pub fn set_workflow_state(&self, id: &str, state: WorkflowState) -> Result<bool> {
        Ok(self.store.set_workflow_state(id, state)?)
    }

    /// Returns ids and versions by workflow row, for lists of runs.
    pub fn workflow_names(&self) -> Result<HashMap<WorkflowVersionId, (String, u32)>> {
        Ok(self.store.workflow_names()?)
    }
}

/// The names that workflows of this installation can refer to.
pub(super) struct InstallationCatalog<'k> {
    blocks: &'k BlockLibrary,
    messages: HashMap<String, Message>,
    pool: &'k Promoflow,
    /// The code groups that ever had a code; loaded on first use.
    code_groups: OnceCell<Vec<CodeGroup>>,
    contact_values: OnceCell<Vec<String>>,
    /// Parameter names by event type.
    event_values: RefCell<HashMap<String, Vec<String>>>,
}

/// Maximum number of contacts that are read for the names of their fields.
const MAX_CONTACTS_READ: usize = 500;

impl Promoflow {
    /// Explains why no code of a group can be claimed now; `code_groups` are the groups that ever had a
    /// code.
    pub(super) fn code_group_warning(
        &self,
        code_group: &CodeGroup,
        code_groups: &[CodeGroup],
    ) -> Option<CodeGroupWarning> {
        let now = self.settings.clock.now();
        pool::code_group_warning(code_group, code_groups, &mut |code_group| {
            let free = self
                .store
                .count_available_between(code_group, now, Timestamp::NEVER, 1);
            // A read error is not the author's mistake.
            free.map_or(true, |free| free > 0)
        })
    }

    /// Returns the names under which messages read values of contacts.
    pub(super) fn contact_values(&self) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        if self.store.contacts_enabled()? {
            for contact in self.store.contacts(None, MAX_CONTACTS_READ)? {
                names.extend(contact.values().into_iter().map(|(name, _)| name));
            }
        }
        Ok(names.into_iter().collect())
    }
}

impl Catalog for InstallationCatalog<'_> {
    fn block(&self, name: &str) -> Option<CatalogBlock<'_>> {
        self.blocks.get(name).map(|known| CatalogBlock {
            digest: known.block.digest().to_owned(),
            description: &known.description,
            sets_values: known.block.sets_values(),
        })
    }

    fn missing_reason(&self, name: &str) -> Option<String> {
        self.blocks.missing_reason(name)
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

    fn message_needs(&self, id: &str) -> Option<MessageNeeds> {
        self.messages.get(id).map(|message| MessageNeeds {
            reads: message.reads(),
            template_references: message.template_references(),
            codes: message.codes(),
        })
    }

    fn message_ids(&self) -> Vec<String> {
        self.messages.keys().cloned().collect()
    }

    fn event_values(&self, event: &str) -> Vec<String> {
        let known = self.event_values.borrow().get(event).cloned();
        known.unwrap_or_else(|| {
            let params = self.pool.store.event_params(Some(event));
            let params: Vec<String> = params.unwrap_or_default().into_iter().collect();
            let mut all = self.event_values.borrow_mut();
            all.insert(event.to_owned(), params.clone());
            params
        })
    }

    fn contact_values(&self) -> Vec<String> {
        let values = || self.pool.contact_values().unwrap_or_default();
        self.contact_values.get_or_init(values).clone()
    }

    fn code_group_warning(&self, code_group: &CodeGroup) -> Option<CodeGroupWarning> {
        let code_groups = || self.pool.store.code_groups().unwrap_or_default();
        self.pool
            .code_group_warning(code_group, self.code_groups.get_or_init(code_groups))
    }
}
