//! Warnings about applied messages: values that the workflows which send them may not set, and
//! workflows that no longer work with them.

use std::collections::HashMap;

use anyhow::Result;

use super::Promoflow;
use promoflow_document::{Diagnostic, Diagnostics, shown};
use promoflow_model::message;
use promoflow_model::message::{KnownValues, Message, Read, Trial, UNSUBSCRIBE_TAG, beside};
use promoflow_model::pool::LaneDoubt;
use promoflow_model::workflow;
use promoflow_model::workflow::{Doubt, Sending, Workflow, sendings};
use promoflow_store::{Store, StoredWorkflow};

impl Promoflow {
    /// Returns warnings about probable mistakes in the messages of a file, which are already
    /// stored.
    pub(super) fn doubts(
        &self,
        file: &str,
        source: &[u8],
        messages: &[&Message],
    ) -> Result<Vec<Diagnostic>> {
        let mut doubts = Doubts {
            out: Diagnostics::new(file),
            file,
            source,
        };
        let workflows = self.store.workflows()?;
        messages.iter().for_each(|one| doubts.of_tools(one));
        let mut trial = Trial::default();
        messages
            .iter()
            .for_each(|one| doubts.of_trial(one, &mut trial));
        if self.parts.unsubscribe.is_none() {
            messages.iter().for_each(|one| doubts.of_unsubscribe(one));
        }
        let lanes = self.store.lanes()?;
        for message in messages {
            for (code, at) in message.code_places() {
                // A message with a fallback text is sent even without a code.
                let doubt = self.lane_doubt(&code.selector.lane, &lanes);
                if let Some(LaneDoubt { why, hint }) = doubt {
                    let warning = format!("{}: {why}", shown(&at.name));
                    doubts.warn(&message.id, &at, warning, hint);
                }
            }
        }
        let mut brought: Vec<String> = Vec::new();
        let mut sent: HashMap<&str, Sent> = HashMap::new();
        // Blocks are compiled to learn which values they read, so only if there are workflows.
        if !workflows.is_empty() {
            let known = self.known(&[])?;
            for StoredWorkflow { workflow, .. } in &workflows {
                brought.extend(workflow::brought(workflow, &known));
                for sending in sendings(workflow, &known) {
                    let Some(message) = messages.iter().find(|one| one.id == sending.message)
                    else {
                        continue;
                    };
                    let of_message = sent.entry(&message.id).or_default();
                    of_message.known.join(&sending.known);
                    let told = doubts.of_sending(message, workflow, sending);
                    of_message.told.extend(told);
                }
            }
        }
        // A message that no workflow sends yet may be sent by any.
        let mut anybodys = KnownValues::new(brought);
        anybodys.extend(workflow::usual_values());
        anybodys.extend(self.store.event_params(None)?);
        anybodys.extend(self.contact_values()?);
        anybodys.extend([PROMOCODE.to_owned()]);
        for message in messages {
            let of_message = sent.remove(message.id.as_str());
            let Sent { known, told } = of_message.unwrap_or_else(|| Sent {
                known: anybodys.clone(),
                told: Vec::new(),
            });
            let wants = message.wants().into_iter();
            for want in wants.filter(|want| !told.contains(&want.read.name)) {
                if let Some((why, hint)) = known.doubt(&want) {
                    let then = want.without_value(message.unset);
                    doubts.warn(&message.id, &want.read, format!("{why}{then}"), hint);
                }
            }
        }
        Ok(doubts.out.into_sorted())
    }
}

/// The default name of the value that *Get promo code* sets.
const PROMOCODE: &str = "promocode";

/// The facts about a message from the workflows that send it.
#[derive(Default)]
struct Sent {
    /// The values that may be set.
    known: KnownValues,
    /// The names of the values for which a warning was issued.
    told: Vec<String>,
}

/// Collects the warnings about a file of messages.
struct Doubts<'d> {
    out: Diagnostics,
    file: &'d str,
    source: &'d [u8],
}

impl Doubts<'_> {
    /// Warns about values that a sending does not set, and returns their names.
    fn of_sending(
        &mut self,
        message: &Message,
        workflow: &Workflow,
        sending: Sending,
    ) -> Vec<String> {
        let mut told = Vec::new();
        let id = shown(&workflow.id);
        if let Some(channel) = sending.channel
            && channel != message.channel
        {
            let warning = format!(
                "the channel is {} now, but step {} of workflow {id} sends it by {channel}: its \
                 runs will fail there",
                message.channel,
                shown(&sending.step)
            );
            let hint = "use another id, or apply the workflow with the new channel";
            let at = Read {
                name: String::new(),
                tag: false,
                part: "channel",
                language: None,
                line: 1,
                column: 1,
            };
            self.warn(&message.id, &at, warning, hint.to_owned());
        }
        for reading in sending.reads {
            let Some(Doubt { why, hint }) = reading.doubt else {
                continue;
            };
            let name = shown(&reading.read.name);
            let warning = format!("the message reads {name}, but in workflow {id} {why}");
            self.warn(&message.id, &reading.read, warning, hint);
            told.push(reading.read.name);
        }
        told
    }

    fn of_tools(&mut self, message: &Message) {
        for one in message.tool_warnings() {
            self.warn(&message.id, &one.at, one.why, one.hint);
        }
    }

    fn of_trial(&mut self, message: &Message, trial: &mut Trial) {
        for (at, why) in trial.failures(message) {
            let part = shown(&at.name);
            let warning = format!("{part} cannot be rendered for a run without values: {why}");
            let hint = "such a run fails; preview the message with `promoflow message render`";
            self.warn(&message.id, &at, warning, hint.to_owned());
        }
    }

    /// Warns if a message prints an unsubscribe address and none is configured.
    fn of_unsubscribe(&mut self, message: &Message) {
        if let Some(at) = message.unsubscribes() {
            let warning = format!(
                "the message prints {UNSUBSCRIBE_TAG}, but the configuration has no [unsubscribe]: \
                 it is held back until one is configured"
            );
            let hint = "see docs/configuration.md for the setup";
            self.warn(&message.id, &at, warning, hint.to_owned());
        }
    }

    fn warn(&mut self, message: &str, at: &Read, warning: String, hint: String) {
        let (html, at) = message::place(self.file, self.source, message, at);
        let of = html.map_or_else(|| self.file.to_owned(), |html| beside(self.file, &html));
        self.out.warning_in(of, at, warning, Some(hint));
    }
}
