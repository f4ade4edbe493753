//! Mappings with known keys; any other key is an error.

use super::diagnostic::{Diagnostics, quoted};
use super::node::{Entry, Node, NodeValue, Position};
use super::scalar::Scalar;

/// A mapping whose keys are known.
#[derive(Debug)]
pub struct Fields<'n> {
    at: Position,
    what: &'static str,
    entries: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    /// Reads a mapping. Unknown and duplicate keys are reported as errors. `what` names the mapping
    /// in messages: `a step`.
    pub fn read(
        node: &'n Node,
        what: &'static str,
        known: &[&str],
        out: &mut Diagnostics,
    ) -> Option<Fields<'n>> {
        let entries = entries(node, what, out)?
            .into_iter()
            .filter(|entry| {
                let key = entry.key.as_str();
                let is_known = known.contains(&key);
                if !is_known {
                    let hint = out
                        .did_you_mean(key, known.iter().copied())
                        .unwrap_or_else(|| format!("known keys: {}", known.join(", ")));
                    let message = format!("unknown key {} in {what}", quoted(key));
                    out.error(entry.key_at, message, Some(hint));
                }
                is_known
            })
            .collect();
        Some(Fields {
            at: node.at,
            what,
            entries,
        })
    }

    /// Returns the entry of a key, if present.
    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().copied().find(|entry| entry.key == key)
    }

    /// Returns the value of a key, if present.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Returns the value of a required key, and reports an error if it is missing.
    pub fn require(&self, key: &str, out: &mut Diagnostics) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            out.error(self.at, format!("{} lacks `{key}`", self.what), None);
        }
        found
    }

    /// Returns the position where the mapping begins.
    pub fn at(&self) -> Position {
        self.at
    }
}

/// Returns the entries of a mapping with arbitrary keys. Of duplicate keys only the first is
/// returned, and an error is reported for each of the others.
pub fn entries<'n>(node: &'n Node, what: &str, out: &mut Diagnostics) -> Option<Vec<&'n Entry>> {
    let NodeValue::Mapping(all) = &node.content else {
        let message = format!("expected a mapping for {what}, found {}", node.kind());
        out.error(node.at, message, Some("write `key: value` lines".into()));
        return None;
    };
    let mut seen = std::collections::HashMap::new();
    let mut unique = Vec::with_capacity(all.len());
    for entry in all {
        match seen.insert(entry.key.as_str(), entry.key_at) {
            None => unique.push(entry),
            Some(first) => {
                let message = format!("duplicate key {} in {what}", quoted(&entry.key));
                let hint = format!("first used at {}:{}", first.line, first.column);
                out.error(entry.key_at, message, Some(hint));
                seen.insert(entry.key.as_str(), first);
            }
        }
    }
    Some(unique)
}

/// Returns the items of a list.
pub fn items<'n>(node: &'n Node, key: &str, out: &mut Diagnostics) -> Option<&'n [Node]> {
    if let NodeValue::List(items) = &node.content {
        return Some(items);
    }
    let message = format!("expected a list for `{key}`, found {}", node.kind());
    out.error(node.at, message, Some("begin each item with `- `".into()));
    None
}

/// Returns the text of a scalar. Numbers and words such as `true` and `no` are kept as written.
pub fn text<'n>(node: &'n Node, key: &str, out: &mut Diagnostics) -> Option<&'n str> {
    match node.scalar() {
        Some(scalar) if !scalar.is_null() => Some(scalar.text()),
        _ => {
            let message = format!("expected text for {}, found {}", quoted(key), node.kind());
            let cut = node.scalar().and_then(Scalar::comment_start);
            let hint =
                cut.map(|_| "YAML reads text that begins with `#` as a comment: put it in quotes");
            let at = cut.unwrap_or(node.at);
            out.error(at, message, hint.map(str::to_owned));
            None
        }
    }
}
