//! Asking a service whether it is ready, as a container's or a supervisor's check does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Options;

/// How long a service may take to answer; less than a check of containers waits.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks the service that was started with the same options on this machine whether it is ready.
/// Answers where it was asked, or why it is not ready.
pub fn probe(options: &Options) -> Result<String> {
    if options.listen.port() == 0 {
        bail!("a service that listens on any port that is free cannot be asked; name one");
    }
    let scheme = if options.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{}", within_reach(options.listen));
    // An embedding program may have chosen its own provider before.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        // The certificate is for another name than that of this machine to itself. Nothing is told
        // to whoever answers.
        .tls_danger_accept_invalid_certs(true)
        .build()
        .context("cannot make a client")?;
    let answer = client
        .get(format!("{url}/readyz"))
        .send()
        .with_context(|| format!("no service answers at {url}"))?;
    let status = answer.status().as_u16();
    if status != 200 {
        bail!("the service at {url} is not ready: it answers {status}");
    }
    Ok(url)
}

/// Where a client on the same machine finds who listens there.
fn within_reach(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
