//! Validation of mailboxes, and quoting of names that values insert.

/// Special characters in mailboxes (RFC 5322, 3.2.3): a name that contains one must be quoted.
const SPECIAL: &str = "()<>[]:;@\\,\"";
/// Separates the name from the address in rendered text. A value may contain it too, but only
/// before this one, or in the address, where it is invalid.
const ADDRESS_MARK: char = '\u{1}';

/// Inserts a mark between the name and the address of a mailbox template such as `$shop
/// <shop@example.com>`. Returns `None` for any other form. [`quote_name`] adds quotes around the name.
pub(super) fn mark_address(template: &str) -> Option<String> {
    let template = template.trim_end().strip_suffix('>')?;
    let (name, address) = template.rsplit_once('<')?;
    let within = name.trim().strip_prefix('"');
    let within = within.and_then(|name| name.strip_suffix('"'));
    let name = match within {
        Some(within) if within.contains(['"', '\\']) => return None,
        // Blanks keep positions in the template unchanged.
        Some(_) => name.replace('"', " "),
        None => name.to_owned(),
    };
    Some(format!("{name}{ADDRESS_MARK}<{address}>"))
}

/// Returns the mailbox from a rendered [`mark_address`] template, with its name quoted if necessary.
pub(super) fn quote_name(printed: &str, one_line: impl Fn(&str) -> String) -> String {
    let Some((name, address)) = printed.rsplit_once(ADDRESS_MARK) else {
        return one_line(printed);
    };
    let (name, address) = (one_line(name), one_line(address));
    let name = name.trim();
    if name.is_empty() {
        return address;
    }
    if !name.contains(|c: char| SPECIAL.contains(c) || c == '.') {
        return format!("{name} {address}");
    }
    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{name}\" {address}")
}

/// Returns true if the text looks like `shop@example.com` or `Shop <shop@example.com>`. It does not
/// check that the mailbox exists.
pub fn looks_like_mailbox(text: &str) -> bool {
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
    let special = |c: char| c.is_whitespace() || SPECIAL.contains(c);
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
        Some(quoted) => {
            let mut chars = quoted.chars();
            while let Some(c) = chars.next() {
                if c == '"' || (c == '\\' && chars.next().is_none()) {
                    return false;
                }
            }
            true
        }
        None => !text.contains(|c: char| SPECIAL.contains(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_mailboxes() {
        for text in [
            "shop@example.com",
            "Shop <shop@example.com>",
            "\"Shop, Inc.\" <shop+a@example.com>",
            "\"The \\\"Shop\\\" \\\\\" <shop@example.com>",
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
            "\"The \"Shop\"\" <shop@example.com>",
            "\"Shop\\\" <shop@example.com>",
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
