//! Warnings about likely mistakes in valid workflows.

use super::super::catalog::Catalog;
use super::super::definition::{ParamValue, Step, Workflow};
use super::super::message_references::{MessageUse, ReadWarning, known_values, message_uses};
use super::super::targets::{OTHERWISE, step_param};
use super::value;
use crate::block::Kind;
use crate::message::{KnownValues, merge_tags, parse_template, references_of};
use crate::pool::{CodeGroup, CodeGroupWarning};
use crate::zone;
use promoflow_document::{Diagnostics, Node, NodeValue, Position, quoted};

/// The block that claims codes, and its parameters that select the code group.
const TAKES_CODES: &str = "get-promocode";
const TYPE: &str = "type";
const DISCOUNT: &str = "discount";

/// Warns about values that are most likely not set, and codes that the pool does not have.
pub(super) fn warn(node: &Node, workflow: &Workflow, catalog: &dyn Catalog, out: &mut Diagnostics) {
    for message_use in message_uses(workflow, catalog) {
        let at = parameter_at(node, &message_use).unwrap_or(node.at);
        let message = quoted(&message_use.message);
        let mut reported: Vec<String> = Vec::new();
        for value_use in message_use.reads {
            let Some(ReadWarning { why, hint }) = value_use.warning else {
                continue;
            };
            let name = quoted(&value_use.read.name);
            let warning = format!("the message {message} reads {name}, and {why}");
            out.warning(at, warning, Some(hint));
            reported.push(value_use.read.name);
        }
        let template_references = message_use.template_references.iter();
        for reference in
            template_references.filter(|reference| !reported.contains(&reference.read.name))
        {
            if let Some((why, hint)) = message_use.known.warning(reference) {
                let warning = format!("message {message}: {why}");
                out.warning(at, warning, Some(hint));
            }
        }
    }
    let Some(NodeValue::List(nodes)) = value(node, "steps").map(|steps| &steps.content) else {
        return;
    };
    let known = known_values(workflow, catalog);
    for ((step, node), known) in workflow.steps.iter().zip(nodes).zip(&known) {
        if let Some(with) = value(node, "with") {
            zone(step, with, catalog, out);
            texts(with, known, out);
            code_group(step, with, catalog, out);
        }
    }
}

/// Warns about references in the texts of parameters.
fn texts(node: &Node, known: &KnownValues, out: &mut Diagnostics) {
    match &node.content {
        NodeValue::Scalar(scalar) => {
            let Ok(template) = parse_template(scalar.text()) else {
                return;
            };
            let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            for (tag, line, column) in merge_tags(scalar.text()) {
                let tag = format!("%{tag}%");
                let why = format!(
                    "{} is not replaced: merge tags work only in messages",
                    quoted(&tag)
                );
                let hint = "write a reference, such as `$!data.get('EmailAddress')`".to_owned();
                out.warning(scalar.locate(place(line), place(column)), why, Some(hint));
            }
            for (reference, line, column) in references_of(&template) {
                if let Some((why, hint)) = known.warning(&reference) {
                    out.warning(scalar.locate(place(line), place(column)), why, Some(hint));
                }
            }
        }
        NodeValue::List(items) => items.iter().for_each(|item| texts(item, known, out)),
        NodeValue::Mapping(entries) => entries
            .iter()
            .for_each(|entry| texts(&entry.value, known, out)),
    }
}

/// Warns about a time zone with an inverted sign.
fn zone(step: &Step, with: &Node, catalog: &dyn Catalog, out: &mut Diagnostics) {
    let Some(block) = catalog.block(&step.block) else {
        return;
    };
    let parameters = block.description.parameters.iter();
    for parameter in parameters.filter(|one| one.kind == Kind::TimeZone) {
        let Some(node) = value(with, &parameter.name) else {
            continue;
        };
        let zone = node.scalar().and_then(|name| zone::parse(name.text()).ok());
        if let Some(sign_warning) = zone.and_then(zone::sign_warning) {
            out.warning(node.at, sign_warning, None);
        }
    }
}

/// Warns if the pool has no codes of the type and discount that a step names literally.
fn code_group(step: &Step, with: &Node, catalog: &dyn Catalog, out: &mut Diagnostics) {
    if step.block != TAKES_CODES {
        return;
    }
    let Some(ParamValue::Text(code_type)) = step_param(step, TYPE) else {
        return;
    };
    let discount = match step_param(step, DISCOUNT) {
        Some(ParamValue::Json(number)) => number.as_u64(),
        Some(ParamValue::Text(text)) => text.trim().parse().ok(),
        None => Some(0),
    };
    let Some(discount) = discount.and_then(|number| u8::try_from(number).ok()) else {
        return;
    };
    if code_type.contains(['$', '#']) {
        return;
    }
    let code_group = CodeGroup {
        code_type: code_type.clone(),
        discount,
    };
    if let Some(CodeGroupWarning { why, hint }) = catalog.code_group_warning(&code_group) {
        let at = value(with, TYPE).map_or(with.at, |node| node.at);
        out.warning(at, why, Some(hint));
    }
}

/// Returns the position where a step names the message that it sends.
fn parameter_at(workflow: &Node, message_use: &MessageUse) -> Option<Position> {
    let NodeValue::List(steps) = &value(workflow, "steps")?.content else {
        return None;
    };
    let with = value(steps.get(message_use.number)?, "with")?;
    let alternative = match message_use.alternative {
        None => with,
        Some(number) => match &value(with, OTHERWISE.1)?.content {
            NodeValue::List(alternatives) => alternatives.get(number)?,
            _ => return None,
        },
    };
    Some(value(alternative, &message_use.parameter)?.at)
}
