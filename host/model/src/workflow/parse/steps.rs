//! Parses `steps`.

use std::collections::HashMap;

use super::super::catalog::CatalogBlock;
use super::super::definition::{ParamValue, Step};
use super::super::graph_checks;
use super::{Context, keys, ports, with};
use promoflow_document::{Diagnostics, Fields, Node, Position, check_id, items, quoted, text};

/// Maximum number of steps in a workflow. People cannot follow a longer one, and each step is
/// compared with the others.
pub const MAX_STEPS: usize = 500;

/// The target in `ports` that ends the run.
pub(super) const END: &str = "end";

/// A parsed step whose ports are not resolved yet.
pub(super) struct StepDraft<'n> {
    pub(super) at: Position,
    /// `None` if missing or invalid.
    pub(super) id: Option<&'n str>,
    /// `None` if missing or unknown.
    pub(super) block: Option<CatalogBlock<'n>>,
    with: Vec<(String, ParamValue)>,
    pub(super) ports: Option<&'n Node>,
}

/// Parses the steps, resolves their ports and checks the graph.
pub(super) fn read<'n>(
    node: &'n Node,
    context: Context<'n>,
    out: &mut Diagnostics,
) -> Option<Vec<Step>> {
    let items = items(node, "steps", out)?;
    if items.is_empty() {
        out.error(node.at, "the workflow has no steps", None);
        return None;
    }
    if let Some(first) = items.get(MAX_STEPS) {
        out.error(
            first.at,
            format!("a workflow has at most {MAX_STEPS} steps"),
            None,
        );
        return None;
    }
    let before = out.errors();
    let mut seen = HashMap::new();
    let drafts: Vec<_> = items
        .iter()
        .map(|item| draft(item, &mut seen, context, out))
        .collect();
    let edges = ports::resolve(&drafts, out);
    graph_checks::check_acyclic(&graph_nodes(&drafts), &edges, out);
    // With an invalid step or port, a step may seem unreachable that is not.
    if out.errors() == before {
        graph_checks::check_reachable(&graph_nodes(&drafts), &edges, out);
    }
    drafts
        .into_iter()
        .zip(edges)
        .map(|(draft, edges)| step(draft, edges))
        .collect()
}

fn graph_nodes<'d>(drafts: &'d [StepDraft<'_>]) -> Vec<graph_checks::Node<'d>> {
    drafts
        .iter()
        .map(|draft| graph_checks::Node {
            at: draft.at,
            id: draft.id.unwrap_or("?"),
        })
        .collect()
}

fn step(draft: StepDraft<'_>, edges: Vec<ports::Edge>) -> Option<Step> {
    let block = draft.block?;
    Some(Step {
        id: draft.id?.to_owned(),
        block: block.description.name.clone(),
        digest: block.digest,
        with: draft.with,
        ports: edges
            .into_iter()
            .map(|edge| (edge.port, edge.target))
            .collect(),
    })
}

fn draft<'n>(
    node: &'n Node,
    seen: &mut HashMap<&'n str, Position>,
    context: Context<'n>,
    out: &mut Diagnostics,
) -> StepDraft<'n> {
    let nothing = StepDraft {
        at: node.at,
        id: None,
        block: None,
        with: Vec::new(),
        ports: None,
    };
    let Some(fields) = Fields::read(node, "a step", keys::STEP, out) else {
        return nothing;
    };
    let id = fields
        .require("id", out)
        .and_then(|node| id(node, seen, out));
    let block = fields
        .require("block", out)
        .and_then(|node| block(node, context, out));
    let with = match &block {
        Some(block) => with::read(&fields, block.description, context, out),
        None => Vec::new(),
    };
    StepDraft {
        id,
        block,
        with,
        ports: fields.get("ports"),
        ..nothing
    }
}

fn id<'n>(
    node: &'n Node,
    seen: &mut HashMap<&'n str, Position>,
    out: &mut Diagnostics,
) -> Option<&'n str> {
    let id = check_id(node, "id", out)?;
    if id == END {
        let hint = "`end` under `ports` ends the run; choose another id".to_owned();
        out.error(
            node.at,
            "`end` is reserved and cannot be a step's id",
            Some(hint),
        );
        return None;
    }
    if let Some(first) = seen.get(id) {
        let message = format!("duplicate step id {}", quoted(id));
        let hint = format!("first used at {}:{}", first.line, first.column);
        out.error(node.at, message, Some(hint));
        return None;
    }
    seen.insert(id, node.at);
    Some(id)
}

fn block<'n>(
    node: &'n Node,
    context: Context<'n>,
    out: &mut Diagnostics,
) -> Option<CatalogBlock<'n>> {
    let name = text(node, "block", out)?;
    let block = context.catalog.block(name);
    if block.is_none() {
        if let Some(why) = context.catalog.missing_reason(name) {
            let message = format!("the block {} cannot be used: {why}", quoted(name));
            out.error(node.at, message, None);
            return None;
        }
        let names = context.catalog.block_names();
        let hint = out
            .did_you_mean(name, names.iter().map(String::as_str))
            .unwrap_or_else(|| "run `promoflow block list` to see the available blocks".into());
        out.error(
            node.at,
            format!("unknown block {}", quoted(name)),
            Some(hint),
        );
    }
    block
}
