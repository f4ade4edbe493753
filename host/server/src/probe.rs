//! Readiness probe, for the health checks of containers and supervisors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Options, ProbeError};

/// Timeout of the probe; shorter than the usual timeout of container health checks.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);

/// Asks the service running on this machine with the same options whether it is ready. Returns the
/// URL that was asked, or the reason why the service is not ready.
pub fn probe(options: &Options) -> Result<String, ProbeError> {
    if options.listen.port() == 0 {
        return Err(ProbeError::NoPort);
    }
    let scheme = if options.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{}", reachable_address(options.listen));
    // An embedding program may already have installed a provider.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(PROBE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        // The certificate is not issued for a loopback address. The probe sends nothing
        // confidential.
        .tls_danger_accept_invalid_certs(true)
        .build()
        .map_err(|error| ProbeError::Client(error.into()))?;
    let answer = client
        .get(format!("{url}/readyz"))
        .send()
        .map_err(|error| ProbeError::Unreachable {
            url: url.clone(),
            source: error.into(),
        })?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(ProbeError::NotReady { url, status });
    }
    Ok(url)
}

/// Replaces an unspecified address with the loopback address.
fn reachable_address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
