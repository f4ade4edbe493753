//! Ids of workflows, steps and messages.

use super::diagnostic::{Diagnostics, quoted};
use super::mapping::text;
use super::node::Node;

/// Maximum length of an id, in characters.
pub const MAX_ID_CHARS: usize = 100;

/// Returns the node's text if it is a valid id: ASCII letters, digits, `-`, `_` and `.`. An id must
/// not begin with `-` or `.`, so that commands and paths cannot misinterpret it.
pub fn check_id<'n>(node: &'n Node, key: &str, out: &mut Diagnostics) -> Option<&'n str> {
    let id = text(node, key, out)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let sound = !id.is_empty()
        && id.len() <= MAX_ID_CHARS
        && id.chars().all(allowed)
        && !id.starts_with(['-', '.']);
    if sound {
        return Some(id);
    }
    out.error(
        node.at,
        format!("{} is not an id", quoted(id)),
        Some(format!(
            "use letters a-z, digits, `-`, `_` and `.`, beginning with a letter, a digit or `_`; at most {MAX_ID_CHARS} characters"
        )),
    );
    None
}
