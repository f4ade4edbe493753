//! From bytes to nodes, within bounds.

use super::builder::build;
use super::diagnostic::Diagnostics;
use super::json;
use super::node::{Node, Position};

/// The largest file, in bytes: far above what a person writes, and small enough to be held in
/// memory several times over.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// The deepest nesting of lists and mappings. Whatever walks the nodes does so on the stack.
pub const MAX_DEPTH: usize = 64;

/// The most values in a file, each counted as often as aliases repeat it.
pub const MAX_NODES: usize = 50_000;

/// The most text that aliases may repeat, in bytes.
pub(super) const MAX_REPEATED_BYTES: usize = 4 * MAX_FILE_BYTES;

/// Reads a file: one node for each document that is not empty. Reading ends at the first place
/// that is neither YAML nor JSON; the documents before it are given.
///
/// A file whose name ends in `.json` is JSON. Any other that begins as JSON does, with `{"` say, is
/// read as that where it is that; YAML may begin so too.
pub fn read(bytes: &[u8], out: &mut Diagnostics) -> Vec<Node> {
    let Some(text) = decode(bytes, out) else {
        return Vec::new();
    };
    let before = out.errors();
    let documents = match out.file().rsplit_once('.') {
        Some((_, ending)) if ending.eq_ignore_ascii_case("json") => json::build(text, out),
        _ if json::begins(text) => either(text, out),
        _ => build(text, out),
    };
    if documents.is_empty() && out.errors() == before {
        out.error(Position::START, "the file is empty", None);
    }
    documents
}

/// Reads what may be JSON, or YAML that looks like it.
fn either(text: &str, out: &mut Diagnostics) -> Vec<Node> {
    let mut of_json = Diagnostics::new(out.file());
    let documents = json::build(text, &mut of_json);
    if of_json.errors() == 0 {
        return documents;
    }
    let mut of_yaml = Diagnostics::new(out.file());
    let as_yaml = build(text, &mut of_yaml);
    let name = out.file().to_ascii_lowercase();
    if of_yaml.errors() == 0 || name.ends_with(".yaml") || name.ends_with(".yml") {
        out.extend(of_yaml);
        return as_yaml;
    }
    out.extend(of_json);
    documents
}

fn decode<'b>(bytes: &'b [u8], out: &mut Diagnostics) -> Option<&'b str> {
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!("the file is larger than {MAX_FILE_BYTES} bytes");
        out.error(Position::START, message, None);
        return None;
    }
    // A byte order mark is no character of the text: it would shift the first line's columns.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let sound = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let last = sound.rsplit('\n').next().unwrap_or_default();
            let at = Position {
                line: count(sound.matches('\n').count() + 1),
                column: count(last.chars().count() + 1),
            };
            out.error(
                at,
                "invalid UTF-8",
                Some("save it as UTF-8".into()),
            );
            None
        }
    }
}

/// A number of lines or columns.
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
