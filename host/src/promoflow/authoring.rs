//! Messages and workflows of an installation: checked, stored, listed.

use std::collections::HashMap;

use anyhow::{Context, Result};

use super::Promoflow;
use crate::block::BlockLibrary;
use crate::document::{Diagnostic, Parsed};
use crate::message::{self, Files, Message};
use crate::store::{Applied, Store, StoredBlock, StoredWorkflow, WorkflowRow, WorkflowState};
use crate::workflow::{
    self, Catalog, CatalogBlock, CatalogMessage, Sending, Uses, Workflow, sendings,
};

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
    /// Checks the messages of a file, and stores them where nothing is wrong with any.
    /// `name` stands in diagnostics; `files` is where the file finds what it names.
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
        let now = self.parts.clock.now();
        let mut diagnostics = parsed.diagnostics;
        let mut applied = Vec::with_capacity(parsed.items.len());
        for message in parsed.items {
            let done = self.store.put_message(&message, now)?;
            applied.push((message, done));
        }
        let messages: Vec<&Message> = applied.iter().map(|(message, _)| message).collect();
        diagnostics.extend(self.doubts(name, source, &messages)?);
        Ok(AppliedFile {
            diagnostics,
            applied,
        })
    }

    /// Checks the messages of a file, and stores nothing.
    pub fn check_messages(name: &str, source: &[u8], files: &dyn Files) -> Parsed<Message> {
        message::parse(name, source, files, &message::check_part)
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
        Ok(workflow::parse(
            name,
            source,
            &self.known(more)?,
            &message::check_template,
        ))
    }

    /// The messages that the steps of a workflow send, what they read, and which promo codes they
    /// take; as if `more` messages had been applied.
    pub fn sendings(&self, workflow: &Workflow, more: &[Message]) -> Result<Vec<Sending>> {
        Ok(sendings(workflow, &self.known(more)?))
    }

    pub(super) fn known(&self, more: &[Message]) -> Result<Known<'_>> {
        let messages = self.store.messages()?;
        let messages = messages
            .into_iter()
            .chain(more.iter().cloned())
            .map(|one| (one.id.clone(), one))
            .collect();
        Ok(Known {
            blocks: self.blocks()?,
            messages,
        })
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
}

/// What workflows may refer to in this installation.
pub(super) struct Known<'k> {
    blocks: &'k BlockLibrary,
    messages: HashMap<String, Message>,
}

impl Catalog for Known<'_> {
    fn block(&self, name: &str) -> Option<CatalogBlock<'_>> {
        self.blocks.get(name).map(|known| CatalogBlock {
            digest: known.block.digest().to_owned(),
            description: &known.description,
            sets_values: known.block.sets_values(),
        })
    }

    fn why_missing(&self, name: &str) -> Option<String> {
        self.blocks.why_missing(name)
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

    fn uses(&self, id: &str) -> Option<Uses> {
        self.messages.get(id).map(|message| Uses {
            reads: message.reads(),
            codes: message.codes(),
        })
    }

    fn message_ids(&self) -> Vec<String> {
        self.messages.keys().cloned().collect()
    }
}
