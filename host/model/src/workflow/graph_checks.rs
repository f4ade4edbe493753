//! Checks of the graph of a workflow's steps.

use std::collections::HashSet;

use super::definition::Target;
use super::parse::Edge;
use promoflow_document::{Diagnostics, Position, quoted};

/// Maximum number of steps of a cycle that a message lists.
const MAX_NAMED: usize = 8;

/// A node of the graph: a step.
pub(super) struct Node<'s> {
    /// The step's position in the file.
    pub(super) at: Position,
    /// The step's id.
    pub(super) id: &'s str,
}

/// Rejects steps that no run can reach.
pub(super) fn check_reachable(nodes: &[Node<'_>], edges: &[Vec<Edge>], out: &mut Diagnostics) {
    let mut reached = vec![false; nodes.len()];
    let mut waiting = vec![0];
    while let Some(number) = waiting.pop() {
        if !std::mem::replace(&mut reached[number], true) {
            waiting.extend(edges[number].iter().filter_map(|edge| edge.step()));
        }
    }
    for (node, _) in nodes.iter().zip(reached).filter(|(_, reached)| !reached) {
        let message = format!("no port leads to the step {}", quoted(node.id));
        let hint = "name it under the `ports` of another step, or delete it".to_owned();
        out.error(node.at, message, Some(hint));
    }
}

/// Rejects cycles. A run in a cycle would continue for ever within one transaction, and the graph
/// does not show which blocks wait.
pub(super) fn check_acyclic(nodes: &[Node<'_>], edges: &[Vec<Edge>], out: &mut Diagnostics) {
    let mut done = vec![false; nodes.len()];
    let mut on_path = vec![false; nodes.len()];
    let mut reported = HashSet::new();
    for first in 0..nodes.len() {
        if done[first] {
            continue;
        }
        // The path from `first` to the current step; each entry also has the index of its next
        // port.
        let mut path = vec![(first, 0)];
        on_path[first] = true;
        while let Some((number, port)) = path.last_mut() {
            let number = *number;
            let Some(edge) = edges[number].get(*port) else {
                path.pop();
                on_path[number] = false;
                done[number] = true;
                continue;
            };
            *port += 1;
            let Some(target) = edge.step() else { continue };
            if on_path[target] {
                let begins = path
                    .iter()
                    .position(|(step, _)| *step == target)
                    .unwrap_or(0);
                let cycle: Vec<_> = path[begins..].iter().map(|(step, _)| *step).collect();
                let at = back_edge(&cycle, edges).unwrap_or(nodes[number].at);
                if reported.insert(at) {
                    report_cycle(&cycle, at, nodes, out);
                }
            } else if !done[target] {
                on_path[target] = true;
                path.push((target, 0));
            }
        }
    }
}

/// Returns the position of the edge that leads back, which is most likely the mistake.
fn back_edge(cycle: &[usize], edges: &[Vec<Edge>]) -> Option<Position> {
    let following = cycle.iter().skip(1).chain(cycle.first());
    cycle
        .iter()
        .zip(following)
        .filter(|(from, to)| to <= from)
        .flat_map(|(from, to)| edges[*from].iter().filter(|edge| edge.step() == Some(*to)))
        .filter_map(|edge| edge.at)
        .last()
}

fn report_cycle(cycle: &[usize], at: Position, nodes: &[Node<'_>], out: &mut Diagnostics) {
    let mut names: Vec<_> = cycle
        .iter()
        .take(MAX_NAMED)
        .map(|step| quoted(nodes[*step].id))
        .collect();
    if cycle.len() > MAX_NAMED {
        names.push("…".into());
    }
    names.push(quoted(nodes[cycle[0]].id));
    let message = format!(
        "the steps form a cycle without a wait: {}",
        names.join(" → ")
    );
    out.error(
        at,
        message,
        Some("connect this port to a later step, or to `end`".into()),
    );
}

impl Edge {
    /// Returns the index of the step that the edge leads to, if any.
    fn step(&self) -> Option<usize> {
        match self.target {
            Target::Step(number) => Some(number),
            Target::End | Target::Unconnected => None,
        }
    }
}
