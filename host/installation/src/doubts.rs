//! What is odd about messages that were applied: what they read of workflows that send them, and
//! whether those still can.

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
    /// Warns of what most likely is a mistake in the messages of a file, which are stored already.
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
                // With a text instead it is sent all the same.
                let doubt = self.lane_doubt(&code.selector.lane, &lanes);
                if let Some(LaneDoubt { why, hint }) = doubt {
                    let warning = format!("{}: {why}", shown(&at.name));
                    doubts.warn(&message.id, &at, warning, hint);
                }
            }
        }
        let mut brought: Vec<String> = Vec::new();
        let mut sent: HashMap<&str, Sent> = HashMap::new();
        // Blocks are compiled to know what they read: not for nothing.
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
        // What is sent by no workflow yet may be sent by any.
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

/// The value that *Get promo code* sets where its step says nothing else.
const PROMOCODE: &str = "promocode";

/// What is known of a message by the workflows that send it.
#[derive(Default)]
struct Sent {
    /// The values that may be there.
    known: KnownValues,
    /// The names of those that its author was warned of.
    told: Vec<String>,
}

/// What is odd in a file of messages.
struct Doubts<'d> {
    out: Diagnostics,
    file: &'d str,
    source: &'d [u8],
}

impl Doubts<'_> {
    /// The names of the values that it warns of.
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
                "it is for {} now, and in the workflow {id} the step {} sends it by {channel}: its \
                 runs fail there from now on",
                message.channel,
                shown(&sending.step)
            );
            let hint = "give it another id, or apply the workflow with the other channel";
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
            let warning = format!("it reads {name}, and in the workflow {id} {why}");
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
            let warning = format!("{part} cannot be made for a run without values: {why}");
            let hint = "such a run fails; `promoflow message render` shows it with values";
            self.warn(&message.id, &at, warning, hint.to_owned());
        }
    }

    /// Nothing configured makes the address that a message prints.
    fn of_unsubscribe(&mut self, message: &Message) {
        if let Some(at) = message.unsubscribes() {
            let warning = format!(
                "it prints {UNSUBSCRIBE_TAG}, and the configuration has no [unsubscribe]: it is \
                 held back until it has one"
            );
            let hint = "docs/configuration.md tells how to set it up";
            self.warn(&message.id, &at, warning, hint.to_owned());
        }
    }

    fn warn(&mut self, message: &str, at: &Read, warning: String, hint: String) {
        let (html, at) = message::place(self.file, self.source, message, at);
        let of = html.map_or_else(|| self.file.to_owned(), |html| beside(self.file, &html));
        self.out.warning_in(of, at, warning, Some(hint));
    }
}
