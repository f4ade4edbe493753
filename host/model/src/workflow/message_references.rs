//! The messages that a workflow sends: the values they read, and the steps that set those values.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use super::definition::{ParamValue, Step, Target, Workflow};
use super::targets::{message_refs, step_param};
use crate::block::Value;
use crate::contact::IDENTIFYING_PARAMS;
use crate::message::{
    ChannelKind, CodeTag, KnownValues, LANGUAGE_PARAMS, TemplateReference, ValueReference,
};
use promoflow_document::{did_you_mean, quoted};

/// The parameter of a block that names the value which the step sets.
const VALUE_PARAM: &str = "as";
/// The port that a step takes without setting its value.
const EXHAUSTED_PORT: &str = "exhausted";
/// The value that messages usually read; events hardly ever have it.
const PROMOCODE: &str = "promocode";

/// A message that a step sends.
#[derive(Clone, Debug)]
pub struct MessageUse {
    /// The index of the step, counted from 0.
    pub number: usize,
    /// The step's id.
    pub step: String,
    /// The parameter that names the message, of the step or the alternative.
    pub parameter: String,
    /// The index of the alternative that sends the message, counted from 0; `None` for the step's
    /// own.
    pub alternative: Option<usize>,
    /// The message's id.
    pub message: String,
    /// The channel, if the workflow names it literally.
    pub channel: Option<ChannelKind>,
    /// The values that the message reads without a default.
    pub reads: Vec<ValueUse>,
    /// All values that the message reads.
    pub template_references: Vec<TemplateReference>,
    /// The values that may be set: those that the event and the contact are known to have, and
    /// those that earlier steps set.
    pub known: KnownValues,
    /// The promo codes that the message's merge tags claim.
    pub codes: Vec<CodeTag>,
}

/// A value that a message reads.
#[derive(Clone, Debug)]
pub struct ValueUse {
    /// The value's name, and its position in the message.
    pub read: ValueReference,
    /// The earlier step that sets the value; `None` if the event or the contact must have it.
    pub set_by: Option<String>,
    /// A warning if the reference is most likely a mistake.
    pub warning: Option<ReadWarning>,
}

/// A warning that a message most likely reads a value that is never set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadWarning {
    /// A description of the problem.
    pub why: String,
    /// A suggested fix.
    pub hint: String,
}

/// The values that may be set when a run reaches a step, with the steps that set them.
#[derive(Clone, Default, PartialEq)]
struct Bindings {
    values: BTreeMap<String, usize>,
    anything: bool,
}

impl Bindings {
    fn join(&mut self, other: &Bindings) -> bool {
        let before = (self.values.len(), self.anything);
        for (name, step) in &other.values {
            self.values.entry(name.clone()).or_insert(*step);
        }
        self.anything |= other.anything;
        before != (self.values.len(), self.anything)
    }
}

/// Returns the messages that a workflow's steps name literally, with the values they read.
pub fn message_uses(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<MessageUse> {
    let known = propagate(workflow, catalog);
    let mut message_uses = Vec::new();
    for (number, step) in workflow.steps.iter().enumerate() {
        let Some(block) = catalog.block(&step.block) else {
            continue;
        };
        for one in message_refs(step, block.description) {
            // An id with references is only known during the run.
            let Some(found) = catalog.message_needs(one.message) else {
                continue;
            };
            let reads = found.reads.into_iter();
            message_uses.push(MessageUse {
                number,
                step: step.id.clone(),
                parameter: one.parameter,
                alternative: one.alternative,
                message: one.message.to_owned(),
                channel: one.channel,
                reads: reads
                    .map(|read| value_use(read, number, workflow, catalog, &known))
                    .collect(),
                template_references: found.template_references,
                known: known_at(number, workflow, catalog, &known, true),
                codes: found.codes,
            });
        }
    }
    message_uses
}

/// Computes what may be set when a run reaches each step.
fn propagate(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<Bindings> {
    let mut known = vec![Bindings::default(); workflow.steps.len()];
    let mut waiting = vec![0];
    let mut seen = vec![false; workflow.steps.len()];
    while let Some(number) = waiting.pop() {
        let Some(step) = workflow.steps.get(number) else {
            continue;
        };
        for (port, target) in &step.ports {
            let Target::Step(to) = target else { continue };
            let mut behind = known[number].clone();
            match assigns(step, catalog) {
                Assigns::Value(name) if port != EXHAUSTED_PORT => {
                    behind.values.insert(name, number);
                }
                Assigns::Anything => behind.anything = true,
                Assigns::Value(_) | Assigns::Nothing => {}
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
    let known = propagate(workflow, catalog);
    let steps = 0..workflow.steps.len();
    steps
        .map(|number| known_at(number, workflow, catalog, &known, false))
        .collect()
}

/// Returns the values that any step of a workflow sets, and those that its event is known to have.
pub fn available_values(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<String> {
    let set = workflow
        .steps
        .iter()
        .filter_map(|step| match assigns(step, catalog) {
            Assigns::Value(name) => Some(name),
            Assigns::Anything | Assigns::Nothing => None,
        });
    set.chain(event_params(workflow, catalog)).collect()
}

/// Returns the parameters that a workflow's event is known to have.
fn event_params(workflow: &Workflow, catalog: &dyn Catalog) -> Vec<String> {
    let mut names = catalog.event_values(&workflow.start.event);
    if let Some(condition) = &workflow.start.condition {
        condition.for_each_param(&mut |name| names.push(name.to_owned()));
    }
    names
}

/// Returns names that need no warning, because any event may have them.
pub fn common_values() -> impl Iterator<Item = String> {
    let names = IDENTIFYING_PARAMS.into_iter().chain(LANGUAGE_PARAMS);
    names.map(str::to_owned)
}

fn known_at(
    number: usize,
    workflow: &Workflow,
    catalog: &dyn Catalog,
    known: &[Bindings],
    with_contact: bool,
) -> KnownValues {
    let here = &known[number];
    let mut values = KnownValues::new(here.values.keys().cloned());
    values.extend(common_values());
    values.extend(event_params(workflow, catalog));
    if with_contact {
        values.extend(catalog.contact_values());
    }
    if here.anything {
        values.allow_any_name();
    }
    values
}

/// The values that a step sets.
enum Assigns {
    Nothing,
    Value(String),
    /// Values of any name.
    Anything,
}

fn assigns(step: &Step, catalog: &dyn Catalog) -> Assigns {
    let Some(block) = catalog.block(&step.block) else {
        return Assigns::Anything;
    };
    if !block.sets_values {
        return Assigns::Nothing;
    }
    let mut parameters = block.description.parameters.iter();
    let Some(parameter) = parameters.find(|one| one.name == VALUE_PARAM) else {
        return Assigns::Anything;
    };
    match (step_param(step, VALUE_PARAM), &parameter.default) {
        (Some(ParamValue::Text(name)), _) if !name.contains('$') => Assigns::Value(name.clone()),
        (None, Some(Value::Text(name))) => Assigns::Value(name.clone()),
        _ => Assigns::Anything,
    }
}

fn value_use(
    read: ValueReference,
    number: usize,
    workflow: &Workflow,
    catalog: &dyn Catalog,
    known: &[Bindings],
) -> ValueUse {
    let here = &known[number];
    let set_by = here.values.iter().find(|(name, _)| read.matches_name(name));
    let set_by = set_by.map(|(_, step)| workflow.steps[*step].id.clone());
    let brought = workflow
        .start
        .condition
        .as_ref()
        .is_some_and(|condition| condition.names(&|name| read.matches_name(name)));
    let warning = match set_by.is_some() || here.anything || brought {
        true => None,
        false => read_warning(&read, &workflow.steps[number].id, workflow, catalog),
    };
    ValueUse {
        read,
        set_by,
        warning,
    }
}

/// Returns a warning if a value that no earlier step sets was most likely meant to be set by one.
fn read_warning(
    read: &ValueReference,
    step: &str,
    workflow: &Workflow,
    catalog: &dyn Catalog,
) -> Option<ReadWarning> {
    let set: Vec<(String, &str)> = workflow
        .steps
        .iter()
        .filter_map(|step| match assigns(step, catalog) {
            Assigns::Value(name) => Some((name, step.id.as_str())),
            Assigns::Nothing | Assigns::Anything => None,
        })
        .collect();
    let why = format!("no step before {} sets it", quoted(step));
    if let Some((_, by)) = set.iter().find(|(set, _)| read.matches_name(set)) {
        let hint = format!(
            "{} sets it, but no path leads from there with the value",
            quoted(by)
        );
        return Some(ReadWarning { why, hint });
    }
    let near = did_you_mean(&read.name, set.iter().map(|(name, _)| name.as_str()));
    if let Some(hint) = near {
        return Some(ReadWarning { why, hint });
    }
    let hint =
        "place `get-promocode` before it, or take the code by a tag such as %PC_NewYear_1_7%";
    read.matches_name(PROMOCODE).then(|| ReadWarning {
        why,
        hint: hint.to_owned(),
    })
}
