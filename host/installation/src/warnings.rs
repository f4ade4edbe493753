//! Warnings about applied messages: values that the workflows which send them may not set, and
//! workflows that no longer work with them.

use std::collections::HashMap;

use super::Promoflow;
use super::Result;
use promoflow_document::{Diagnostic, Diagnostics, quoted};
use promoflow_model::message;
use promoflow_model::message::{
    KnownValues, Message, SmokeRender, UNSUBSCRIBE_TAG, ValueReference, sibling_path,
};
use promoflow_model::pool::CodeGroupWarning;
use promoflow_model::workflow;
use promoflow_model::workflow::{MessageUse, ReadWarning, Workflow, message_uses};
use promoflow_store::StoredWorkflow;

impl Promoflow {
    /// Returns warnings about probable mistakes in the messages of a file, which are already
    /// stored.
    pub(super) fn warnings(
        &self,
        file: &str,
        source: &[u8],
        messages: &[&Message],
    ) -> Result<Vec<Diagnostic>> {
        let mut warnings = Warnings {
            out: Diagnostics::new(file),
            file,
            source,
        };
        let workflows = self.store.workflows()?;
        messages.iter().for_each(|one| warnings.check_tools(one));
        let mut trial = SmokeRender::default();
        messages
            .iter()
            .for_each(|one| warnings.check_smoke_render(one, &mut trial));
        if self.settings.unsubscribe.is_none() {
            messages
                .iter()
                .for_each(|one| warnings.check_unsubscribe(one));
        }
        let code_groups = self.store.code_groups()?;
        for message in messages {
            for (code, at) in message.code_references() {
                // A message with a fallback text is sent even without a code.
                let doubt = self.code_group_warning(&code.selector.code_group, &code_groups);
                if let Some(CodeGroupWarning { why, hint }) = doubt {
                    let warning = format!("{}: {why}", quoted(&at.name));
                    warnings.warn(&message.id, &at, warning, hint);
                }
            }
        }
        let mut brought: Vec<String> = Vec::new();
        let mut sent: HashMap<&str, SentMessage> = HashMap::new();
        // Blocks are compiled to learn which values they read, so only if there are workflows.
        if !workflows.is_empty() {
            let known = self.catalog(&[])?;
            for StoredWorkflow { workflow, .. } in &workflows {
                brought.extend(workflow::available_values(workflow, &known));
                for message_use in message_uses(workflow, &known) {
                    let Some(message) = messages.iter().find(|one| one.id == message_use.message)
                    else {
                        continue;
                    };
                    let sent_message = sent.entry(&message.id).or_default();
                    sent_message.known.join(&message_use.known);
                    let warned = warnings.check_sending(message, workflow, message_use);
                    sent_message.warned.extend(warned);
                }
            }
        }
        // A message that no workflow sends yet may be sent by any.
        let mut any_values = KnownValues::new(brought);
        any_values.extend(workflow::common_values());
        any_values.extend(self.store.event_params(None)?);
        any_values.extend(self.contact_values()?);
        any_values.extend([DEFAULT_CODE_NAME.to_owned()]);
        for message in messages {
            let sent_message = sent.remove(message.id.as_str());
            let SentMessage { known, warned } = sent_message.unwrap_or_else(|| SentMessage {
                known: any_values.clone(),
                warned: Vec::new(),
            });
            let template_references = message.template_references().into_iter();
            for reference in
                template_references.filter(|reference| !warned.contains(&reference.read.name))
            {
                if let Some((why, hint)) = known.warning(&reference) {
                    let then = reference.without_value(message.unset);
                    warnings.warn(&message.id, &reference.read, format!("{why}{then}"), hint);
                }
            }
        }
        Ok(warnings.out.into_sorted())
    }
}

/// The default name of the value that *Get promo code* sets.
const DEFAULT_CODE_NAME: &str = "promocode";

/// The facts about a message from the workflows that send it.
#[derive(Default)]
struct SentMessage {
    /// The values that may be set.
    known: KnownValues,
    /// The names of the values for which a warning was issued.
    warned: Vec<String>,
}

/// Collects the warnings about a file of messages.
struct Warnings<'d> {
    out: Diagnostics,
    file: &'d str,
    source: &'d [u8],
}

impl Warnings<'_> {
    /// Warns about values that a sending does not set, and returns their names.
    fn check_sending(
        &mut self,
        message: &Message,
        workflow: &Workflow,
        message_use: MessageUse,
    ) -> Vec<String> {
        let mut warned = Vec::new();
        let id = quoted(&workflow.id);
        if let Some(channel) = message_use.channel
            && channel != message.channel
        {
            let warning = format!(
                "the channel is {} now, but step {} of workflow {id} sends it by {channel}: its \
                 runs will fail there",
                message.channel,
                quoted(&message_use.step)
            );
            let hint = "use another id, or apply the workflow with the new channel";
            let at = ValueReference {
                name: String::new(),
                tag: false,
                part: "channel",
                language: None,
                line: 1,
                column: 1,
            };
            self.warn(&message.id, &at, warning, hint.to_owned());
        }
        for value_use in message_use.reads {
            let Some(ReadWarning { why, hint }) = value_use.warning else {
                continue;
            };
            let name = quoted(&value_use.read.name);
            let warning = format!("the message reads {name}, but in workflow {id} {why}");
            self.warn(&message.id, &value_use.read, warning, hint);
            warned.push(value_use.read.name);
        }
        warned
    }

    fn check_tools(&mut self, message: &Message) {
        for one in message.tool_warnings() {
            self.warn(&message.id, &one.at, one.why, one.hint);
        }
    }

    fn check_smoke_render(&mut self, message: &Message, trial: &mut SmokeRender) {
        for (at, why) in trial.failures(message) {
            let part = quoted(&at.name);
            let warning = format!("{part} cannot be rendered for a run without values: {why}");
            let hint = "such a run fails; preview the message with `promoflow message render`";
            self.warn(&message.id, &at, warning, hint.to_owned());
        }
    }

    /// Warns if a message prints an unsubscribe address and none is configured.
    fn check_unsubscribe(&mut self, message: &Message) {
        if let Some(at) = message.unsubscribe_reference() {
            let warning = format!(
                "the message prints {UNSUBSCRIBE_TAG}, but the configuration has no [unsubscribe]: \
                 it is held back until one is configured"
            );
            let hint = "see docs/configuration.md for the setup";
            self.warn(&message.id, &at, warning, hint.to_owned());
        }
    }

    fn warn(&mut self, message: &str, at: &ValueReference, warning: String, hint: String) {
        let (html, at) = message::locate_reference(self.file, self.source, message, at);
        let of = html.map_or_else(
            || self.file.to_owned(),
            |html| sibling_path(self.file, &html),
        );
        self.out.warning_in(of, at, warning, Some(hint));
    }
}
