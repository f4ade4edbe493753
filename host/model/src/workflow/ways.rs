//! The messages that a step names literally: its own, and those of its alternatives.

use serde_json::Value as Json;

use super::definition::{ParamValue, Step};
use crate::block::{Description, Kind, Value};
use crate::message::ChannelKind;

/// The block that supports alternatives, and the parameter that lists them.
pub(super) const OTHERWISE: (&str, &str) = ("send-message", "otherwise");

/// A message that a step names literally.
pub(super) struct Named<'s> {
    /// The parameter that names the message, of the step or the alternative.
    pub(super) parameter: String,
    /// The index of the alternative, counted from 0; `None` for the step itself.
    pub(super) way: Option<usize>,
    /// The message's id.
    pub(super) message: &'s str,
    /// The channel, if the workflow names it literally.
    pub(super) channel: Option<ChannelKind>,
}

/// Returns the messages that a step names literally, in order. Ids with references are only known
/// during the run.
pub(super) fn named<'s>(step: &'s Step, block: &Description) -> Vec<Named<'s>> {
    let of_step = |name: &str| match given(step, name)? {
        ParamValue::Text(text) => Some(text.as_str()),
        ParamValue::Json(_) => None,
    };
    let mut named = of_one(block, true, None, &of_step);
    let (with_ways, otherwise) = OTHERWISE;
    if block.name == with_ways
        && let Some(ParamValue::Json(Json::Array(ways))) = given(step, otherwise)
    {
        for (number, way) in ways.iter().enumerate() {
            let of_way = |name: &str| way.get(name)?.as_str();
            named.extend(of_one(block, false, Some(number), &of_way));
        }
    }
    named
}

/// Returns a parameter of a step.
pub(super) fn given<'s>(step: &'s Step, name: &str) -> Option<&'s ParamValue> {
    let (_, value) = step.with.iter().find(|(given, _)| given == name)?;
    Some(value)
}

fn of_one<'s>(
    block: &Description,
    has_default: bool,
    way: Option<usize>,
    text: &dyn Fn(&str) -> Option<&'s str>,
) -> Vec<Named<'s>> {
    let of_kind = |kind: Kind| block.parameters.iter().filter(move |one| one.kind == kind);
    let channel = of_kind(Kind::Channel).find_map(|one| {
        let default = match &one.default {
            Some(Value::Text(name)) if has_default => Some(name.as_str()),
            _ => None,
        };
        text(&one.name).or(default)?.parse().ok()
    });
    let messages = of_kind(Kind::Message).filter_map(|one| {
        Some(Named {
            parameter: one.name.clone(),
            way,
            message: text(&one.name)?,
            channel,
        })
    });
    messages.collect()
}
