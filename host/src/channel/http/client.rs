//! The conversation with a provider.

use std::error::Error as _;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::Error;
use reqwest::blocking::{Client, Response};
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};

use crate::config::HttpConfig;

/// The longest answer that is read. Providers' have a few hundred bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// How long a provider may take to answer the telephone at all.
const MAX_CONNECT: Duration = Duration::from_secs(10);
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);

/// A client for one provider.
pub(super) fn make(config: &HttpConfig) -> anyhow::Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("promoflow/", env!("CARGO_PKG_VERSION")))
        // Elsewhere nobody gets to see the letter, the login or the signature.
        .redirect(Policy::none())
        .timeout(config.timeout)
        .connect_timeout(config.timeout.min(MAX_CONNECT))
        .pool_max_idle_per_host(config.connections)
        .pool_idle_timeout(IDLE)
        .tls_backend_preconfigured(tls()?);
    if config.sample.scheme() == "http" {
        // A server on this machine is not reached over another one.
        builder = builder.no_proxy();
    }
    // An embedding program may open its installation within a runtime, where this must not wait.
    let made = thread::scope(|scope| scope.spawn(|| builder.build()).join());
    match made {
        Ok(client) => client.context("cannot make a client for HTTP"),
        Err(_) => anyhow::bail!("cannot make a client for HTTP"),
    }
}

/// TLS with the machine's own roots.
fn tls() -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // One that cannot be read is missed by the handshake that needs it, which says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The body of an answer, or what is wrong with it. Read to its end wherever it is short, so that the
/// connection can be used again.
pub(super) fn hear(response: &mut Response, timeout: Duration) -> Result<Vec<u8>, &'static str> {
    let deadline = Instant::now() + timeout;
    let mut body = Vec::new();
    let mut part = [0; 8 * 1024];
    loop {
        let length = response.read(&mut part).map_err(|_| "broke off")?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(part.get(..length).unwrap_or_default());
        if body.len() > MAX_ANSWER {
            return Err("is too long");
        }
        // Each read may take as long as the whole answer.
        if Instant::now() > deadline {
            return Err("took too long");
        }
    }
}

/// What the network said. Never the URL, which may hold an address and a secret.
pub(super) fn told(error: &Error) -> String {
    if error.is_timeout() {
        return "the provider did not answer in time".to_owned();
    }
    if !error.is_connect() {
        return "the conversation with the provider broke off".to_owned();
    }
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(|cause| cause.source()) {
        cause = Some(deeper);
    }
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    format!("no connection to the provider{cause}")
}
