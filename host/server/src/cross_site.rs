//! Cross-site request protection. A browser that knows an API key sends it with every request to
//! this service, including requests that pages of other sites make.

use axum::extract::Request;
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::problem::{Kind, Problem};

/// Header in which browsers send the relation between the requesting site and this one (W3C Fetch
/// Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns true for methods that change nothing (RFC 9110, 9.2.1).
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Rejects unsafe requests that a browser sends for a page of another site.
pub(super) fn reject_cross_site(request: &Request) -> Result<(), Problem> {
    if is_safe(request.method()) || is_same_origin(request.headers()) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::CrossSite,
        "cross-site requests are not allowed; the browser sent this request for a page of another \
         site",
    ))
}

/// Returns true if the request comes from a page of this service, directly from the browser's user,
/// or not from a browser.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        // Scripts cannot set this header, and it also works behind a proxy that changes the host.
        return sites.all(|site| site == "same-origin" || site == "none");
    }
    let own = host_of_request(headers);
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.all(|origin| own.is_some() && host_of_origin(origin) == own)
}

/// Returns the request's host and port, without a default port, as browsers omit it in Origin.
fn host_of_request(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    Some(without_default_port(&host.parse().ok()?))
}

/// Returns the host and port of an Origin header; `None` for `null`.
fn host_of_origin(origin: &HeaderValue) -> Option<String> {
    let origin: Uri = origin.to_str().ok()?.parse().ok()?;
    origin.scheme()?;
    Some(without_default_port(origin.authority()?))
}

fn without_default_port(authority: &Authority) -> String {
    let host = authority.host().to_ascii_lowercase();
    match authority.port_u16() {
        None | Some(80 | 443) => host,
        Some(port) => format!("{host}:{port}"),
    }
}

/// Returns true if a browser sent the request; a Basic challenge would make it prompt for a
/// password.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter();
    let mut accept = accept.filter_map(|accept| accept.to_str().ok());
    headers.contains_key(SEC_FETCH_SITE)
        || accept.any(|accept| accept.to_ascii_lowercase().contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        is_same_origin(&map)
    }

    #[test]
    fn only_requests_from_other_sites_are_foreign() {
        assert!(own(&[]) && own(&[("host", "a")]));
        for (host, origin, is_same) in [
            ("a:8080", "http://a:8080", true),
            ("A", "https://a", true),
            ("a:443", "https://a", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("a:8080", "http://a:8081", false),
            ("a:8080", "http://a", false),
            ("a", "https://a.evil.example", false),
            ("a", "null", false),
            ("a", "", false),
            ("a", "a", false),
            ("a", "https://a@evil.example", false),
        ] {
            let headers = [("host", host), ("origin", origin)];
            assert_eq!(own(&headers), is_same, "{host} {origin}");
        }
        assert!(!own(&[("origin", "https://a")]));
        for (site, is_same) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            assert_eq!(own(&[("host", "a"), ("sec-fetch-site", site)]), is_same);
        }
        assert!(!own(&[
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "cross-site")
        ]));
    }
}
