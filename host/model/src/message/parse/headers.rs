//! Additional headers of an email.

use super::Reader;
use promoflow_document::{Diagnostics, Node, NodeValue, quoted};

/// Headers that Promoflow writes itself, or that determine the recipients.
const RESERVED: &[&str] = &[
    "bcc",
    "cc",
    "date",
    "dkim-signature",
    "from",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "message-id",
    "mime-version",
    "received",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
];
/// Maximum number of headers.
const MAX_HEADERS: usize = 20;

/// Reads the headers of a message: names, and single-line templates.
pub(super) fn read(
    reader: Reader<'_>,
    node: &Node,
    out: &mut Diagnostics,
) -> Option<Vec<(String, String)>> {
    let NodeValue::Mapping(entries) = &node.content else {
        let hint = "write `headers: { X-Campaign: birthday }`".to_owned();
        out.error(
            node.at,
            "`headers` must be a mapping of names to text",
            Some(hint),
        );
        return None;
    };
    if entries.len() > MAX_HEADERS {
        out.error(
            node.at,
            format!("there are more than {MAX_HEADERS} headers"),
            None,
        );
        return None;
    }
    let mut headers = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = entry.key.to_ascii_lowercase();
        let fault = if !is_name(&entry.key) {
            "is not a header name; expected 1–76 letters, digits and `-`"
        } else if RESERVED.contains(&name.as_str()) || name.starts_with("content-") {
            "is a header that Promoflow sets itself"
        } else {
            let value = reader.header(&entry.value, &entry.key, out);
            headers.extend(value.map(|value| (entry.key.clone(), value)));
            continue;
        };
        out.error(
            entry.key_at,
            format!("{} {fault}", quoted(&entry.key)),
            None,
        );
    }
    Some(headers)
}

fn is_name(name: &str) -> bool {
    (1..=76).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}
