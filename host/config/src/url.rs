//! URLs: the server is a constant, and the connection is encrypted unless the server is on this
//! machine.

use std::net::IpAddr;

use promoflow_velocity::{Context, Escape};
use toml::Spanned;
use url::Url;

use super::error::Result;
use super::template::ConfigTemplate;
use super::toml_reader::Source;

/// Parses a URL; also returns it as a template, since it may contain references.
pub(super) fn read(
    source: Source<'_>,
    text: &Spanned<String>,
    variables: &[&str],
) -> Result<(Url, ConfigTemplate)> {
    let template = ConfigTemplate::compile(source, text, variables)?;
    let error_at = |message: &str| source.error_at(text.span(), message);
    let after_scheme = text.get_ref().split_once("://").map(|(_, rest)| rest);
    let end = |rest: &str| rest.find(['/', '?']).unwrap_or(rest.len());
    let server = after_scheme.map(|rest| rest.get(..end(rest)).unwrap_or(rest));
    if server.is_none_or(|server| server.is_empty() || server.contains(['$', '#', '\\'])) {
        return Err(error_at(
            "expected https:// and the name of a server without references",
        ));
    }
    let values = variables
        .iter()
        .fold(Context::new(), |values, name| values.with(*name, "x"));
    let rendered = template
        .render(&values, Escape::Url)
        .map_err(|error| error_at(&error.message))?;
    let url = Url::parse(&rendered).map_err(|error| error_at(&format!("not a URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error_at(
            "the URL must not contain a login; use `username` and `password`",
        ));
    }
    check_encrypted(&url).map_err(error_at)?;
    Ok((url, template))
}

/// Rejects a URL whose requests could be read or answered by others on the network.
pub(super) fn check_encrypted(url: &Url) -> Result<(), &'static str> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if url.host_str().is_some_and(is_local) => Ok(()),
        _ => Err("expected https://; http:// is only allowed for servers on this machine"),
    }
}

/// Returns true if the host is this machine.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}
