//! Mailboxes: what looks like one, and names in them that values bring.

/// Signs of mailboxes themselves (RFC 5322, 3.2.3): a name with one of them stands in quotes.
const SPECIAL: &str = "()<>[]:;@\\,\"";
/// Stands before the address in what a template prints. A value may bring it too, but only before
/// this one, or into the address, which has no such sign.
const MARK: char = '\u{1}';

/// The template of a mailbox, `$shop <shop@example.com>`, with a mark between the name and the
/// address; `None` where it is of another form. Quotes around the name are left to [`quoted`].
pub(super) fn marked(template: &str) -> Option<String> {
    let template = template.trim_end().strip_suffix('>')?;
    let (name, address) = template.rsplit_once('<')?;
    let within = name.trim().strip_prefix('"');
    let within = within.and_then(|name| name.strip_suffix('"'));
    let name = match within {
        Some(within) if within.contains(['"', '\\']) => return None,
        // Blanks instead, so that places in the template stay what they are.
        Some(_) => name.replace('"', " "),
        None => name.to_owned(),
    };
    Some(format!("{name}{MARK}<{address}>"))
}

/// The mailbox that a [`marked`] template printed: its name in quotes, if it needs them.
pub(super) fn quoted(printed: &str, one_line: impl Fn(&str) -> String) -> String {
    let Some((name, address)) = printed.rsplit_once(MARK) else {
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

/// Whether the text looks like `shop@example.com` or `Shop <shop@example.com>`. Whether anybody
/// reads what is sent there, only sending can tell.
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
    fn mailboxes_are_told_from_other_texts() {
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
