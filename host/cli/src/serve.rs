//! `promoflow serve`: the HTTP service.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use promoflow_config::{MAX_SECONDS, ServeConfig};
use promoflow_document::with_causes;
use promoflow_server as api;
use promoflow_server::{Limits, Options, Tls};
use serde_json::json;

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, print_note};
use super::output::Out;

/// Run the HTTP service, with workers and the dispatcher, until Ctrl-C or SIGTERM.
///
/// Every request needs an API key, which `promoflow key create` creates. On shutdown the service
/// finishes the requests in progress and loses nothing. An option overrides its environment
/// variable, which overrides [serve] in the configuration.
#[derive(Args)]
#[command(after_help = "Examples:\n  promoflow serve\n  \
                  promoflow serve --listen 0.0.0.0:8443 --tls-certificate cert.pem --tls-key key.pem\n  \
                  promoflow serve --probe\n\n\
                  The API is documented at http://127.0.0.1:8080/docs/.")]
pub(super) struct Serve {
    /// Address to listen on; port 0 selects any available port (default: 127.0.0.1:8080).
    #[arg(
        long,
        value_name = "ADDR",
        env = "PROMOFLOW_LISTEN",
        hide_env_values = true
    )]
    listen: Option<SocketAddr>,
    /// The TLS certificate (PEM), followed by its intermediate certificates.
    #[arg(
        long,
        value_name = "FILE",
        env = "PROMOFLOW_TLS_CERTIFICATE",
        hide_env_values = true
    )]
    tls_certificate: Option<PathBuf>,
    /// The private key (PEM) of the certificate.
    #[arg(
        long,
        value_name = "FILE",
        env = "PROMOFLOW_TLS_KEY",
        hide_env_values = true
    )]
    tls_key: Option<PathBuf>,
    /// Events per second that each API key may send (default: 350).
    #[arg(
        long,
        value_name = "N",
        env = "PROMOFLOW_EVENTS_PER_SECOND",
        hide_env_values = true
    )]
    events_per_second: Option<NonZeroU32>,
    /// Other requests per second that each API key may make (default: 200).
    #[arg(
        long,
        value_name = "N",
        env = "PROMOFLOW_REQUESTS_PER_SECOND",
        hide_env_values = true
    )]
    requests_per_second: Option<NonZeroU32>,
    /// Maximum seconds for the head of a request, and for an idle connection (default: 15).
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PROMOFLOW_HEADER_TIMEOUT",
        hide_env_values = true,
        value_parser = RangedU64ValueParser::<NonZeroU64>::new().range(1..=MAX_SECONDS)
    )]
    header_timeout: Option<NonZeroU64>,
    /// Maximum seconds without data while a client sends a body (default: 30).
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PROMOFLOW_BODY_TIMEOUT",
        hide_env_values = true,
        value_parser = RangedU64ValueParser::<NonZeroU64>::new().range(1..=MAX_SECONDS)
    )]
    body_timeout: Option<NonZeroU64>,
    /// Maximum number of connections (default: 1024). Above it, the oldest connection without a
    /// valid API key, or else an idle one, is closed.
    #[arg(
        long,
        value_name = "N",
        env = "PROMOFLOW_CONNECTIONS",
        hide_env_values = true
    )]
    connections: Option<NonZeroU64>,
    /// Maximum number of connections per address (default: half of all).
    #[arg(
        long,
        value_name = "N",
        env = "PROMOFLOW_CONNECTIONS_PER_ADDRESS",
        hide_env_values = true
    )]
    connections_per_address: Option<NonZeroU64>,
    /// Seconds that requests in progress may take on shutdown (default: 30).
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PROMOFLOW_DRAIN",
        hide_env_values = true,
        value_parser = RangedU64ValueParser::<u64>::new().range(..=MAX_SECONDS)
    )]
    drain: Option<u64>,
    /// Read everything that the service needs, including secrets and certificates, report whether
    /// it is valid, and exit.
    #[arg(long)]
    check: bool,
    /// Check whether the service that runs with the same options on this machine is ready, and
    /// exit: status 0 if it is, 1 if it is not.
    #[arg(long, conflicts_with = "check")]
    probe: bool,
}

impl Serve {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        let file = context.load_config()?.serve;
        let (check, probe) = (self.check, self.probe);
        let options = self.merge(file)?;
        let scheme = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        if check {
            return print_check(context, &options, scheme, out);
        }
        if probe {
            return print_probe(&options, out);
        }
        let promoflow = context.open_to_deliver()?;
        if promoflow.keys()?.iter().all(|key| key.revoked.is_some()) {
            print_note("no API key exists yet; create one with `promoflow key create`");
        }
        let mut printed = Ok(());
        let served = api::serve(promoflow, options, |address| {
            let url = format!("{scheme}://{address}");
            printed = match out.is_json() {
                true => out.json(&json!({ "url": url })),
                false => out.line(format_args!(
                    "Listening on {url}; the API is documented at {url}/docs/."
                )),
            }
            .and_then(|()| out.flush());
        });
        printed?;
        served.map_err(CliError::from)?;
        Ok(Status::Success)
    }

    /// Merges the settings: options and environment override the configuration, which overrides the
    /// defaults.
    fn merge(self, file: ServeConfig) -> Result<Options, CliError> {
        let defaults = Options::default();
        let limits = Limits::default();
        let certificate = self.tls_certificate.or(file.tls_certificate);
        let tls = match (certificate, self.tls_key.or(file.tls_key)) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(CliError::invalid_input("the TLS certificate has no key").with_hint(
                    "name its file with --tls-key, PROMOFLOW_TLS_KEY or `tls-key` in the configuration",
                ));
            }
            (None, Some(_)) => {
                return Err(
                    CliError::invalid_input("the TLS key has no certificate").with_hint(
                        "name its file with --tls-certificate, PROMOFLOW_TLS_CERTIFICATE or \
                     `tls-certificate` in the configuration",
                    ),
                );
            }
        };
        let seconds = |given: Option<NonZeroU64>, file: Option<NonZeroU64>, defaults: Duration| {
            let seconds = given.or(file);
            seconds.map_or(defaults, |seconds| Duration::from_secs(seconds.get()))
        };
        let number = |given: Option<NonZeroU32>, file: Option<NonZeroU32>, defaults: u32| {
            given.or(file).map_or(defaults, NonZeroU32::get)
        };
        let connections = self.connections.or(file.connections);
        let per_address = self
            .connections_per_address
            .or(file.connections_per_address);
        let to_count = |number: NonZeroU64| usize::try_from(number.get()).unwrap_or(usize::MAX);
        Ok(Options {
            listen: self.listen.or(file.listen).unwrap_or(defaults.listen),
            tls,
            limits: Limits {
                events_per_second: number(
                    self.events_per_second,
                    file.events_per_second,
                    limits.events_per_second,
                ),
                requests_per_second: number(
                    self.requests_per_second,
                    file.requests_per_second,
                    limits.requests_per_second,
                ),
                header_timeout: seconds(
                    self.header_timeout,
                    file.header_timeout,
                    limits.header_timeout,
                ),
                body_timeout: seconds(self.body_timeout, file.body_timeout, limits.body_timeout),
                connections: connections.map_or(limits.connections, to_count),
                connections_per_address: per_address.map(to_count),
                ..limits
            },
            drain: self
                .drain
                .or(file.drain)
                .map_or(defaults.drain, Duration::from_secs),
        })
    }
}

/// Checks the `[serve]` section of the configuration.
pub(super) fn check(file: &ServeConfig) -> Result<(), CliError> {
    let nothing = Serve {
        listen: None,
        tls_certificate: None,
        tls_key: None,
        events_per_second: None,
        requests_per_second: None,
        header_timeout: None,
        body_timeout: None,
        connections: None,
        connections_per_address: None,
        drain: None,
        check: true,
        probe: false,
    };
    let options = nothing.merge(file.clone())?;
    api::check(&options).map_err(|error| CliError::invalid_input(with_causes(&error)))
}

/// Prints the settings that the service would start with.
fn print_check(
    context: &CliContext,
    options: &Options,
    scheme: &str,
    out: &mut Out,
) -> CommandResult {
    let database = context.check()?;
    api::check(options).map_err(|error| CliError::invalid_input(with_causes(&error)))?;
    let (limits, url) = (&options.limits, format!("{scheme}://{}", options.listen));
    if out.is_json() {
        out.json(&json!({
            "valid": true,
            "database": database.to_string(),
            "url": url,
            "eventsPerSecond": limits.events_per_second,
            "requestsPerSecond": limits.requests_per_second,
            "headerTimeout": limits.header_timeout.as_secs(),
            "bodyTimeout": limits.body_timeout.as_secs(),
            "connections": limits.connections,
            "connectionsPerAddress": limits.connections_per_address,
            "drain": options.drain.as_secs(),
        }))?;
    } else {
        out.line(format_args!("Valid: {database} would be served at {url}."))?;
    }
    Ok(Status::Success)
}

/// Prints whether the service is ready.
fn print_probe(options: &Options, out: &mut Out) -> CommandResult {
    let url = api::probe(options).map_err(|error| CliError::failed(with_causes(&error)))?;
    if out.is_json() {
        out.json(&json!({ "ready": true, "url": url }))?;
    } else {
        out.line(format_args!("{url} is ready."))?;
    }
    Ok(Status::Success)
}
