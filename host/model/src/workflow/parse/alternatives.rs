//! Parses parameters of the kind `targets`: alternatives of a message, each checked like the step's
//! own parameters.

use super::super::parameter_types::TO;
use super::{Context, with};
use crate::block::{Kind, Parameter, TargetEntry};
use promoflow_document::{Diagnostics, Entry, Node, entries, items, quoted};

/// Checks the alternatives that a parameter lists.
pub(super) fn check(entry: &Entry, context: Context<'_>, out: &mut Diagnostics) {
    let Some(alternatives) = items(&entry.value, &entry.key, out) else {
        return;
    };
    if !(1..=TargetEntry::MAX).contains(&alternatives.len()) {
        let message = format!(
            "expected 1 to {} alternatives, found {}",
            TargetEntry::MAX,
            alternatives.len()
        );
        out.error(entry.value.at, message, None);
    }
    let what = format!("an alternative of {}", quoted(&entry.key));
    for alternative in alternatives {
        check_alternative(&what, alternative, context, out);
    }
}

/// Returns the keys of an alternative with their types.
fn keys() -> [Parameter; 3] {
    let key = |name: &str, kind, required| Parameter {
        name: name.into(),
        title: String::new(),
        description: String::new(),
        kind,
        required,
        default: None,
    };
    [
        key("channel", Kind::Channel, true),
        key("message", Kind::Message, true),
        key("to", TO, false),
    ]
}

fn check_alternative(what: &str, node: &Node, context: Context<'_>, out: &mut Diagnostics) {
    let Some(given) = entries(node, what, out) else {
        return;
    };
    let keys = keys();
    for key in with::missing(&keys, &given) {
        let name = quoted(&key.name);
        out.error(node.at, format!("{what} lacks {name}"), None);
    }
    let mut constants = Vec::new();
    for entry in given {
        let Some(key) = keys.iter().find(|one| one.name == entry.key) else {
            let names = || keys.iter().map(|one| one.name.as_str());
            let message = format!("unknown key {} in {what}", quoted(&entry.key));
            let hint = out.did_you_mean(&entry.key, names()).unwrap_or_else(|| {
                format!("known keys: {}", names().collect::<Vec<_>>().join(", "))
            });
            out.error(entry.key_at, message, Some(hint));
            continue;
        };
        let value = entry.value.to_json(with::is_typed(&key.kind));
        if let Some(value) = with::check_param(&entry.value, key, &value, context.templates, out) {
            constants.push((key, &entry.value, value));
        }
    }
    with::check_messages(&keys, &constants, context, out);
}
