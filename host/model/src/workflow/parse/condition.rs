//! Parses `where`.

use serde_json::{Number, Value};

use super::super::condition::{Condition, Test};
use super::keys;
use promoflow_document::{
    Diagnostics, Entry, Fields, Node, NodeValue, Scalar, did_you_mean, entries, items, quoted, text,
};

/// Maximum length of a parameter name, in characters.
const MAX_PARAM_CHARS: usize = 100;

/// Parses a condition: a test, `{ all: [...] }`, `{ any: [...] }`, or a list, of which all must
/// hold.
pub(super) fn read(node: &Node, out: &mut Diagnostics) -> Option<Condition> {
    let NodeValue::Mapping(keys) = &node.content else {
        return several(node, "where", out).map(Condition::All);
    };
    let nests = |key: &str| key == keys::ALL || key == keys::ANY;
    if !keys.iter().any(|entry| nests(&entry.key)) {
        return test(node, out);
    }
    let mut condition = None;
    for entry in entries(node, "a condition", out)? {
        let key = entry.key.as_str();
        if !nests(key) {
            let message = format!("{} cannot be combined with `all` or `any`", quoted(key));
            let hint = "make it an item of the `all` or `any` list".to_owned();
            out.error(entry.key_at, message, Some(hint));
        } else if condition.is_some() {
            let message = "`all` and `any` cannot be in the same mapping";
            let hint = "nest one of them in the other's list".to_owned();
            out.error(entry.key_at, message, Some(hint));
        } else {
            let inner = several(&entry.value, key, out);
            condition = Some(inner.map(|inner| match key {
                keys::ANY => Condition::Any(inner),
                _ => Condition::All(inner),
            }));
        }
    }
    condition.flatten()
}

fn several(node: &Node, key: &str, out: &mut Diagnostics) -> Option<Vec<Condition>> {
    let items = items(node, key, out)?;
    if items.is_empty() {
        out.error(
            node.at,
            format!("`{key}` is empty; expected at least one condition"),
            None,
        );
        return None;
    }
    // Reads every item before collecting, so that all errors are reported.
    let read: Vec<_> = items.iter().map(|item| read(item, out)).collect();
    read.into_iter().collect()
}

fn test(node: &Node, out: &mut Diagnostics) -> Option<Condition> {
    let fields = Fields::read(node, "a condition", keys::TEST, out)?;
    let name = fields
        .require("param", out)
        .and_then(|node| param(node, out));
    let given: Vec<_> = keys::TEST[1..]
        .iter()
        .filter_map(|key| fields.entry(key))
        .collect();
    let test = match given.as_slice() {
        [] => {
            let hint = "add a test: is, equals, contains, one-of, starts-with, ends-with or a \
                        comparison such as at-least"
                .to_owned();
            out.error(fields.at(), "a condition has no test", Some(hint));
            None
        }
        [entry] => one_test(entry, out),
        [_, second, ..] => {
            let message = format!(
                "{} is a second test in the same condition",
                quoted(&second.key)
            );
            let hint = "write one list item per test".to_owned();
            out.error(second.key_at, message, Some(hint));
            None
        }
    };
    Some(Condition::Param {
        name: name?,
        test: test?,
    })
}

/// Parses a test; the key says which.
fn one_test(entry: &Entry, out: &mut Diagnostics) -> Option<Test> {
    let key = entry.key.as_str();
    let node = &entry.value;
    let (name, is_negated) = match key.strip_prefix(keys::NOT) {
        Some(name) => (name, true),
        None => (key, false),
    };
    let test = match name {
        "is" => is(node, out),
        "equals" => text(node, key, out).map(|text| Test::Equals(text.into())),
        "contains" => part(node, key, "contains", out).map(Test::Contains),
        "starts-with" => part(node, key, "starts with", out).map(Test::StartsWith),
        "ends-with" => part(node, key, "ends with", out).map(Test::EndsWith),
        "greater-than" => number(node, key, out).map(Test::GreaterThan),
        "at-least" => number(node, key, out).map(Test::AtLeast),
        "less-than" => number(node, key, out).map(Test::LessThan),
        "at-most" => number(node, key, out).map(Test::AtMost),
        _ => one_of(node, key, out).map(Test::OneOf),
    };
    match is_negated {
        true => test.map(|test| Test::Not(Box::new(test))),
        false => test,
    }
}

fn param(node: &Node, out: &mut Diagnostics) -> Option<String> {
    let name = text(node, "param", out)?;
    if (1..=MAX_PARAM_CHARS).contains(&name.chars().count()) {
        return Some(name.to_owned());
    }
    let message = format!("{} is not a parameter name", quoted(name));
    out.error(
        node.at,
        message,
        Some(format!("names have 1 to {MAX_PARAM_CHARS} characters")),
    );
    None
}

fn is(node: &Node, out: &mut Diagnostics) -> Option<Test> {
    match text(node, "is", out)? {
        "set" => Some(Test::Set),
        "empty" => Some(Test::Empty),
        other => {
            let message = format!("expected set or empty for `is`, found {}", quoted(other));
            let hint = did_you_mean(other, ["set", "empty"])
                .unwrap_or_else(|| "use `equals` to compare with a value".into());
            out.error(node.at, message, Some(hint));
            None
        }
    }
}

/// Parses a part of a text, which `relation` says every text has if it is empty.
fn part(node: &Node, key: &str, relation: &str, out: &mut Diagnostics) -> Option<String> {
    let part = text(node, key, out)?;
    if part.is_empty() {
        let message = format!("`{key}` is empty, and every text {relation} the empty text");
        out.error(node.at, message, None);
        return None;
    }
    Some(part.to_owned())
}

fn number(node: &Node, key: &str, out: &mut Diagnostics) -> Option<Number> {
    if let Some(Value::Number(number)) = node.scalar().map(Scalar::to_json) {
        return Some(number);
    }
    let message = format!("expected a number for `{key}`, found {}", node.kind());
    let hint = "write a number without quotes, such as 99.5".to_owned();
    out.error(node.at, message, Some(hint));
    None
}

fn one_of(node: &Node, key: &str, out: &mut Diagnostics) -> Option<Vec<String>> {
    let items = items(node, key, out)?;
    if items.is_empty() {
        out.error(node.at, format!("`{key}` is empty"), None);
        return None;
    }
    let texts: Vec<_> = items
        .iter()
        .map(|item| text(item, key, out).map(str::to_owned))
        .collect();
    texts.into_iter().collect()
}
