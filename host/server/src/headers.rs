//! Headers of every request and answer.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use super::problem::{Kind, Problem};

/// What a page of the service may load, and where it may be shown: nothing, and nowhere. Pages that
/// need more say so themselves.
const NOTHING: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Refuses a request of which it is unclear for whom it is (RFC 9112, 3.2): a proxy and this service
/// might read it in two ways.
pub(super) fn host(request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let detail = match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_authority(host) => return Ok(()),
        // Before HTTP/1.1 there was none.
        (None, _) if request.version() < Version::HTTP_11 => return Ok(()),
        (Some(_), None) => "the header Host is no host with an optional port",
        (None, _) => "the header Host is missing",
        (Some(_), Some(_)) => "the header Host stands twice; expected one",
    };
    Err(Problem::new(Kind::InvalidRequest, detail))
}

fn is_authority(host: &HeaderValue) -> bool {
    let text = host.to_str().unwrap_or_default();
    !text.contains('@') && text.parse::<Authority>().is_ok()
}

/// Adds what holds for every answer, where it says nothing else. Answers hold promo codes,
/// addresses and secrets: nobody on the way keeps them, no browser takes them for something else
/// than they say, and no page of another site shows or reads them.
pub(super) fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, NOTHING),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        let said = headers.entry(name);
        said.or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn judged(version: Version, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        host(&request.body(Body::empty()).unwrap()).is_ok()
    }

    #[test]
    fn a_request_is_for_one_host() {
        for good in ["a", "a.example:8080", "[::1]:80", "127.0.0.1"] {
            assert!(judged(Version::HTTP_11, &[good]), "{good}");
        }
        for odd in [
            &[][..],
            &["a", "a"],
            &["a", "b"],
            &[""],
            &["a b"],
            &["me@a"],
            &["a/b"],
            &["a, b"],
        ] {
            assert!(!judged(Version::HTTP_11, odd), "{odd:?}");
        }
        assert!(judged(Version::HTTP_10, &[]));
        assert!(!judged(Version::HTTP_10, &["a", "b"]));
    }
}
