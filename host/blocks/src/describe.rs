//! Converts the result of a block's `describe`. Texts are cut and sanitised; a description that
//! workflows could not use or that could not be read back is rejected.

use std::collections::HashSet;

use chrono_tz::Tz;
use serde_json::Value as Json;

use super::bindings::exports::promoflow::workflow::block as wit;
use super::bindings::promoflow::workflow::types;
use super::boundary::{self, MAX_NAME_CHARS, sanitize};
use promoflow_model::block::{Alternative, Carries, Description, Kind, Parameter, Port, Value};
use promoflow_model::message::ChannelKind;

/// Maximum number of parameters of a block.
const MAX_PARAMETERS: usize = 100;
/// Maximum number of ports of a block.
const MAX_PORTS: usize = 100;
/// Maximum number of alternatives of a choice.
const MAX_ALTERNATIVES: usize = 200;
/// Maximum length of a version, in characters.
const MAX_VERSION_CHARS: usize = 64;
/// Maximum length of a title, in characters.
const MAX_TITLE_CHARS: usize = 200;
/// Maximum length of a description, in characters.
const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// Maximum length of a text default, in characters.
const MAX_DEFAULT_CHARS: usize = 10_000;

type Result<T> = std::result::Result<T, String>;

/// Converts a description. The error tells the block's author what is invalid.
pub(super) fn read_description(described: wit::Description) -> Result<Description> {
    check_name("the name", &described.name)?;
    let (parameters, ports) = (described.parameters, described.ports);
    check_count("parameters", parameters.len(), MAX_PARAMETERS)?;
    check_count("ports", ports.len(), MAX_PORTS)?;
    for parameter in &parameters {
        check_name("the parameter", &parameter.name)?;
    }
    for port in &ports {
        check_name("the port", &port.name)?;
    }
    check_unique("the parameter", parameters.iter().map(|one| &*one.name))?;
    check_unique("the port", ports.iter().map(|one| &*one.name))?;
    if ports.is_empty() {
        return Err("it has no port; a run could not leave the step".into());
    }
    let parameters: Result<Vec<Parameter>> = parameters.into_iter().map(read_parameter).collect();
    let description = Description {
        name: described.name,
        version: sanitize(&described.version, MAX_VERSION_CHARS),
        title: sanitize(&described.title, MAX_TITLE_CHARS),
        description: sanitize(&described.description, MAX_DESCRIPTION_CHARS),
        parameters: parameters?,
        ports: ports.into_iter().map(read_port).collect(),
    };
    stored(&description)
}

/// Returns the description as it will be read from the store, because runs use that one.
fn stored(description: &Description) -> Result<Description> {
    serde_json::to_string(description)
        .and_then(|text| serde_json::from_str(&text))
        .map_err(|error| format!("it cannot be stored and read back: {error}"))
}

fn read_port(port: wit::Port) -> Port {
    Port {
        name: port.name,
        title: sanitize(&port.title, MAX_TITLE_CHARS),
        description: sanitize(&port.description, MAX_DESCRIPTION_CHARS),
        follows: port.follows,
    }
}

fn read_parameter(parameter: wit::Parameter) -> Result<Parameter> {
    let name = parameter.name;
    let of_it = |error: String| format!("the parameter `{name}`: {error}");
    let kind = read_kind(parameter.kind).map_err(of_it)?;
    // JSON cannot represent a number that is not finite: treat it as no default.
    let is_stored = |value: &types::Value| match value {
        types::Value::Decimal(number) => number.is_finite(),
        _ => true,
    };
    let default = parameter.default.filter(is_stored);
    let default = default.map(boundary::read_value).transpose();
    let default = default.map_err(|error| of_it(format!("its default: {error}")))?;
    if let Some(default) = &default {
        check_default(&kind, default)
            .map_err(|expected| of_it(format!("its default is not {expected}")))?;
    }
    Ok(Parameter {
        title: sanitize(&parameter.title, MAX_TITLE_CHARS),
        description: sanitize(&parameter.description, MAX_DESCRIPTION_CHARS),
        kind,
        required: parameter.required,
        default,
        name,
    })
}

fn read_kind(kind: wit::Kind) -> Result<Kind> {
    Ok(match kind {
        wit::Kind::Text(bounds) => {
            check_range("length", bounds.min_length, bounds.max_length)?;
            Kind::Text {
                min_length: bounds.min_length,
                max_length: bounds.max_length,
            }
        }
        wit::Kind::Integer(bounds) => {
            check_range("value", bounds.min, bounds.max)?;
            Kind::Integer {
                min: bounds.min,
                max: bounds.max,
            }
        }
        wit::Kind::Decimal(bounds) => {
            // JSON cannot represent a bound that is not finite, and it limits nothing.
            let finite = |bound: f64, none: f64| match bound.is_nan() {
                true => none,
                false => bound.clamp(f64::MIN, f64::MAX),
            };
            let (min, max) = (finite(bounds.min, f64::MIN), finite(bounds.max, f64::MAX));
            check_range("value", min, max)?;
            Kind::Decimal { min, max }
        }
        wit::Kind::Boolean => Kind::Boolean,
        wit::Kind::Duration => Kind::Duration,
        wit::Kind::Choice(alternatives) => Kind::Choice(read_alternatives(alternatives)?),
        wit::Kind::Message => Kind::Message,
        wit::Kind::Channel => Kind::Channel,
        wit::Kind::Hours => Kind::Hours,
        wit::Kind::TimeZone => Kind::TimeZone,
        wit::Kind::Any => Kind::Any,
    })
}

fn read_alternatives(alternatives: Vec<wit::Alternative>) -> Result<Vec<Alternative>> {
    if alternatives.is_empty() {
        return Err("a choice has at least one alternative".into());
    }
    check_count("alternatives", alternatives.len(), MAX_ALTERNATIVES)?;
    for alternative in &alternatives {
        check_name("the alternative", &alternative.name)?;
    }
    check_unique("the alternative", alternatives.iter().map(|one| &*one.name))?;
    let read = alternatives.into_iter().map(|alternative| Alternative {
        name: alternative.name,
        title: sanitize(&alternative.title, MAX_TITLE_CHARS),
        carries: match alternative.carries {
            wit::Carries::Nothing => Carries::Nothing,
            wit::Carries::Text => Carries::Text,
            wit::Carries::Duration => Carries::Duration,
        },
    });
    Ok(read.collect())
}

/// Checks a default like a value from a workflow, because the block gets it unchecked. The error is
/// a description of the expected value.
fn check_default(kind: &Kind, default: &Value) -> Result<()> {
    let is_text = |fits: &dyn Fn(&str) -> bool| match default {
        Value::Text(text) => text.chars().count() <= MAX_DEFAULT_CHARS && fits(text),
        _ => false,
    };
    let (fits, expected) = match kind {
        Kind::Text {
            min_length,
            max_length,
        } => (
            is_text(&|text| {
                let length = text.chars().count();
                (*min_length as usize..=*max_length as usize).contains(&length)
            }),
            format!(
                "a text of {min_length} to {max_length} characters, and of at most {MAX_DEFAULT_CHARS}"
            ),
        ),
        Kind::Integer { min, max } => (
            matches!(default, Value::Integer(number) if (min..=max).contains(&number)),
            format!("a whole number from {min} to {max}"),
        ),
        Kind::Decimal { min, max } => (
            match default {
                Value::Decimal(number) => (min..=max).contains(&number),
                Value::Integer(number) => (*min..=*max).contains(&(*number as f64)),
                _ => false,
            },
            format!("a number from {min} to {max}"),
        ),
        Kind::Boolean => (matches!(default, Value::Boolean(_)), "true or false".into()),
        Kind::Duration => (
            matches!(default, Value::Integer(seconds) if *seconds >= 0),
            "a number of seconds".into(),
        ),
        Kind::Choice(alternatives) => (
            is_chosen(alternatives, default),
            "one of its alternatives with its payload".into(),
        ),
        Kind::Message => (is_text(&|id| !id.is_empty()), "the id of a message".into()),
        Kind::Channel => (
            is_text(&|name| name.parse::<ChannelKind>().is_ok()),
            "a channel".into(),
        ),
        Kind::Hours => (
            is_text(&|hours| hours.len() == "09:00-21:00".len()),
            "hours such as 09:00-21:00".into(),
        ),
        Kind::TimeZone => (
            is_text(&|name| name.parse::<Tz>().is_ok()),
            "a time zone such as Europe/Kyiv".into(),
        ),
        Kind::Any => (
            match default {
                Value::Text(text) | Value::Json(text) => text.chars().count() <= MAX_DEFAULT_CHARS,
                _ => true,
            },
            format!("a value of at most {MAX_DEFAULT_CHARS} characters"),
        ),
    };
    match fits {
        true => Ok(()),
        false => Err(expected),
    }
}

/// Returns true if a default is the name of an alternative without a payload, or the JSON text of
/// an object with the name and its payload.
fn is_chosen(alternatives: &[Alternative], default: &Value) -> bool {
    let carries = |name: &str| {
        let mut named = alternatives.iter().filter(|one| one.name == name);
        named.next().map(|one| one.carries)
    };
    match default {
        Value::Text(name) => carries(name) == Some(Carries::Nothing),
        Value::Json(text) => match serde_json::from_str(text) {
            Ok(Json::Object(object)) if object.len() == 1 => {
                object.iter().all(|(name, carried)| match carries(name) {
                    Some(Carries::Text) => carried.is_string(),
                    Some(Carries::Duration) => carried.is_u64(),
                    Some(Carries::Nothing) | None => false,
                })
            }
            _ => false,
        },
        _ => false,
    }
}

/// Checks a name that authors write in workflow files.
fn check_name(what: &str, name: &str) -> Result<()> {
    let is_kebab = (1..=MAX_NAME_CHARS).contains(&name.len())
        && name
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
    match is_kebab {
        true => Ok(()),
        false => Err(format!(
            "{what} `{}` is not 1 to {MAX_NAME_CHARS} characters in kebab-case",
            sanitize(name, MAX_NAME_CHARS)
        )),
    }
}

fn check_unique<'n>(what: &str, mut names: impl Iterator<Item = &'n str>) -> Result<()> {
    let mut seen = HashSet::new();
    match names.find(|name| !seen.insert(*name)) {
        Some(twice) => Err(format!("{what} `{twice}` appears twice")),
        None => Ok(()),
    }
}

fn check_count(what: &str, found: usize, max: usize) -> Result<()> {
    match found <= max {
        true => Ok(()),
        false => Err(format!("it has {found} {what}; at most {max} are allowed")),
    }
}

fn check_range<T: PartialOrd + std::fmt::Display>(what: &str, min: T, max: T) -> Result<()> {
    match min <= max {
        true => Ok(()),
        false => Err(format!(
            "its minimum {what} {min} is greater than its maximum {max}"
        )),
    }
}

#[cfg(test)]
mod tests;
