//! HTML in a separate file.

use std::path::Path;

use super::super::files::{MAX_HTML_BYTES, is_within_folder};
use super::Reader;
use promoflow_document::{Diagnostics, Node, Position, quoted, text};

impl Reader<'_> {
    /// Reads the HTML file that the node refers to.
    pub(super) fn html_file(self, node: &Node, out: &mut Diagnostics) -> Option<String> {
        let path = text(node, "html-file", out)?;
        if !is_within_folder(path) {
            let fault = format!("{} is outside the message's folder", quoted(path));
            let hint = "name a file in the message's folder or below, with `/` between folders";
            out.error(node.at, fault, Some(hint.into()));
            return None;
        }
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let hint = "the path is relative to the message's file".to_owned();
                out.error(
                    node.at,
                    format!("cannot read {}: {error}", quoted(path)),
                    Some(hint),
                );
                return None;
            }
        };
        if bytes.len() > MAX_HTML_BYTES {
            let fault = format!("{} is larger than {MAX_HTML_BYTES} bytes", quoted(path));
            out.error(node.at, fault, None);
            return None;
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let Ok(html) = str::from_utf8(bytes) else {
            let hint = "save it as UTF-8".to_owned();
            out.error(
                node.at,
                format!("{} is not UTF-8", quoted(path)),
                Some(hint),
            );
            return None;
        };
        if html.trim().is_empty() {
            out.error(node.at, format!("{} is empty", quoted(path)), None);
            return None;
        }
        if let Err(fault) = self.templates.depends_on_data(html) {
            let place = |number| u32::try_from(number).unwrap_or(u32::MAX).max(1);
            let at = Position {
                line: place(fault.line),
                column: place(fault.column),
            };
            out.error_in(sibling_path(self.file, path), at, fault.message, None);
            return None;
        }
        Some(html.to_owned())
    }
}

/// Returns the path of a file next to the message file, relative to the same folder as the message
/// file's own path.
pub fn sibling_path(file: &str, path: &str) -> String {
    match Path::new(file).parent() {
        Some(parent) => parent.join(path).display().to_string(),
        None => path.to_owned(),
    }
}
