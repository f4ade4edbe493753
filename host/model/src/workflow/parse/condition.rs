//! Parses `where`.

use super::super::condition::{Condition, Test};
use super::keys;
use promoflow_document::{
    Diagnostics, Fields, Node, NodeValue, did_you_mean, entries, items, quoted, text,
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
            let hint = "add one of is, equals, contains and one-of".to_owned();
            out.error(fields.at(), "a condition has no test", Some(hint));
            None
        }
        [entry] => match entry.key.as_str() {
            "is" => is(&entry.value, out),
            "equals" => text(&entry.value, "equals", out).map(|text| Test::Equals(text.into())),
            "contains" => contains(&entry.value, out),
            _ => one_of(&entry.value, out),
        },
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

fn contains(node: &Node, out: &mut Diagnostics) -> Option<Test> {
    let part = text(node, "contains", out)?;
    if part.is_empty() {
        out.error(
            node.at,
            "`contains` is empty, and every text contains the empty text",
            None,
        );
        return None;
    }
    Some(Test::Contains(part.to_owned()))
}

fn one_of(node: &Node, out: &mut Diagnostics) -> Option<Test> {
    let items = items(node, "one-of", out)?;
    if items.is_empty() {
        out.error(node.at, "`one-of` is empty", None);
        return None;
    }
    let texts: Vec<_> = items
        .iter()
        .map(|item| text(item, "one-of", out).map(str::to_owned))
        .collect();
    texts.into_iter().collect::<Option<_>>().map(Test::OneOf)
}
