//! What is odd about messages that were applied: what they read of workflows that send them, and
//! whether those still can.

use anyhow::Result;

use super::Promoflow;
use crate::document::{Diagnostic, Diagnostics, shown};
use crate::message::{self, Message, Read, Trial, UNSUBSCRIBE_TAG, beside};
use crate::store::{Store, StoredWorkflow};
use crate::workflow::{Doubt, Sending, Workflow, sendings};

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
        messages.iter().for_each(|one| doubts.of_tags(one));
        messages.iter().for_each(|one| doubts.of_tools(one));
        let mut trial = Trial::default();
        messages
            .iter()
            .for_each(|one| doubts.of_trial(one, &mut trial));
        if self.parts.unsubscribe.is_none() {
            messages.iter().for_each(|one| doubts.of_unsubscribe(one));
        }
        // Blocks are compiled to know what they read: not for nothing.
        if !workflows.is_empty() {
            let known = self.known(&[])?;
            for StoredWorkflow { workflow, .. } in &workflows {
                for sending in sendings(workflow, &known) {
                    let sent = messages.iter().find(|one| one.id == sending.message);
                    if let Some(message) = sent {
                        doubts.of_sending(message, workflow, sending);
                    }
                }
            }
        }
        Ok(doubts.out.into_sorted())
    }
}

/// What is odd in a file of messages.
struct Doubts<'d> {
    out: Diagnostics,
    file: &'d str,
    source: &'d [u8],
}

impl Doubts<'_> {
    fn of_sending(&mut self, message: &Message, workflow: &Workflow, sending: Sending) {
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
        }
    }

    fn of_tags(&mut self, message: &Message) {
        for at in message.unread_tags() {
            let tag = shown(&at.name);
            let warning = format!("{tag} stands within a directive, where it is no tag");
            let hint = format!(
                "put it into a value before, `#define($value){}#end`, and write `$value` there",
                at.name
            );
            self.warn(&message.id, &at, warning, hint);
        }
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
        let (html, at) = message::place(self.source, message, at);
        let of = html.map_or_else(|| self.file.to_owned(), |html| beside(self.file, &html));
        self.out.warning_in(of, at, warning, Some(hint));
    }
}
