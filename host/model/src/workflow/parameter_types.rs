//! Conversion of parameters to the types that blocks expect.

use serde_json::Value as Json;

use super::duration::parse_duration;
use crate::block::{Alternative, Carries, Kind, Value};
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
pub fn coerce(kind: &Kind, value: &Json) -> Result<Value, TypeMismatch> {
    let fit = match kind {
        Kind::Text {
            min_length,
            max_length,
        } => text_of(value).and_then(|text| {
            let length = text.chars().count();
            let fits = (*min_length as usize..=*max_length as usize).contains(&length);
            fits.then_some(Value::Text(text))
        }),
        Kind::Integer { min, max } => parsed::<i64>(value, Json::as_i64)
            .filter(|number| (min..=max).contains(&number))
            .map(Value::Integer),
        Kind::Decimal { min, max } => parsed::<f64>(value, Json::as_f64)
            .filter(|number| number.is_finite() && (min..=max).contains(&number))
            .map(Value::Decimal),
        Kind::Boolean => parsed::<bool>(value, Json::as_bool).map(Value::Boolean),
        Kind::Duration => seconds(value).map(Value::Integer),
        Kind::Choice(alternatives) => choose(alternatives, value),
        Kind::Message => value.as_str().filter(|id| !id.is_empty()).map(text),
        Kind::Channel => value
            .as_str()
            .and_then(|name| name.parse::<ChannelKind>().ok())
            .map(|c| text(c.name())),
        Kind::Hours => value.as_str().filter(|hours| is_hours(hours)).map(text),
        Kind::TimeZone => value
            .as_str()
            .and_then(|name| zone::parse(name).ok())
            .map(|zone| text(zone.name())),
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
    match alternative.carries {
        Carries::Nothing => alternative.name.clone(),
        Carries::Text => format!("{{ {}: … }}", alternative.name),
        Carries::Duration => format!("{{ {}: 30d }}", alternative.name),
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

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
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

fn seconds(value: &Json) -> Option<i64> {
    i64::try_from(parse_duration(value.as_str()?).ok()?).ok()
}

fn choose(alternatives: &[Alternative], value: &Json) -> Option<Value> {
    let find = |name: &str| {
        alternatives
            .iter()
            .find(|alternative| alternative.name == *name)
    };
    match value {
        Json::String(name) => find(name)
            .filter(|alternative| alternative.carries == Carries::Nothing)
            .map(|alternative| text(&alternative.name)),
        Json::Object(map) if map.len() == 1 => {
            let (name, carried) = map.iter().next()?;
            let carried = match find(name)?.carries {
                Carries::Nothing => None,
                Carries::Text => text_of(carried)
                    .filter(|text| !text.is_empty())
                    .map(Json::from),
                Carries::Duration => seconds(carried).map(Json::from),
            };
            Some(Value::Json(
                serde_json::json!({ name: carried? }).to_string(),
            ))
        }
        _ => None,
    }
}

/// Validates `09:00-21:00`. If the end is before the start, the hours span midnight.
fn is_hours(text: &str) -> bool {
    let minutes = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(hour) || !digits(minute) {
            return None;
        }
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60).then_some(hour * 60 + minute)
    };
    let Some((from, until)) = text.split_once('-') else {
        return false;
    };
    match (minutes(from.trim()), minutes(until.trim())) {
        (Some(from), Some(until)) => from < 1440 && (1..=1440).contains(&until) && from != until,
        _ => false,
    }
}

fn any(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::String(text) => Value::Text(text.clone()),
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Decimal(number.as_f64()?),
        },
        Json::Array(_) | Json::Object(_) => Value::Json(value.to_string()),
    })
}

#[cfg(test)]
mod tests;
