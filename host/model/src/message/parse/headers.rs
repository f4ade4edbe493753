//! Additional headers of an email.

use super::Reader;
use promoflow_document::{Content, Diagnostics, Node, shown};

/// Headers that Promoflow writes itself, or that determine the recipients.
const OWN: &[&str] = &[
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
const MOST: usize = 20;

/// Reads the headers of a message: names, and single-line templates.
pub(super) fn read(
    reader: Reader<'_>,
    node: &Node,
    out: &mut Diagnostics,
) -> Option<Vec<(String, String)>> {
    let Content::Mapping(entries) = &node.content else {
        let hint = "write `headers: { X-Campaign: birthday }`".to_owned();
        out.error(
            node.at,
            "`headers` must be a mapping of names to text",
            Some(hint),
        );
        return None;
    };
    if entries.len() > MOST {
        out.error(node.at, format!("there are more than {MOST} headers"), None);
        return None;
    }
    let mut headers = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = entry.key.to_ascii_lowercase();
        let fault = if !is_name(&entry.key) {
            "is not a header name; expected 1–76 letters, digits and `-`"
        } else if OWN.contains(&name.as_str()) || name.starts_with("content-") {
            "is a header that Promoflow sets itself"
        } else {
            let value = reader.header(&entry.value, &entry.key, out);
            headers.extend(value.map(|value| (entry.key.clone(), value)));
            continue;
        };
        out.error(entry.key_at, format!("{} {fault}", shown(&entry.key)), None);
    }
    Some(headers)
}

fn is_name(name: &str) -> bool {
    (1..=76).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}
