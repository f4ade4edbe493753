//! Parses `ports`, and resolves the target of every port of every step.

use std::collections::HashMap;

use super::super::definition::Target;
use super::steps::{END, StepDraft};
use promoflow_document::{Diagnostics, Entry, Position, entries, quoted, text};

/// A port with its target.
pub(in crate::workflow) struct Edge {
    /// The port's name.
    pub(in crate::workflow) port: String,
    /// The target.
    pub(in crate::workflow) target: Target,
    /// The position in the workflow file; `None` if the file does not mention the port.
    pub(in crate::workflow) at: Option<Position>,
}

/// The possible targets of ports.
struct Steps<'n> {
    numbers: HashMap<&'n str, usize>,
    /// The ids and the word for the end, for hints.
    names: Vec<&'n str>,
}

/// Resolves the ports of each step, in the order of its block's description.
pub(super) fn resolve(drafts: &[StepDraft<'_>], out: &mut Diagnostics) -> Vec<Vec<Edge>> {
    let numbers: HashMap<&str, usize> = drafts
        .iter()
        .enumerate()
        .filter_map(|(number, draft)| Some((draft.id?, number)))
        .collect();
    let mut names: Vec<_> = numbers.keys().copied().chain([END]).collect();
    // Sorted, so that the hint is deterministic.
    names.sort_unstable();
    let steps = Steps { numbers, names };
    drafts
        .iter()
        .enumerate()
        .map(|(number, draft)| {
            let said = explicit(draft, &steps, out);
            let Some(block) = &draft.block else {
                return Vec::new();
            };
            let next = match number + 1 < drafts.len() {
                true => Target::Step(number + 1),
                false => Target::End,
            };
            let lead = |port: &crate::block::Port| {
                let said = said.iter().find(|(name, ..)| *name == port.name);
                let target = match said {
                    Some((_, target, _)) => *target,
                    None if port.follows => next,
                    None => Target::Unconnected,
                };
                Edge {
                    port: port.name.clone(),
                    target,
                    at: said.map(|(.., at)| *at),
                }
            };
            block.description.ports.iter().map(lead).collect()
        })
        .collect()
}

/// Reads the entries of `ports`.
fn explicit<'d>(
    draft: &StepDraft<'d>,
    steps: &Steps<'_>,
    out: &mut Diagnostics,
) -> Vec<(&'d str, Target, Position)> {
    let Some(node) = draft.ports else {
        return Vec::new();
    };
    let Some(entries) = entries(node, "`ports`", out) else {
        return Vec::new();
    };
    entries
        .into_iter()
        .filter_map(|entry| {
            let target = target(entry, steps, out);
            check_name(entry, draft, out);
            Some((entry.key.as_str(), target?, entry.value.at))
        })
        .collect()
}

fn target(entry: &Entry, steps: &Steps<'_>, out: &mut Diagnostics) -> Option<Target> {
    let name = text(&entry.value, &entry.key, out)?;
    if name == END {
        return Some(Target::End);
    }
    if let Some(number) = steps.numbers.get(name) {
        return Some(Target::Step(*number));
    }
    let message = format!(
        "the port {} leads to the unknown step {}",
        quoted(&entry.key),
        quoted(name)
    );
    let hint = out
        .did_you_mean(name, steps.names.iter().copied())
        .unwrap_or_else(|| "use the id of a step, or `end`".into());
    out.error(entry.value.at, message, Some(hint));
    None
}

fn check_name(entry: &Entry, draft: &StepDraft<'_>, out: &mut Diagnostics) {
    let Some(block) = &draft.block else { return };
    let names = || {
        block
            .description
            .ports
            .iter()
            .map(|port| port.name.as_str())
    };
    if names().any(|name| name == entry.key) {
        return;
    }
    let block = &block.description.name;
    let message = format!("{} has no port {}", quoted(block), quoted(&entry.key));
    let hint = out
        .did_you_mean(&entry.key, names())
        .unwrap_or_else(|| format!("its ports are {}", names().collect::<Vec<_>>().join(", ")));
    out.error(entry.key_at, message, Some(hint));
}
