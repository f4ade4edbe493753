//! Conversion of parameters to the types that blocks expect.

use serde_json::Value as Json;

use super::duration::parse_duration;
use crate::block::{Alternative, Argument, Choice, Hours, Kind, Payload, PayloadType, TargetEntry};
use crate::message::ChannelKind;
use crate::zone;
use promoflow_document::{did_you_mean, quoted};

/// A value that does not match the parameter's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct TypeMismatch {
    /// The expected type with its bounds.
    pub expected: String,
    /// The actual value.
    pub found: String,
    /// A suggested fix.
    pub hint: Option<String>,
}

/// Converts a value with evaluated references to the type that the block expects. Texts are parsed,
/// because evaluating a template yields text.
pub fn coerce(kind: &Kind, value: &Json) -> Result<Argument, TypeMismatch> {
    let fit = match kind {
        Kind::Text {
            min_length,
            max_length,
        } => text_of(value).and_then(|text| {
            let length = text.chars().count();
            let fits = (*min_length as usize..=*max_length as usize).contains(&length);
            fits.then_some(Argument::Text(text))
        }),
        Kind::Integer { min, max } => parsed::<i64>(value, Json::as_i64)
            .filter(|number| (min..=max).contains(&number))
            .map(Argument::Integer),
        Kind::Decimal { min, max } => parsed::<f64>(value, Json::as_f64)
            .filter(|number| number.is_finite() && (min..=max).contains(&number))
            .map(Argument::Decimal),
        Kind::Boolean => parsed::<bool>(value, Json::as_bool).map(Argument::Boolean),
        Kind::Duration => seconds(value).map(Argument::Duration),
        Kind::Choice(alternatives) => choose(alternatives, value).map(Argument::Choice),
        Kind::Message => message_id(value).map(Argument::Text),
        Kind::Channel => channel(value).map(Argument::Channel),
        Kind::Hours => value.as_str().and_then(parse_hours).map(Argument::Hours),
        Kind::TimeZone => value
            .as_str()
            .and_then(|name| zone::parse(name).ok())
            .map(|zone| Argument::Text(zone.name().to_owned())),
        Kind::Targets => return targets(value),
        Kind::Any => any(value),
    };
    fit.ok_or_else(|| TypeMismatch {
        expected: describe_kind(kind),
        found: describe_value(kind, value),
        hint: hint(kind, value),
    })
}

/// Describes a type in words.
pub fn describe_kind(kind: &Kind) -> String {
    match kind {
        Kind::Text {
            min_length: 0,
            max_length: u32::MAX,
        } => "text".into(),
        Kind::Text {
            min_length: 1,
            max_length: u32::MAX,
        } => "non-empty text".into(),
        Kind::Text {
            min_length,
            max_length: u32::MAX,
        } => {
            format!("text of at least {min_length} characters")
        }
        Kind::Text {
            min_length,
            max_length,
        } => {
            format!("text of {min_length} to {max_length} characters")
        }
        Kind::Integer { min, max } => {
            let least = (*min != i64::MIN).then(|| min.to_string());
            let greatest = (*max != i64::MAX).then(|| max.to_string());
            format!("an integer{}", range(least, greatest))
        }
        Kind::Decimal { min, max } => {
            let bound = |bound: f64| {
                (bound.is_finite() && bound.abs() < f64::MAX).then(|| bound.to_string())
            };
            format!("a number{}", range(bound(*min), bound(*max)))
        }
        Kind::Boolean => "true or false".into(),
        Kind::Duration => "a duration such as 90s, 15m, 12h or 30d".into(),
        Kind::Choice(alternatives) => {
            let names: Vec<_> = alternatives.iter().map(written).collect();
            format!("one of {}", names.join(", "))
        }
        Kind::Message => "the id of a message".into(),
        Kind::Channel => format!(
            "one of {}",
            ChannelKind::ALL.map(ChannelKind::name).join(", ")
        ),
        Kind::Hours => "hours of the day such as 09:00-21:00".into(),
        Kind::TimeZone => "a time zone such as Europe/Kyiv".into(),
        Kind::Targets => format!("a list of 1 to {} alternatives", TargetEntry::MAX),
        Kind::Any => "a value".into(),
    }
}

fn range(least: Option<String>, greatest: Option<String>) -> String {
    match (least, greatest) {
        (Some(least), Some(greatest)) => format!(" from {least} to {greatest}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(greatest)) => format!(" of at most {greatest}"),
        (None, None) => String::new(),
    }
}

/// Returns an alternative as authors write it.
fn written(alternative: &Alternative) -> String {
    match alternative.payload {
        None => alternative.name.clone(),
        Some(PayloadType::Text) => format!("{{ {}: … }}", alternative.name),
        Some(PayloadType::Duration) => format!("{{ {}: 30d }}", alternative.name),
    }
}

fn describe_value(kind: &Kind, value: &Json) -> String {
    match value {
        Json::Null => "nothing".into(),
        Json::String(text) if matches!(kind, Kind::Text { .. }) => {
            format!("{} characters", text.chars().count())
        }
        Json::String(name) if *kind == Kind::TimeZone => match zone::parse(name) {
            Ok(_) => quoted(name),
            Err(error) => error.found,
        },
        Json::String(text) => quoted(text),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::Array(_) => "a list".into(),
        Json::Object(map) if matches!(kind, Kind::Choice(_)) && map.len() == 1 => {
            let key = map.keys().next().map(String::as_str).unwrap_or_default();
            quoted(&format!("{{ {key}: … }}"))
        }
        Json::Object(_) => "a mapping".into(),
    }
}

fn hint(kind: &Kind, value: &Json) -> Option<String> {
    match (kind, value) {
        (Kind::Duration, Json::Number(number)) => Some(format!(
            "add a unit: {number}s, {number}m, {number}h or {number}d"
        )),
        (Kind::Duration, Json::String(digits)) if digits.parse::<u64>().is_ok() => Some(format!(
            "add a unit: {digits}s, {digits}m, {digits}h or {digits}d"
        )),
        (Kind::Channel, Json::String(name)) => {
            did_you_mean(name, ChannelKind::ALL.iter().map(|channel| channel.name()))
        }
        (Kind::TimeZone, Json::String(name)) => zone::parse(name).err().map(|error| error.hint),
        (Kind::Choice(alternatives), value) => {
            let name = match value {
                Json::String(name) => name,
                Json::Object(map) => map.keys().next()?,
                _ => return None,
            };
            match alternatives
                .iter()
                .find(|alternative| alternative.name == *name)
            {
                Some(alternative) => Some(format!("write {}", quoted(&written(alternative)))),
                None => did_you_mean(name, alternatives.iter().map(|a| a.name.as_str())),
            }
        }
        _ => None,
    }
}

fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Returns a typed value, or parses it from text.
fn parsed<T: std::str::FromStr>(value: &Json, typed: fn(&Json) -> Option<T>) -> Option<T> {
    match value {
        Json::String(text) => text.trim().parse().ok(),
        other => typed(other),
    }
}

fn seconds(value: &Json) -> Option<u64> {
    parse_duration(value.as_str()?).ok()
}

fn message_id(value: &Json) -> Option<String> {
    let id = value.as_str().filter(|id| !id.is_empty())?;
    Some(id.to_owned())
}

fn channel(value: &Json) -> Option<ChannelKind> {
    value.as_str()?.parse().ok()
}

fn choose(alternatives: &[Alternative], value: &Json) -> Option<Choice> {
    let find = |name: &str| {
        alternatives
            .iter()
            .find(|alternative| alternative.name == *name)
    };
    match value {
        Json::String(name) => find(name)
            .filter(|alternative| alternative.payload.is_none())
            .map(|alternative| Choice {
                name: alternative.name.clone(),
                payload: None,
            }),
        Json::Object(map) if map.len() == 1 => {
            let (name, payload) = map.iter().next()?;
            let payload = match find(name)?.payload? {
                PayloadType::Text => text_of(payload)
                    .filter(|text| !text.is_empty())
                    .map(Payload::Text),
                PayloadType::Duration => seconds(payload).map(Payload::Duration),
            };
            Some(Choice {
                name: name.clone(),
                payload: Some(payload?),
            })
        }
        _ => None,
    }
}

/// Parses `09:00-21:00`. If the end is before the start, the hours span midnight.
fn parse_hours(text: &str) -> Option<Hours> {
    let minutes = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(hour) || !digits(minute) {
            return None;
        }
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60).then_some(hour * 60 + minute)
    };
    let (from, until) = text.split_once('-')?;
    let hours = Hours {
        from: minutes(from.trim())?,
        until: minutes(until.trim())?,
        time_zone: None,
    };
    hours.is_valid().then_some(hours)
}

/// The type of an alternative's address.
pub(super) const TO: Kind = Kind::Text {
    min_length: 0,
    max_length: 2_000,
};

fn targets(value: &Json) -> Result<Argument, TypeMismatch> {
    let entries = value
        .as_array()
        .filter(|entries| (1..=TargetEntry::MAX).contains(&entries.len()))
        .ok_or_else(|| TypeMismatch {
            expected: describe_kind(&Kind::Targets),
            found: describe_value(&Kind::Targets, value),
            hint: None,
        })?;
    let targets = entries.iter().enumerate().map(|(number, entry)| {
        target(entry).map_err(|(key, kind)| {
            let part = entry.get(key).unwrap_or(&Json::Null);
            TypeMismatch {
                expected: format!(
                    "{} as `{key}` of alternative {}",
                    describe_kind(&kind),
                    number + 1
                ),
                found: describe_value(&kind, part),
                hint: hint(&kind, part),
            }
        })
    });
    targets.collect::<Result<_, _>>().map(Argument::Targets)
}

/// Converts an alternative of a message. The error is the key of an invalid part, and its type.
fn target(entry: &Json) -> Result<TargetEntry, (&'static str, Kind)> {
    let part = |key| entry.get(key).unwrap_or(&Json::Null);
    Ok(TargetEntry {
        channel: channel(part("channel")).ok_or(("channel", Kind::Channel))?,
        message: message_id(part("message")).ok_or(("message", Kind::Message))?,
        to: match entry.get("to") {
            None => None,
            Some(to) => Some(text_of(to).ok_or(("to", TO))?),
        },
    })
}

fn any(value: &Json) -> Option<Argument> {
    Some(match value {
        Json::Null => return None,
        Json::String(text) => Argument::Text(text.clone()),
        Json::Bool(truth) => Argument::Boolean(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Argument::Integer(number),
            None => Argument::Decimal(number.as_f64()?),
        },
        Json::Array(_) | Json::Object(_) => Argument::Json(value.to_string()),
    })
}

#[cfg(test)]
mod tests;
