//! Headers of every request and response.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use super::problem::{Kind, Problem};

/// Default Content-Security-Policy: pages load nothing and may not be framed. Pages that need more
/// set their own.
const DENY_ALL_CSP: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Rejects a request with a missing, invalid or repeated Host header (RFC 9112, 3.2): a proxy and
/// this service might interpret it differently.
pub(super) fn check_host(request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let detail = match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_authority(host) => return Ok(()),
        // Host is optional before HTTP/1.1.
        (None, _) if request.version() < Version::HTTP_11 => return Ok(()),
        (Some(_), None) => "the header Host is invalid; expected a host with an optional port",
        (None, _) => "the header Host is missing",
        (Some(_), Some(_)) => "the header Host is repeated; expected one",
    };
    Err(Problem::new(Kind::InvalidRequest, detail))
}

fn is_authority(host: &HeaderValue) -> bool {
    let text = host.to_str().unwrap_or_default();
    !text.contains('@') && text.parse::<Authority>().is_ok()
}

/// Adds security headers to a response, unless it has set them. Responses contain promo codes,
/// addresses and secrets: they must not be cached, sniffed as another media type, or shown or read
/// by pages of other sites.
pub(super) fn add_security_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, DENY_ALL_CSP),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        let entry = headers.entry(name);
        entry.or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn is_accepted(version: Version, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        check_host(&request.body(Body::empty()).unwrap()).is_ok()
    }

    #[test]
    fn requires_exactly_one_valid_host() {
        for valid in ["a", "a.example:8080", "[::1]:80", "127.0.0.1"] {
            assert!(is_accepted(Version::HTTP_11, &[valid]), "{valid}");
        }
        for invalid in [
            &[][..],
            &["a", "a"],
            &["a", "b"],
            &[""],
            &["a b"],
            &["me@a"],
            &["a/b"],
            &["a, b"],
        ] {
            assert!(!is_accepted(Version::HTTP_11, invalid), "{invalid:?}");
        }
        assert!(is_accepted(Version::HTTP_10, &[]));
        assert!(!is_accepted(Version::HTTP_10, &["a", "b"]));
    }
}
