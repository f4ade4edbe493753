//! What looks like a mailbox.

/// Whether the text looks like `shop@example.com` or `Shop <shop@example.com>`. Whether anybody
/// reads what is sent there, only sending can tell.
pub(crate) fn looks_like_mailbox(text: &str) -> bool {
    if text.chars().any(char::is_control) {
        return false;
    }
    match text
        .trim()
        .strip_suffix('>')
        .and_then(|text| text.rsplit_once('<'))
    {
        Some((name, address)) => is_name(name.trim()) && is_address(address),
        None => is_address(text.trim()),
    }
}

fn is_address(text: &str) -> bool {
    let special = |c: char| c.is_whitespace() || "()<>[]:;@\\,\"".contains(c);
    match text.split_once('@') {
        Some((local, domain)) => [local, domain].iter().all(|part| {
            !part.is_empty()
                && !part.contains(special)
                && !part.starts_with('.')
                && !part.ends_with('.')
                && !part.contains("..")
        }),
        None => false,
    }
}

fn is_name(text: &str) -> bool {
    match text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    {
        Some(quoted) => !quoted.contains(['"', '\\']),
        None => !text.contains(|c: char| "()<>[]:;@\\,\"".contains(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_told_from_other_texts() {
        for text in [
            "shop@example.com",
            "Shop <shop@example.com>",
            "\"Shop, Inc.\" <shop+a@example.com>",
            "Крамниця <shop@приклад.укр>",
            "<shop@example.com>",
        ] {
            assert!(looks_like_mailbox(text), "{text}");
        }
        for text in [
            "",
            "shop",
            "shop@",
            "@example.com",
            "a@b@c",
            "a b@example.com",
            "Shop <shop@example.com",
            "Shop, Inc <shop@example.com>",
            "a@example.com, b@example.com",
            "Shop\r\nBcc: x@example.com <shop@example.com>",
            "a@example..com",
        ] {
            assert!(!looks_like_mailbox(text), "{text}");
        }
    }
}
