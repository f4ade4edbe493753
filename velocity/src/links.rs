//! Detects merge tags inside web addresses and encodes their values.
//!
//! The output before the tag decides: it ends inside an HTML attribute that holds an address, or
//! inside something that looks like an address in a text.

/// Number of bytes of the output that are examined; addresses are rarely longer.
const MAX_LOOK_BACK_BYTES: usize = 4096;
/// Work for examining them.
pub(crate) const WORK: usize = MAX_LOOK_BACK_BYTES / 2;

/// Attributes that hold an address.
const ADDRESSES: [&str; 12] = [
    "href",
    "src",
    "srcset",
    "action",
    "formaction",
    "background",
    "poster",
    "cite",
    "data",
    "data-href",
    "data-src",
    "xlink:href",
];
/// Prefixes of addresses without slashes.
const OPAQUE: [&str; 4] = ["mailto:", "tel:", "sms:", "viber:"];

/// A place in a web address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Part of the path: slashes are kept.
    Path,
    /// A value in the query or in the fragment: separators are encoded.
    Value,
    /// The start of a name in the query: the value may contain whole pairs.
    Pairs,
}

/// Returns the place in an address at the end of the output, or `None` outside of addresses and at
/// the start of one.
pub(crate) fn place(printed: &str, html: bool) -> Option<Place> {
    let printed = last_bytes(printed);
    let address = match html.then(|| attribute(printed)) {
        None => unfinished_address(printed)?,
        Some(HtmlPosition::Attribute(name, value)) if is_address(name) => {
            let value = value.trim_start();
            match name.eq_ignore_ascii_case("srcset") {
                true => value.rsplit([' ', ',']).next().unwrap_or(value),
                false => value,
            }
        }
        Some(HtmlPosition::Attribute(_, text) | HtmlPosition::Text(text)) => {
            unfinished_address(text)?
        }
    };
    place_in(address)
}

fn is_address(name: &str) -> bool {
    ADDRESSES.iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// Returns the end of a text, up to [`MAX_LOOK_BACK_BYTES`] bytes.
fn last_bytes(text: &str) -> &str {
    let mut from = text.len().saturating_sub(MAX_LOOK_BACK_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or("")
}

/// A position in HTML.
enum HtmlPosition<'t> {
    /// Inside the value of an attribute: its name, and the preceding part of the value.
    Attribute(&'t str, &'t str),
    /// In text: the preceding text. Empty inside a tag but outside of attribute values.
    Text(&'t str),
}

/// Determines the position at the end of a piece of HTML.
fn attribute(html: &str) -> HtmlPosition<'_> {
    let begins = |at: &usize| {
        let next = html.as_bytes().get(at + 1);
        next.is_some_and(u8::is_ascii_alphabetic)
    };
    let Some(open) = html.rmatch_indices('<').map(|(at, _)| at).find(begins) else {
        return HtmlPosition::Text(html);
    };
    let mut rest = html.get(open + 1..).unwrap_or("");
    let name = |text: &str| {
        text.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'))
            .unwrap_or(text.len())
    };
    rest = rest.get(name(rest)..).unwrap_or("");
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return HtmlPosition::Text("");
        }
        if let Some(text) = rest.strip_prefix('>') {
            return HtmlPosition::Text(text);
        }
        let (attribute, after) = rest.split_at(name(rest));
        let after = after.trim_start();
        let Some(value) = after.strip_prefix('=') else {
            // Skip a character that starts no name, so that the loop makes progress.
            let passed = usize::from(attribute.is_empty());
            rest = after.get(passed..).unwrap_or("");
            continue;
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, end) = match quote {
            Some(quote) => {
                let value = value.get(1..).unwrap_or("");
                (value, value.find(quote).map(|end| (end, end + 1)))
            }
            None => {
                let end = value.find(|c: char| c.is_whitespace() || c == '>');
                (value, end.map(|end| (end, end)))
            }
        };
        match end {
            Some((_, next)) => rest = value.get(next..).unwrap_or(""),
            None => return HtmlPosition::Attribute(attribute, value),
        }
    }
}

/// Returns the unfinished address at the end of a text.
fn unfinished_address(text: &str) -> Option<&str> {
    let ends = |c: char| c.is_whitespace() || "<>\"«»“”„`".contains(c);
    let word = text.rsplit(ends).next()?;
    let scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if let Some(at) = word.find("://") {
        let before = word.get(..at)?;
        let begins = before.trim_end_matches(scheme).len();
        return word.get(begins..).filter(|_| begins < at);
    }
    let lower = word.to_ascii_lowercase();
    if let Some(at) = OPAQUE.iter().find_map(|opaque| lower.find(opaque)) {
        return word.get(at..);
    }
    // `shop.example/sale?x=`, as in texts of messages.
    let host = word.find(['/', '?'])?;
    let begins = word.get(..host)?.trim_end_matches(scheme).len();
    let (label, top) = word.get(begins..host)?.rsplit_once('.')?;
    let is_host =
        !label.is_empty() && top.len() >= 2 && top.bytes().all(|b| b.is_ascii_alphabetic());
    is_host.then(|| word.get(begins..)).flatten()
}

/// Returns the place at the end of an unfinished address.
fn place_in(address: &str) -> Option<Place> {
    let rest = match address.split_once("://") {
        Some((_, rest)) => rest,
        None => address.strip_prefix("//").unwrap_or(address),
    };
    if rest.is_empty() {
        return None;
    }
    if rest.contains('#') {
        return Some(Place::Value);
    }
    let Some((_, query)) = rest.split_once('?') else {
        return Some(Place::Path);
    };
    let pair = query.rsplit(['&', ';']).next().unwrap_or(query);
    Some(match pair.contains('=') {
        true => Place::Value,
        false => Place::Pairs,
    })
}

/// Encodes a value for a place in an address.
pub(crate) fn encode_value(value: &str, place: Place) -> String {
    let mut out = String::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        let kept = match byte {
            b'-' | b'.' | b'_' | b'~' => true,
            b'/' | b'@' | b':' | b'+' | b',' => place != Place::Value,
            b'=' | b'&' => place == Place::Pairs,
            // A value with whole pairs is already encoded.
            b'%' if place == Place::Pairs => value
                .as_bytes()
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
            _ => byte.is_ascii_alphanumeric(),
        };
        push(byte, kept, &mut out);
    }
    out
}

/// Encodes the characters of a default that are not allowed in an address.
pub(crate) fn encode_default(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        push(
            byte,
            byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte),
            &mut out,
        );
    }
    out
}

fn push(byte: u8, kept: bool, out: &mut String) {
    match kept {
        true => out.push(char::from(byte)),
        false => out.push_str(&format!("%{byte:02X}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(printed: &str, html: bool) -> &'static str {
        match place(printed, html) {
            None => "-",
            Some(Place::Path) => "path",
            Some(Place::Value) => "value",
            Some(Place::Pairs) => "pairs",
        }
    }

    #[test]
    fn detects_the_place_in_an_address() {
        for (printed, expected) in [
            ("Hi ", "-"),
            ("Save 10% and/or ", "-"),
            ("and/or/", "-"),
            ("https://", "-"),
            ("https://shop.example/", "path"),
            ("(https://shop.example/?name=", "value"),
            ("https://shop.example/?a=1&", "pairs"),
            ("https://shop.example/?", "pairs"),
            ("https://shop.example/#name=", "value"),
            ("https://shop.example/?u=https://x.example/", "value"),
            ("https://shop.example/ ", "-"),
            ("shop.ua/c?code=", "value"),
            ("Shop.ua.", "-"),
            ("mailto:", "path"),
            ("mailto:shop@example.com?subject=", "value"),
            ("shop://cart/", "path"),
        ] {
            assert_eq!(at(printed, false), expected, "{printed}");
        }
    }

    #[test]
    fn detects_addresses_in_html_attributes() {
        for (printed, expected) in [
            ("<a href=\"", "-"),
            ("<a href=\"https://x.example?a=1&amp;email=", "value"),
            ("<a class='b' href = '/p?n=", "value"),
            ("<a href=/p?n=", "value"),
            ("<a href=\"/sale/", "path"),
            ("<a title=\"a > b\" href=\"?n=", "value"),
            ("<img alt=\"Hi ", "-"),
            ("<img alt=\"a/b\" src=\"https://i.example/", "path"),
            ("<td style=\"background:url(https://i.example/?n=", "value"),
            ("<a href=\"https://x.example?a=1\">Hi ", "-"),
            (
                "<a href=\"https://x.example?a=1\">https://x.example?a=",
                "value",
            ),
            ("<p>I <3 you/", "-"),
            ("<img srcset=\"/a.png 1x, /b?n=", "value"),
        ] {
            assert_eq!(at(printed, true), expected, "{printed}");
        }
    }

    #[test]
    fn encodes_values_for_their_place() {
        for (value, place, written) in [
            ("Tom & Jerry", Place::Value, "Tom%20%26%20Jerry"),
            ("tom+x@example.com", Place::Value, "tom%2Bx%40example.com"),
            ("shoes/red & blue", Place::Path, "shoes/red%20%26%20blue"),
            ("tom+x@example.com", Place::Path, "tom+x@example.com"),
            ("a=b%20c&d=100%", Place::Pairs, "a=b%20c&d=100%25"),
            (
                "Привіт",
                Place::Path,
                "%D0%9F%D1%80%D0%B8%D0%B2%D1%96%D1%82",
            ),
        ] {
            assert_eq!(encode_value(value, place), written);
        }
        assert_eq!(encode_default("dear friend+1"), "dear%20friend+1");
    }
}
