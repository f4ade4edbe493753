//! Parses `with`: the parameters of a step, checked against its block's description.

use super::super::definition::ParamValue;
use super::super::parameter_types::coerce;
use super::{Context, alternatives};
use crate::block::{Description, Kind, Parameter, Value};
use crate::message::ChannelKind;
use promoflow_document::{
    Diagnostics, Entry, Fields, Node, NodeValue, TemplateCheck, check_template, entries, quoted,
};

/// Parses the parameters of a step.
pub(super) fn read(
    step: &Fields<'_>,
    block: &Description,
    context: Context<'_>,
    out: &mut Diagnostics,
) -> Vec<(String, ParamValue)> {
    let given = match step.get("with") {
        Some(node) => entries(node, "`with`", out),
        None => Some(Vec::new()),
    };
    // If `with` is not a mapping, only that is reported.
    let Some(given) = given else {
        return Vec::new();
    };
    for parameter in missing(block, &given) {
        let name = quoted(&parameter.name);
        let message = format!(
            "the step lacks the required parameter {name} of {}",
            quoted(&block.name)
        );
        let hint = format!("add {name} under `with`: {}", parameter.title);
        out.error(step.at(), message, Some(hint));
    }
    let mut with = Vec::new();
    let mut constants = Vec::new();
    for entry in given {
        let Some(parameter) = block.parameters.iter().find(|p| p.name == entry.key) else {
            unknown(entry, block, out);
            continue;
        };
        let before = out.errors();
        let typed = is_typed(&parameter.kind);
        let value = entry.value.to_json(typed);
        if let Some(value) = check_param(&entry.value, parameter, &value, context.templates, out) {
            constants.push((parameter, &entry.value, value));
        }
        if out.errors() == before {
            alternatives::check(block, entry, context, out);
        }
        with.push((entry.key.clone(), ParamValue::from(value)));
    }
    check_messages(block, &constants, context, out);
    with
}

/// Returns the required parameters that are missing.
pub(super) fn missing<'b>(
    block: &'b Description,
    given: &'b [&Entry],
) -> impl Iterator<Item = &'b Parameter> {
    let required = block.parameters.iter().filter(|one| one.required);
    required.filter(|one| !given.iter().any(|entry| entry.key == one.name))
}

/// Returns true if unquoted numbers and booleans keep their type instead of becoming text.
pub(super) fn is_typed(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Integer { .. } | Kind::Decimal { .. } | Kind::Boolean | Kind::Any
    )
}

fn unknown(entry: &Entry, block: &Description, out: &mut Diagnostics) {
    let names = || {
        block
            .parameters
            .iter()
            .map(|parameter| parameter.name.as_str())
    };
    let message = format!(
        "{} has no parameter {}",
        quoted(&block.name),
        quoted(&entry.key)
    );
    let hint = out.did_you_mean(&entry.key, names()).unwrap_or_else(|| {
        format!(
            "its parameters are {}",
            names().collect::<Vec<_>>().join(", ")
        )
    });
    out.error(entry.key_at, message, Some(hint));
}

/// Checks a parameter as far as possible before a run. Returns the converted value, or `None` if it
/// depends on the run's data or is invalid.
pub(super) fn check_param(
    node: &Node,
    parameter: &Parameter,
    value: &serde_json::Value,
    templates: &dyn TemplateCheck,
    out: &mut Diagnostics,
) -> Option<Value> {
    let before = out.errors();
    let depends = depends_on_data(node, is_typed(&parameter.kind), templates, out);
    if out.errors() != before {
        return None;
    }
    if depends && !never_matches(node, &parameter.kind) {
        return None;
    }
    // A null value is no value, whatever the type.
    let value = if node.is_null() {
        &serde_json::Value::Null
    } else {
        value
    };
    match coerce(&parameter.kind, value) {
        Ok(value) => Some(value),
        Err(mismatch) => {
            let message = format!(
                "expected {} for {}, found {}",
                mismatch.expected,
                quoted(&parameter.name),
                mismatch.found
            );
            out.error(node.at, message, mismatch.hint);
            None
        }
    }
}

/// Returns true if a text in the node contains references. Checks each text as a template.
fn depends_on_data(
    node: &Node,
    typed: bool,
    templates: &dyn TemplateCheck,
    out: &mut Diagnostics,
) -> bool {
    match &node.content {
        NodeValue::Scalar(scalar) if typed && !scalar.to_json().is_string() => false,
        NodeValue::Scalar(_) => check_template(node, templates, out).unwrap_or(false),
        // Counts instead of searching, because each item must be checked, also after one that
        // depends.
        NodeValue::List(items) => {
            let depend = |item: &&Node| depends_on_data(item, typed, templates, out);
            items.iter().filter(depend).count() > 0
        }
        NodeValue::Mapping(entries) => {
            let depend = |entry: &&Entry| depends_on_data(&entry.value, typed, templates, out);
            entries.iter().filter(depend).count() > 0
        }
    }
}

/// Returns true if a list or mapping cannot match the type, whatever its references evaluate to.
fn never_matches(node: &Node, kind: &Kind) -> bool {
    match (&node.content, kind) {
        (NodeValue::Scalar(_), _) | (_, Kind::Any) => false,
        (NodeValue::Mapping(entries), Kind::Choice(alternatives)) => {
            let [entry] = entries.as_slice() else {
                return true;
            };
            !alternatives
                .iter()
                .any(|alternative| alternative.name == entry.key)
                || entry.value.scalar().is_none()
        }
        _ => true,
    }
}

/// Checks that messages which are named literally exist and belong to the step's channel.
pub(super) fn check_messages(
    block: &Description,
    constants: &[(&Parameter, &Node, Value)],
    context: Context<'_>,
    out: &mut Diagnostics,
) {
    let channel = channel(block, constants);
    for (parameter, node, value) in constants {
        let (Kind::Message, Value::Text(id)) = (&parameter.kind, value) else {
            continue;
        };
        match (context.catalog.message(id), channel) {
            (None, _) => {
                let ids = context.catalog.message_ids();
                let hint = out
                    .did_you_mean(id, ids.iter().map(String::as_str))
                    .unwrap_or_else(|| "apply it first with `promoflow message apply`".into());
                out.error(
                    node.at,
                    format!("unknown message {}", quoted(id)),
                    Some(hint),
                );
            }
            (Some(message), Some(channel)) if message.channel != channel => {
                let message = format!(
                    "the message {} is for {}, but the step's channel is {channel}",
                    quoted(id),
                    message.channel
                );
                let hint = "change the message or the channel".to_owned();
                out.error(node.at, message, Some(hint));
            }
            _ => {}
        }
    }
}

/// Returns the channel that the step names literally, or its block's default.
fn channel(block: &Description, constants: &[(&Parameter, &Node, Value)]) -> Option<ChannelKind> {
    let parameter = block.parameters.iter().find(|p| p.kind == Kind::Channel)?;
    let given = constants.iter().find(|(p, ..)| p.name == parameter.name);
    let value = given
        .map(|(.., value)| value)
        .or(parameter.default.as_ref())?;
    match value {
        Value::Text(name) => name.parse().ok(),
        _ => None,
    }
}
