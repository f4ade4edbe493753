//! Header values in the HTTP binding of CloudEvents.

use std::borrow::Cow;

use axum::http::HeaderValue;

/// Decodes a header value; `None` if it is malformed.
pub(super) fn decode(value: &HeaderValue) -> Option<String> {
    percent_decode(&unquote(value.to_str().ok()?)?)
}

/// Removes the double quotes that senders of older versions put around values; `None` if they are
/// not closed.
fn unquote(text: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(Cow::Borrowed(text));
    };
    let mut inside = String::with_capacity(quoted.len());
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => break,
            '\\' => inside.push(rest.next()?),
            other => inside.push(other),
        }
    }
    rest.as_str().is_empty().then_some(Cow::Owned(inside))
}

/// Decodes percent-encoding; `None` if it is invalid.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (rest.next()?, rest.next()?);
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquotes_values_of_older_senders() {
        assert_eq!(unquote("a").as_deref(), Some("a"));
        assert_eq!(unquote(r#""a \"b\" \\""#).as_deref(), Some(r#"a "b" \"#));
        for broken in ["\"", "\"a", "\"a\" b", "\"a\\"] {
            assert_eq!(unquote(broken), None, "{broken}");
        }
    }

    #[test]
    fn decodes_percent_encoded_headers() {
        assert_eq!(percent_decode("a%20%E2%82%AC").as_deref(), Some("a €"));
        assert_eq!(percent_decode("%"), None);
        assert_eq!(percent_decode("%zz"), None);
        assert_eq!(percent_decode("%ff"), None);
    }
}
