//! What authors may write and the host cannot do yet. Each is read in full elsewhere; a line
//! here goes when what it refuses works.

use crate::document::{Diagnostics, Entry, Position};

/// The values of a parameter that do not work yet; none: no value does.
const PARAMETERS: &[(&str, &str, &[&str])] = &[
    ("send-message", "allowed-hours", &[]),
    ("send-message", "time-zone", &[]),
];

/// Refuses what a parameter cannot be yet.
pub(super) fn parameter(block: &str, entry: &Entry, out: &mut Diagnostics) {
    let listed = PARAMETERS
        .iter()
        .find(|(of, name, _)| *of == block && *name == entry.key);
    match listed {
        None => {}
        Some((_, name, [])) => refuse(entry.key_at, &format!("`{name}`"), out),
        Some((_, name, refused)) => {
            let value = entry.value.scalar().map(|scalar| scalar.text());
            if let Some(value) = value.filter(|value| refused.contains(value)) {
                refuse(entry.value.at, &format!("`{name}: {value}`"), out);
            }
        }
    }
}

fn refuse(at: Position, what: &str, out: &mut Diagnostics) {
    out.error(at, format!("{what} is not supported yet"), None);
}
