//! URLs of images and links.

/// The purpose of a URL in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// An image that a provider fetches.
    Picture,
    /// The target of a tap: the web, or an app on the phone (`shop://cart`).
    Link,
}

/// Schemes that make a device execute or display untrusted content.
const REFUSED: [&str; 4] = ["javascript", "vbscript", "data", "file"];

/// Validates a URL. Its scheme decides which program opens it, so untrusted values must not choose
/// it freely.
pub(super) fn check(address: &str, purpose: Use) -> Result<(), &'static str> {
    let expected = match purpose {
        Use::Picture => "expected the URL of an image, such as https://example.com/gift.png",
        Use::Link => "expected a link, such as https://example.com/sale",
    };
    let Some((scheme, rest)) = address.split_once(':') else {
        return Err(expected);
    };
    let scheme = scheme.to_ascii_lowercase();
    let web = matches!(scheme.as_str(), "http" | "https");
    let sound = if web {
        let host = rest.strip_prefix("//").unwrap_or_default();
        !host.is_empty() && !host.starts_with(['/', '?', '#', ':'])
    } else {
        purpose == Use::Link
            && is_scheme(&scheme)
            && !REFUSED.contains(&scheme.as_str())
            && !rest.is_empty()
    };
    let blank = address.contains(|c: char| c.is_whitespace() || c.is_control());
    if sound && !blank {
        Ok(())
    } else {
        Err(expected)
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Percent-encodes characters that values may contain but URLs may not.
pub(super) fn encoded(address: &str) -> String {
    let mut encoded = String::with_capacity(address.len());
    for c in address.trim().chars() {
        if c.is_whitespace() || c.is_control() || "\"<>\\^`{|}".contains(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        } else {
            encoded.push(c);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_web_images_and_web_or_app_links() {
        for address in ["https://example.com/a.png", "HTTP://example.com"] {
            assert_eq!(check(address, Use::Picture), Ok(()), "{address}");
            assert_eq!(check(address, Use::Link), Ok(()), "{address}");
        }
        for address in ["shop://cart/1", "tel:+380501234567", "mailto:a@example.com"] {
            assert_eq!(check(address, Use::Link), Ok(()), "{address}");
            assert!(check(address, Use::Picture).is_err(), "{address}");
        }
        for address in [
            "",
            "example.com",
            "https://",
            "https:///x",
            "https:example.com",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "data:text/html,x",
            "https://example.com/a b",
            "https://example.com/a\r\nX: y",
        ] {
            assert!(check(address, Use::Link).is_err(), "{address:?}");
        }
    }

    #[test]
    fn keeps_values_within_the_url() {
        let address = encoded("https://example.com/?q=Ann\r\n <b>\"&x=1 ");
        assert_eq!(address, "https://example.com/?q=Ann%0D%0A%20%3Cb%3E%22&x=1");
        assert_eq!(check(&address, Use::Link), Ok(()));
    }
}
