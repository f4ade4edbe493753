//! The messages that a step names literally: its own, and those of its alternatives.

use serde_json::Value as Json;

use super::definition::{ParamValue, Step};
use crate::block::{Argument, Description, Kind, Parameter};
use crate::message::ChannelKind;

/// A message that a step names literally.
pub(super) struct MessageRef<'s> {
    /// The parameter that names the message, of the step or the alternative.
    pub(super) parameter: String,
    /// The parameter that lists alternatives, and the index of the alternative, counted from 0;
    /// `None` for the step itself.
    pub(super) alternative: Option<(String, usize)>,
    /// The message's id.
    pub(super) message: &'s str,
    /// The channel, if the workflow names it literally.
    pub(super) channel: Option<ChannelKind>,
}

/// Returns the messages that a step names literally, in order. Ids with references are only known
/// during the run.
pub(super) fn message_refs<'s>(step: &'s Step, block: &Description) -> Vec<MessageRef<'s>> {
    let mut message_refs = own_refs(step, block);
    for list in parameters(block, &Kind::Targets) {
        let Some(ParamValue::Json(Json::Array(entries))) = step_param(step, &list.name) else {
            continue;
        };
        for (number, entry) in entries.iter().enumerate() {
            let text = |key: &str| entry.get(key)?.as_str();
            let Some(message) = text("message") else {
                continue;
            };
            message_refs.push(MessageRef {
                parameter: "message".into(),
                alternative: Some((list.name.clone(), number)),
                message,
                channel: text("channel").and_then(|name| name.parse().ok()),
            });
        }
    }
    message_refs
}

/// Returns a parameter of a step.
pub(super) fn step_param<'s>(step: &'s Step, name: &str) -> Option<&'s ParamValue> {
    let (_, value) = step.with.iter().find(|(given, _)| given == name)?;
    Some(value)
}

/// Returns a block's parameters of that kind.
fn parameters<'b>(block: &'b Description, kind: &'b Kind) -> impl Iterator<Item = &'b Parameter> {
    block.parameters.iter().filter(move |one| one.kind == *kind)
}

/// Returns the messages that the step's own parameters name.
fn own_refs<'s>(step: &'s Step, block: &Description) -> Vec<MessageRef<'s>> {
    let text = |name: &str| match step_param(step, name)? {
        ParamValue::Text(text) => Some(text.as_str()),
        ParamValue::Json(_) => None,
    };
    let channel =
        parameters(block, &Kind::Channel).find_map(|one| match (text(&one.name), &one.default) {
            (Some(name), _) => name.parse().ok(),
            (None, Some(Argument::Channel(channel))) => Some(*channel),
            (None, _) => None,
        });
    let messages = parameters(block, &Kind::Message).filter_map(|one| {
        Some(MessageRef {
            parameter: one.name.clone(),
            alternative: None,
            message: text(&one.name)?,
            channel,
        })
    });
    messages.collect()
}
