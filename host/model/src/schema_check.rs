//! The keywords of JSON Schema that the shipped schemas use, to check in tests that a schema accepts
//! what the parser accepts. Any other keyword panics, so none is ignored.
//!
//! A validator crate is no alternative: `jsonschema` adds about 30 crates and, with the features that it
//! sets for serde_json, regex and hashbrown, tests would build everything again and test a
//! serde_json that the program does not use.

use regex::Regex;
use serde_json::{Map, Value};

/// Returns the path and the reason of the first violation, or `None` if the value is valid.
pub(crate) fn violation(schema: &str, value: &Value) -> Option<String> {
    let root: Value = serde_json::from_str(schema).unwrap();
    check(&root, &root, value, "").err()
}

/// Returns the property names defined at a JSON pointer of a schema.
pub(crate) fn properties(schema: &str, place: &str) -> Vec<String> {
    let root: Value = serde_json::from_str(schema).unwrap();
    let at = root
        .pointer(place)
        .unwrap_or_else(|| panic!("the schema has no {place}"));
    at["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

fn check(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let Value::Object(schema) = schema else {
        let allowed = schema.as_bool().unwrap();
        return if allowed {
            Ok(())
        } else {
            Err(format!("{path}: not allowed"))
        };
    };
    for (keyword, rule) in schema {
        keyword_holds(root, schema, keyword, rule, value, path)?;
    }
    Ok(())
}

fn keyword_holds(
    root: &Value,
    schema: &Map<String, Value>,
    keyword: &str,
    rule: &Value,
    value: &Value,
    path: &str,
) -> Result<(), String> {
    let valid = |schema: &Value| check(root, schema, value, path);
    let ensure = |holds: bool| match holds {
        true => Ok(()),
        false => Err(format!("{path}: {keyword} {rule} does not take {value}")),
    };
    let size = |rule: &Value| rule.as_u64().unwrap() as usize;
    match (keyword, value) {
        ("$ref", _) => valid(root.pointer(&rule.as_str().unwrap()[1..]).unwrap()),
        ("type", _) => match rule {
            Value::Array(kinds) => ensure(kinds.iter().any(|kind| is(kind, value))),
            kind => ensure(is(kind, value)),
        },
        ("enum", _) => ensure(rule.as_array().unwrap().contains(value)),
        ("const", _) => ensure(rule == value),
        ("not", _) => ensure(valid(rule).is_err()),
        ("allOf", _) => rule.as_array().unwrap().iter().try_for_each(valid),
        ("anyOf", _) => ensure(
            rule.as_array()
                .unwrap()
                .iter()
                .any(|rule| valid(rule).is_ok()),
        ),
        ("if", _) => match valid(rule) {
            Ok(()) => schema.get("then").map_or(Ok(()), valid),
            Err(_) => schema.get("else").map_or(Ok(()), valid),
        },
        ("required", Value::Object(map)) => ensure(
            rule.as_array()
                .unwrap()
                .iter()
                .all(|key| map.contains_key(key.as_str().unwrap())),
        ),
        ("minProperties", Value::Object(map)) => ensure(map.len() >= size(rule)),
        ("maxProperties", Value::Object(map)) => ensure(map.len() <= size(rule)),
        ("properties", Value::Object(map)) => rule
            .as_object()
            .unwrap()
            .iter()
            .filter_map(|(key, rule)| Some((key, rule, map.get(key)?)))
            .try_for_each(|(key, rule, value)| check(root, rule, value, &format!("{path}/{key}"))),
        ("additionalProperties", Value::Object(map)) => {
            let known = schema.get("properties").and_then(Value::as_object);
            map.iter()
                .filter(|(key, _)| !known.is_some_and(|known| known.contains_key(*key)))
                .try_for_each(|(key, value)| check(root, rule, value, &format!("{path}/{key}")))
        }
        ("items", Value::Array(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| check(root, rule, item, &format!("{path}/{at}"))),
        ("minItems", Value::Array(items)) => ensure(items.len() >= size(rule)),
        ("maxItems", Value::Array(items)) => ensure(items.len() <= size(rule)),
        ("propertyNames", Value::Object(map)) => map.keys().try_for_each(|key| {
            let path = format!("{path}/{key}");
            check(root, rule, &Value::from(key.as_str()), &path)
        }),
        ("pattern", Value::String(text)) => {
            ensure(Regex::new(rule.as_str().unwrap()).unwrap().is_match(text))
        }
        ("minimum", Value::Number(number)) => ensure(number.as_f64() >= rule.as_f64()),
        ("maximum", Value::Number(number)) => ensure(number.as_f64() <= rule.as_f64()),
        ("minLength", Value::String(text)) => ensure(text.chars().count() >= size(rule)),
        ("maxLength", Value::String(text)) => ensure(text.chars().count() <= size(rule)),
        // Applies to other types, or was checked with `if`.
        (
            "required"
            | "minProperties"
            | "maxProperties"
            | "properties"
            | "additionalProperties"
            | "items"
            | "minItems"
            | "maxItems"
            | "propertyNames"
            | "pattern"
            | "minimum"
            | "maximum"
            | "minLength"
            | "maxLength"
            | "then"
            | "else",
            _,
        ) => Ok(()),
        ("$schema" | "$id" | "$defs" | "title" | "description" | "examples", _) => Ok(()),
        (other, _) => panic!("{path}: the keyword {other} is not checked"),
    }
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("no kind {other}"),
    }
}
