//! The messages that a workflow sends: the values they read, and the steps that set those values.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use super::definition::{ParamValue, Step, Target, Workflow};
use super::ways::{given, named};
use crate::block::Value;
use crate::contact::IDENTIFYING_PARAMS;
use crate::message::{ChannelKind, CodeTag, KnownValues, LANGUAGE_PARAMS, Read, Want};
use promoflow_document::{did_you_mean, shown};

/// The parameter of a block that names the value which the step sets.
const NAMES_VALUE: &str = "as";
/// The port that a step takes without setting its value.
const WITHOUT: &str = "exhausted";
/// The value that messages usually read; events hardly ever have it.
const PROMOCODE: &str = "promocode";

/// A message that a step sends.
#[derive(Clone, Debug)]
pub struct Sending {
    /// The index of the step, counted from 0.
    pub number: usize,
    /// The step's id.
    pub step: String,
    /// The parameter that names the message, of the step or the alternative.
    pub parameter: String,
    /// The index of the alternative that sends the message, counted from 0; `None` for the step's
    /// own.
    pub way: Option<usize>,
    /// The message's id.
    pub message: String,
    /// The channel, if the workflow names it literally.
    pub channel: Option<ChannelKind>,
    /// The values that the message reads without a default.
    pub reads: Vec<Reading>,
    /// All values that the message reads.
    pub wants: Vec<Want>,
    /// The values that may be set: those that the event and the contact are known to have, and
    /// those that earlier steps set.
    pub known: KnownValues,
    /// The promo codes that the message's merge tags claim.
    pub codes: Vec<CodeTag>,
}

/// A value that a message reads.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The value's name, and its position in the message.
    pub read: Read,
    /// The earlier step that sets the value; `None` if the event or the contact must have it.
    pub set_by: Option<String>,
    /// A warning if the reference is most likely a mistake.
    pub doubt: Option<Doubt>,
}

/// A warning that a message most likely reads a value that is never set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// A description of the problem.
    pub why: String,
    /// A suggested fix.
    pub hint: String,
}

/// The values that may be set when a run reaches a step, with the steps that set them.
#[derive(Clone, Default, PartialEq)]
struct Known {
    values: BTreeMap<String, usize>,
    anything: bool,
}

impl Known {
    fn join(&mut self, other: &Known) -> bool {
        let before = (self.values.len(), self.anything);
        for (name, step) in &other.values {
            self.values.entry(name.clone()).or_insert(*step);
        }
        self.anything |= other.anything;
        before != (self.values.len(), self.anything)
    }
}

/// Returns the messages that a workflow's steps name literally, with the values they read.
pub fn sendings(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<Sending> {
    let known = follow(workflow, catalog);
    let mut sendings = Vec::new();
    for (number, step) in workflow.steps.iter().enumerate() {
        let Some(block) = catalog.block(&step.block) else {
            continue;
        };
        for one in named(step, block.description) {
            // An id with references is only known during the run.
            let Some(found) = catalog.uses(one.message) else {
                continue;
            };
            let reads = found.reads.into_iter();
            sendings.push(Sending {
                number,
                step: step.id.clone(),
                parameter: one.parameter,
                way: one.way,
                message: one.message.to_owned(),
                channel: one.channel,
                reads: reads
                    .map(|read| reading(read, number, workflow, catalog, &known))
                    .collect(),
                wants: found.wants,
                known: known_at(number, workflow, catalog, &known, true),
                codes: found.codes,
            });
        }
    }
    sendings
}

/// Computes what may be set when a run reaches each step.
fn follow(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<Known> {
    let mut known = vec![Known::default(); workflow.steps.len()];
    let mut waiting = vec![0];
    let mut seen = vec![false; workflow.steps.len()];
    while let Some(number) = waiting.pop() {
        let Some(step) = workflow.steps.get(number) else {
            continue;
        };
        for (port, target) in &step.ports {
            let Target::Step(to) = target else { continue };
            let mut behind = known[number].clone();
            match sets(step, catalog) {
                Sets::Value(name) if port != WITHOUT => {
                    behind.values.insert(name, number);
                }
                Sets::Anything => behind.anything = true,
                Sets::Value(_) | Sets::Nothing => {}
            }
            if let Some(there) = known.get_mut(*to)
                && (there.join(&behind) || !std::mem::replace(&mut seen[*to], true))
            {
                waiting.push(*to);
            }
        }
    }
    known
}

/// Returns the values that may be set when a run reaches each step, for the texts of its
/// parameters.
pub(super) fn known_values(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<KnownValues> {
    let known = follow(workflow, catalog);
    let steps = 0..workflow.steps.len();
    steps
        .map(|number| known_at(number, workflow, catalog, &known, false))
        .collect()
}

/// Returns the values that any step of a workflow sets, and those that its event is known to have.
pub fn brought(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<String> {
    let set = workflow
        .steps
        .iter()
        .filter_map(|step| match sets(step, catalog) {
            Sets::Value(name) => Some(name),
            Sets::Anything | Sets::Nothing => None,
        });
    set.chain(by_event(workflow, catalog)).collect()
}

/// Returns the parameters that a workflow's event is known to have.
fn by_event(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<String> {
    let mut names = catalog.event_values(&workflow.start.event);
    if let Some(condition) = &workflow.start.condition {
        condition.each_name(&mut |name| names.push(name.to_owned()));
    }
    names
}

/// Returns names that need no warning, because any event may have them.
pub fn usual_values() -> impl Iterator<Item = String> {
    let names = IDENTIFYING_PARAMS.into_iter().chain(LANGUAGE_PARAMS);
    names.map(str::to_owned)
}

fn known_at(
    number: usize,
    workflow: &Workflow,
    catalog: &dyn Catalog,
    known: &[Known],
    with_contact: bool,
) -> KnownValues {
    let here = &known[number];
    let mut values = KnownValues::new(here.values.keys().cloned());
    values.extend(usual_values());
    values.extend(by_event(workflow, catalog));
    if with_contact {
        values.extend(catalog.contact_values());
    }
    if here.anything {
        values.allow_anything();
    }
    values
}

/// The values that a step sets.
enum Sets {
    Nothing,
    Value(String),
    /// Values of any name.
    Anything,
}

fn sets(step: &Step, catalog: &dyn Catalog) -> Sets {
    let Some(block) = catalog.block(&step.block) else {
        return Sets::Anything;
    };
    if !block.sets_values {
        return Sets::Nothing;
    }
    let mut parameters = block.description.parameters.iter();
    let Some(parameter) = parameters.find(|one| one.name == NAMES_VALUE) else {
        return Sets::Anything;
    };
    match (given(step, NAMES_VALUE), &parameter.default) {
        (Some(ParamValue::Text(name)), _) if !name.contains('$') => Sets::Value(name.clone()),
        (None, Some(Value::Text(name))) => Sets::Value(name.clone()),
        _ => Sets::Anything,
    }
}

fn reading(
    read: Read,
    number: usize,
    workflow: &Workflow,
    catalog: &dyn Catalog,
    known: &[Known],
) -> Reading {
    let here = &known[number];
    let set_by = here.values.iter().find(|(name, _)| read.is_of(name));
    let set_by = set_by.map(|(_, step)| workflow.steps[*step].id.clone());
    let brought = workflow
        .start
        .condition
        .as_ref()
        .is_some_and(|condition| condition.names(&|name| read.is_of(name)));
    let doubt = match set_by.is_some() || here.anything || brought {
        true => None,
        false => doubt(&read, &workflow.steps[number].id, workflow, catalog),
    };
    Reading {
        read,
        set_by,
        doubt,
    }
}

/// Returns a warning if a value that no earlier step sets was most likely meant to be set by one.
fn doubt(read: &Read, step: &str, workflow: &Workflow, catalog: &dyn Catalog) -> Option<Doubt> {
    let set: Vec<(String, &str)> = workflow
        .steps
        .iter()
        .filter_map(|step| match sets(step, catalog) {
            Sets::Value(name) => Some((name, step.id.as_str())),
            Sets::Nothing | Sets::Anything => None,
        })
        .collect();
    let why = format!("no step before {} sets it", shown(step));
    if let Some((_, by)) = set.iter().find(|(set, _)| read.is_of(set)) {
        let hint = format!(
            "{} sets it, but no path leads from there with the value",
            shown(by)
        );
        return Some(Doubt { why, hint });
    }
    let near = did_you_mean(&read.name, set.iter().map(|(name, _)| name.as_str()));
    if let Some(hint) = near {
        return Some(Doubt { why, hint });
    }
    let hint =
        "place `get-promocode` before it, or take the code by a tag such as %PC_NewYear_1_7%";
    read.is_of(PROMOCODE).then(|| Doubt {
        why,
        hint: hint.to_owned(),
    })
}
