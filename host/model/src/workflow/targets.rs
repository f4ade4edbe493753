//! The messages that a step names literally: its own, and those of its alternatives.

use serde_json::Value as Json;

use super::definition::{ParamValue, Step};
use crate::block::{Description, Kind, Value};
use crate::message::ChannelKind;

/// The block that supports alternatives, and the parameter that lists them.
pub(super) const OTHERWISE: (&str, &str) = ("send-message", "otherwise");

/// A message that a step names literally.
pub(super) struct MessageRef<'s> {
    /// The parameter that names the message, of the step or the alternative.
    pub(super) parameter: String,
    /// The index of the alternative, counted from 0; `None` for the step itself.
    pub(super) alternative: Option<usize>,
    /// The message's id.
    pub(super) message: &'s str,
    /// The channel, if the workflow names it literally.
    pub(super) channel: Option<ChannelKind>,
}

/// Returns the messages that a step names literally, in order. Ids with references are only known
/// during the run.
pub(super) fn message_refs<'s>(step: &'s Step, block: &Description) -> Vec<MessageRef<'s>> {
    let of_step = |name: &str| match step_param(step, name)? {
        ParamValue::Text(text) => Some(text.as_str()),
        ParamValue::Json(_) => None,
    };
    let mut message_refs = target_refs(block, true, None, &of_step);
    let (with_alternatives, otherwise) = OTHERWISE;
    if block.name == with_alternatives
        && let Some(ParamValue::Json(Json::Array(alternatives))) = step_param(step, otherwise)
    {
        for (number, alternative) in alternatives.iter().enumerate() {
            let of_alternative = |name: &str| alternative.get(name)?.as_str();
            message_refs.extend(target_refs(block, false, Some(number), &of_alternative));
        }
    }
    message_refs
}

/// Returns a parameter of a step.
pub(super) fn step_param<'s>(step: &'s Step, name: &str) -> Option<&'s ParamValue> {
    let (_, value) = step.with.iter().find(|(given, _)| given == name)?;
    Some(value)
}

fn target_refs<'s>(
    block: &Description,
    has_default: bool,
    alternative: Option<usize>,
    text: &dyn Fn(&str) -> Option<&'s str>,
) -> Vec<MessageRef<'s>> {
    let of_kind = |kind: Kind| block.parameters.iter().filter(move |one| one.kind == kind);
    let channel = of_kind(Kind::Channel).find_map(|one| {
        let default = match &one.default {
            Some(Value::Text(name)) if has_default => Some(name.as_str()),
            _ => None,
        };
        text(&one.name).or(default)?.parse().ok()
    });
    let messages = of_kind(Kind::Message).filter_map(|one| {
        Some(MessageRef {
            parameter: one.name.clone(),
            alternative,
            message: text(&one.name)?,
            channel,
        })
    });
    messages.collect()
}
