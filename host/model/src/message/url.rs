//! URLs of images and links.

/// The purpose of a URL in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlPurpose {
    /// An image that a provider fetches.
    Image,
    /// The target of a tap: the web, or an app on the phone (`shop://cart`).
    Link,
}

/// Schemes that make a device execute or display untrusted content.
const FORBIDDEN_SCHEMES: [&str; 4] = ["javascript", "vbscript", "data", "file"];

/// Validates a URL. Its scheme decides which program opens it, so untrusted values must not choose
/// it freely.
pub(super) fn check(address: &str, purpose: UrlPurpose) -> Result<(), &'static str> {
    let expected = match purpose {
        UrlPurpose::Image => "expected the URL of an image, such as https://example.com/gift.png",
        UrlPurpose::Link => "expected a link, such as https://example.com/sale",
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
        purpose == UrlPurpose::Link
            && is_scheme(&scheme)
            && !FORBIDDEN_SCHEMES.contains(&scheme.as_str())
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
pub(super) fn encode(address: &str) -> String {
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
            assert_eq!(check(address, UrlPurpose::Image), Ok(()), "{address}");
            assert_eq!(check(address, UrlPurpose::Link), Ok(()), "{address}");
        }
        for address in ["shop://cart/1", "tel:+380501234567", "mailto:a@example.com"] {
            assert_eq!(check(address, UrlPurpose::Link), Ok(()), "{address}");
            assert!(check(address, UrlPurpose::Image).is_err(), "{address}");
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
            assert!(check(address, UrlPurpose::Link).is_err(), "{address:?}");
        }
    }

    #[test]
    fn keeps_values_within_the_url() {
        let address = encode("https://example.com/?q=Ann\r\n <b>\"&x=1 ");
        assert_eq!(address, "https://example.com/?q=Ann%0D%0A%20%3Cb%3E%22&x=1");
        assert_eq!(check(&address, UrlPurpose::Link), Ok(()));
    }
}
