//! Parses `otherwise` of *Send message*: alternatives, each checked like the step's own parameters.

use super::super::targets::OTHERWISE;
use super::{Context, with};
use crate::block::{Description, Kind};
use promoflow_document::{Diagnostics, Entry, Node, entries, items, quoted};

/// The keys of an alternative.
const PARTS: [&str; 3] = ["channel", "message", "to"];
/// Maximum number of alternatives: together with the step's own target, as many as a delivery
/// supports.
const MAX_ALTERNATIVES: usize = 5;

/// Checks the alternatives if the entry contains them.
pub(super) fn check(
    block: &Description,
    entry: &Entry,
    context: Context<'_>,
    out: &mut Diagnostics,
) {
    if (block.name.as_str(), entry.key.as_str()) != OTHERWISE {
        return;
    }
    let Some(alternatives) = items(&entry.value, &entry.key, out) else {
        return;
    };
    if alternatives.len() > MAX_ALTERNATIVES || alternatives.is_empty() {
        let message = format!(
            "expected 1 to {MAX_ALTERNATIVES} alternatives, found {}",
            alternatives.len()
        );
        out.error(entry.value.at, message, None);
    }
    let alternative_block = Description {
        parameters: parts(block),
        ..block.clone()
    };
    for alternative in alternatives {
        check_alternative(&alternative_block, alternative, context, out);
    }
}

/// Returns the block's parameters that an alternative may set; channel and message are required.
fn parts(block: &Description) -> Vec<crate::block::Parameter> {
    let parts = PARTS.iter().filter_map(|part| {
        let mut found = block
            .parameters
            .iter()
            .find(|one| one.name == *part)?
            .clone();
        found.required = matches!(found.kind, Kind::Channel | Kind::Message);
        // If the channel depends on the run, nothing is known about it.
        found.default = None;
        Some(found)
    });
    parts.collect()
}

fn check_alternative(
    alternative_block: &Description,
    node: &Node,
    context: Context<'_>,
    out: &mut Diagnostics,
) {
    let Some(given) = entries(node, "an alternative of `otherwise`", out) else {
        return;
    };
    for parameter in with::missing(alternative_block, &given) {
        let name = quoted(&parameter.name);
        out.error(
            node.at,
            format!("an alternative of `otherwise` lacks {name}"),
            None,
        );
    }
    let mut constants = Vec::new();
    for entry in given {
        let parameter = alternative_block
            .parameters
            .iter()
            .find(|one| one.name == entry.key);
        let Some(parameter) = parameter else {
            let message = format!(
                "unknown key {} in an alternative of `otherwise`",
                quoted(&entry.key)
            );
            let hint = out
                .did_you_mean(&entry.key, PARTS)
                .unwrap_or_else(|| format!("known keys: {}", PARTS.join(", ")));
            out.error(entry.key_at, message, Some(hint));
            continue;
        };
        let value = entry.value.to_json(with::is_typed(&parameter.kind));
        if let Some(value) =
            with::check_param(&entry.value, parameter, &value, context.templates, out)
        {
            constants.push((parameter, &entry.value, value));
        }
    }
    with::check_messages(alternative_block, &constants, context, out);
}
