//! Reads files within fixed limits.

use super::diagnostic::Diagnostics;
use super::json;
use super::node::{Node, NodeValue, Position};
use super::value::check_text;
use super::yaml::build;

/// Maximum size of a file, in bytes: far above what a person writes, and small enough to keep
/// several copies in memory.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Maximum nesting of lists and mappings. Code that walks the nodes recurses on the stack.
pub const MAX_DEPTH: usize = 64;

/// Maximum number of values in a file; each counts once per alias that repeats it.
pub const MAX_NODES: usize = 50_000;

/// Maximum number of bytes of text that aliases may repeat.
pub(super) const MAX_REPEATED_BYTES: usize = 4 * MAX_FILE_BYTES;

/// Reads a file and returns one node per non-empty document. Reading stops at the first syntax
/// error; the documents before it are returned.
///
/// A file whose name ends in `.json` is JSON. Any other file that begins like JSON, with `{"` for
/// example, is read as JSON if it is valid JSON, and otherwise as YAML, which may begin the same
/// way.
pub fn read(bytes: &[u8], out: &mut Diagnostics) -> Vec<Node> {
    let Some(text) = decode(bytes, out) else {
        return Vec::new();
    };
    let before = out.errors();
    let documents = match out.file().rsplit_once('.') {
        Some((_, ending)) if ending.eq_ignore_ascii_case("json") => json::build(text, out),
        _ if json::looks_like_json(text) => build_json_or_yaml(text, out),
        _ => build(text, out),
    };
    if documents.is_empty() && out.errors() == before {
        out.error(Position::START, "the file is empty", None);
    }
    for document in &documents {
        check_texts(document, out);
    }
    documents
}

/// Rejects texts that cannot be stored.
fn check_texts(node: &Node, out: &mut Diagnostics) {
    let mut check = |text: &str, at| {
        if let Err(why) = check_text(text) {
            out.error(at, why, None);
        }
    };
    match &node.content {
        NodeValue::Scalar(scalar) => check(scalar.text(), node.at),
        NodeValue::List(items) => {
            for item in items {
                check_texts(item, out);
            }
        }
        NodeValue::Mapping(entries) => {
            for entry in entries {
                check(&entry.key, entry.key_at);
            }
            for entry in entries {
                check_texts(&entry.value, out);
            }
        }
    }
}

/// Reads a text that may be JSON or YAML that looks like JSON.
fn build_json_or_yaml(text: &str, out: &mut Diagnostics) -> Vec<Node> {
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
    // A byte order mark is not part of the text and would shift the columns of the first line.
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
            out.error(at, "invalid UTF-8", Some("save it as UTF-8".into()));
            None
        }
    }
}

/// Converts a number of lines or columns.
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
