//! Parses workflow files and reports every error.
//!
//! [`start`] reads what comes before the steps, [`steps`] the steps, [`with`] their parameters,
//! [`alternatives`] the alternatives of a message, and [`ports`] the targets of ports; [`warnings`]
//! reports likely mistakes in valid workflows.

mod alternatives;
mod condition;
mod keys;
mod ports;
mod start;
mod steps;
mod warnings;
mod with;

pub(super) use ports::Edge;
pub use steps::MAX_STEPS;

use super::catalog::Catalog;
use super::definition::Workflow;
use promoflow_document::{
    Diagnostics, Fields, Node, NodeValue, Parsed, TemplateCheck, check_id, quoted, read, text,
};

/// The context that steps are checked against.
#[derive(Clone, Copy)]
struct Context<'c> {
    catalog: &'c dyn Catalog,
    templates: &'c dyn TemplateCheck,
}

/// Reads the workflows of a file, one per document, and checks them against the catalog. `file`
/// names the file in diagnostics.
pub fn parse(
    file: &str,
    bytes: &[u8],
    catalog: &dyn Catalog,
    templates: &dyn TemplateCheck,
) -> Parsed<Workflow> {
    let mut out = Diagnostics::new(file);
    let context = Context { catalog, templates };
    let mut items: Vec<Workflow> = Vec::new();
    for document in read(bytes, &mut out) {
        let before = out.errors();
        let Some(workflow) = workflow(&document, context, &mut out) else {
            continue;
        };
        if items.iter().any(|other| other.id == workflow.id) {
            let message = format!(
                "the workflow {} is defined twice in this file",
                quoted(&workflow.id)
            );
            out.error(
                document.at,
                message,
                Some("give one of them another id".into()),
            );
        }
        if out.errors() == before {
            warnings::warn(&document, &workflow, catalog, &mut out);
            items.push(workflow);
        }
    }
    Parsed {
        items,
        diagnostics: out.into_sorted(),
    }
}

/// Returns `None` only if essential keys are missing or invalid; a workflow may be returned despite
/// errors.
fn workflow(node: &Node, context: Context<'_>, out: &mut Diagnostics) -> Option<Workflow> {
    if is_message(node) {
        let hint = "apply messages with `promoflow message apply`";
        out.error(
            node.at,
            "this is a message, not a workflow",
            Some(hint.into()),
        );
        return None;
    }
    let fields = Fields::read(node, "the workflow", keys::WORKFLOW, out)?;
    let id = fields
        .require("workflow", out)
        .and_then(|node| check_id(node, "workflow", out));
    let name = fields.get("name").and_then(|node| text(node, "name", out));
    let start = fields
        .require("start", out)
        .and_then(|node| start::read(node, out));
    let stop = fields
        .entry("stop")
        .and_then(|entry| start::read_stop(entry, out));
    let steps = fields
        .require("steps", out)
        .and_then(|node| steps::read(node, context, out));
    let id = id?.to_owned();
    Some(Workflow {
        name: name.map_or_else(|| id.clone(), str::to_owned),
        id,
        start: start?,
        stop,
        steps: steps?,
    })
}

fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let NodeValue::Mapping(entries) = &node.content else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    Some(&entry.value)
}

fn is_message(node: &Node) -> bool {
    let NodeValue::Mapping(entries) = &node.content else {
        return false;
    };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    has("message") && !has("workflow")
}

#[cfg(test)]
mod tests;
