//! Checks of the graph of a workflow's steps.

use std::collections::HashSet;

use super::definition::Target;
use super::parse::Lead;
use promoflow_document::{Diagnostics, Position, shown};

/// Maximum number of steps of a cycle that a message lists.
const MAX_NAMED: usize = 8;

/// A node of the graph: a step.
pub(super) struct Stop<'s> {
    /// The step's position in the file.
    pub(super) at: Position,
    /// The step's id.
    pub(super) id: &'s str,
}

/// Rejects steps that no run can reach.
pub(super) fn refuse_unreached(stops: &[Stop<'_>], leads: &[Vec<Lead>], out: &mut Diagnostics) {
    let mut reached = vec![false; stops.len()];
    let mut waiting = vec![0];
    while let Some(number) = waiting.pop() {
        if !std::mem::replace(&mut reached[number], true) {
            waiting.extend(leads[number].iter().filter_map(|lead| lead.step()));
        }
    }
    for (stop, _) in stops.iter().zip(reached).filter(|(_, reached)| !reached) {
        let message = format!("no port leads to the step {}", shown(stop.id));
        let hint = "name it under the `ports` of another step, or delete it".to_owned();
        out.error(stop.at, message, Some(hint));
    }
}

/// Rejects cycles. A run in a cycle would continue for ever within one transaction, and the graph
/// does not show which blocks wait.
pub(super) fn refuse_cycles(stops: &[Stop<'_>], leads: &[Vec<Lead>], out: &mut Diagnostics) {
    let mut done = vec![false; stops.len()];
    let mut on_path = vec![false; stops.len()];
    let mut noted = HashSet::new();
    for first in 0..stops.len() {
        if done[first] {
            continue;
        }
        // The path from `first` to the current step; each entry also has the index of its next
        // port.
        let mut path = vec![(first, 0)];
        on_path[first] = true;
        while let Some((number, port)) = path.last_mut() {
            let number = *number;
            let Some(lead) = leads[number].get(*port) else {
                path.pop();
                on_path[number] = false;
                done[number] = true;
                continue;
            };
            *port += 1;
            let Some(target) = lead.step() else { continue };
            if on_path[target] {
                let begins = path
                    .iter()
                    .position(|(step, _)| *step == target)
                    .unwrap_or(0);
                let round: Vec<_> = path[begins..].iter().map(|(step, _)| *step).collect();
                let at = backward(&round, leads).unwrap_or(stops[number].at);
                if noted.insert(at) {
                    note(&round, at, stops, out);
                }
            } else if !done[target] {
                on_path[target] = true;
                path.push((target, 0));
            }
        }
    }
}

/// Returns the position of the edge that leads back, which is most likely the mistake.
fn backward(round: &[usize], leads: &[Vec<Lead>]) -> Option<Position> {
    let following = round.iter().skip(1).chain(round.first());
    round
        .iter()
        .zip(following)
        .filter(|(from, to)| to <= from)
        .flat_map(|(from, to)| leads[*from].iter().filter(|lead| lead.step() == Some(*to)))
        .filter_map(|lead| lead.at)
        .last()
}

fn note(round: &[usize], at: Position, stops: &[Stop<'_>], out: &mut Diagnostics) {
    let mut names: Vec<_> = round
        .iter()
        .take(MAX_NAMED)
        .map(|step| shown(stops[*step].id))
        .collect();
    if round.len() > MAX_NAMED {
        names.push("…".into());
    }
    names.push(shown(stops[round[0]].id));
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

impl Lead {
    /// Returns the index of the step that the edge leads to, if any.
    fn step(&self) -> Option<usize> {
        match self.target {
            Target::Step(number) => Some(number),
            Target::End | Target::Nowhere => None,
        }
    }
}
