//! Warnings about likely mistakes in valid workflows.

use super::super::catalog::Catalog;
use super::super::definition::{ParamValue, Step, Workflow};
use super::super::sendings::{Doubt, Sending, known_values, sendings};
use super::super::ways::{OTHERWISE, given};
use super::value;
use crate::block::Kind;
use crate::message::{KnownValues, merge_tags, parse_template, wants_of};
use crate::pool::{Lane, LaneDoubt};
use crate::zone;
use promoflow_document::{Content, Diagnostics, Node, Position, shown};

/// The block that claims codes, and its parameters that select the code group.
const TAKES_CODES: &str = "get-promocode";
const TYPE: &str = "type";
const DISCOUNT: &str = "discount";

/// Warns about values that are most likely not set, and codes that the pool does not have.
pub(super) fn warn(node: &Node, workflow: &Workflow, catalog: &dyn Catalog, out: &mut Diagnostics) {
    for sending in sendings(workflow, catalog) {
        let at = parameter_at(node, &sending).unwrap_or(node.at);
        let message = shown(&sending.message);
        let mut told: Vec<String> = Vec::new();
        for reading in sending.reads {
            let Some(Doubt { why, hint }) = reading.doubt else {
                continue;
            };
            let name = shown(&reading.read.name);
            let warning = format!("the message {message} reads {name}, and {why}");
            out.warning(at, warning, Some(hint));
            told.push(reading.read.name);
        }
        let wants = sending.wants.iter();
        for want in wants.filter(|want| !told.contains(&want.read.name)) {
            if let Some((why, hint)) = sending.known.doubt(want) {
                let warning = format!("message {message}: {why}");
                out.warning(at, warning, Some(hint));
            }
        }
    }
    let Some(Content::List(nodes)) = value(node, "steps").map(|steps| &steps.content) else {
        return;
    };
    let known = known_values(workflow, catalog);
    for ((step, node), known) in workflow.steps.iter().zip(nodes).zip(&known) {
        if let Some(with) = value(node, "with") {
            zone(step, with, catalog, out);
            texts(with, known, out);
            lane(step, with, catalog, out);
        }
    }
}

/// Warns about references in the texts of parameters.
fn texts(node: &Node, known: &KnownValues, out: &mut Diagnostics) {
    match &node.content {
        Content::Scalar(scalar) => {
            let Ok(template) = parse_template(scalar.text()) else {
                return;
            };
            let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            for (tag, line, column) in merge_tags(scalar.text()) {
                let tag = format!("%{tag}%");
                let why = format!(
                    "{} is not replaced: merge tags work only in messages",
                    shown(&tag)
                );
                let hint = "write a reference, such as `$!data.get('EmailAddress')`".to_owned();
                out.warning(scalar.locate(place(line), place(column)), why, Some(hint));
            }
            for (want, line, column) in wants_of(&template) {
                if let Some((why, hint)) = known.doubt(&want) {
                    out.warning(scalar.locate(place(line), place(column)), why, Some(hint));
                }
            }
        }
        Content::List(items) => items.iter().for_each(|item| texts(item, known, out)),
        Content::Mapping(entries) => entries
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
        if let Some(surprise) = zone.and_then(zone::surprise) {
            out.warning(node.at, surprise, None);
        }
    }
}

/// Warns if the pool has no codes of the type and discount that a step names literally.
fn lane(step: &Step, with: &Node, catalog: &dyn Catalog, out: &mut Diagnostics) {
    if step.block != TAKES_CODES {
        return;
    }
    let Some(ParamValue::Text(code_type)) = given(step, TYPE) else {
        return;
    };
    let discount = match given(step, DISCOUNT) {
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
    let lane = Lane {
        code_type: code_type.clone(),
        discount,
    };
    if let Some(LaneDoubt { why, hint }) = catalog.lane_doubt(&lane) {
        let at = value(with, TYPE).map_or(with.at, |node| node.at);
        out.warning(at, why, Some(hint));
    }
}

/// Returns the position where a step names the message that it sends.
fn parameter_at(workflow: &Node, sending: &Sending) -> Option<Position> {
    let Content::List(steps) = &value(workflow, "steps")?.content else {
        return None;
    };
    let with = value(steps.get(sending.number)?, "with")?;
    let way = match sending.way {
        None => with,
        Some(number) => match &value(with, OTHERWISE.1)?.content {
            Content::List(ways) => ways.get(number)?,
            _ => return None,
        },
    };
    Some(value(way, &sending.parameter)?.at)
}
