//! `promoflow serve`: the HTTP service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use promoflow::api::{self, Limits, Options, Tls};
use serde_json::json;

use super::failure::{Done, Failure, Status, tell_note};
use super::output::Out;
use super::session::Session;

/// Run the HTTP service, with workers and the dispatcher, until Ctrl-C or SIGTERM.
///
/// It refuses everything without an API key, which `promoflow key create` makes. Told to end, it
/// finishes what is under way and loses nothing.
#[derive(Args)]
#[command(after_help = "Examples:\n  promoflow serve\n  \
                  promoflow serve --listen 0.0.0.0:8443 --tls-certificate cert.pem --tls-key key.pem\n\n\
                  http://127.0.0.1:8080/docs/ shows what it takes.")]
pub(super) struct Serve {
    /// Where to listen; port 0 is any that is free.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A certificate (PEM) to speak TLS with, those between it and its root below it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Events a second that each API key may send.
    #[arg(long, value_name = "N", default_value_t = Limits::default().events_per_second,
          value_parser = clap::value_parser!(u32).range(1..))]
    events_per_second: u32,
    /// Other requests a second that each API key may make.
    #[arg(long, value_name = "N", default_value_t = Limits::default().requests_per_second,
          value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_second: u32,
    /// Seconds that a client may take for the head of a request, and keep an idle connection.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().header_time.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    header_time: u64,
    /// Seconds that a client may pause while it sends a body.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().body_pause.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    body_pause: u64,
    /// Connections at one time; further ones wait.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections as u64,
          value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
    /// Seconds for requests under way to end, once told to end.
    #[arg(long, value_name = "SECONDS", default_value_t = Options::default().drain.as_secs())]
    drain: u64,
}

impl Serve {
    pub(super) fn run(self, session: &Session, out: &mut Out) -> Done {
        let promoflow = session.open_or_make()?;
        if promoflow.keys()?.iter().all(|key| key.revoked.is_some()) {
            tell_note("there is no API key yet: `promoflow key create` makes one");
        }
        let tls = match (self.tls_certificate, self.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            _ => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let options = Options {
            listen: self.listen,
            tls,
            limits: Limits {
                events_per_second: self.events_per_second,
                requests_per_second: self.requests_per_second,
                header_time: Duration::from_secs(self.header_time),
                body_pause: Duration::from_secs(self.body_pause),
                connections: usize::try_from(self.connections).unwrap_or(usize::MAX),
                ..Limits::default()
            },
            drain: Duration::from_secs(self.drain),
        };
        let mut told = Ok(());
        let served = api::serve(promoflow, options, |address| {
            let url = format!("{scheme}://{address}");
            told = match out.is_json() {
                true => out.json(&json!({ "url": url })),
                false => out.line(format_args!(
                    "Listening on {url}; {url}/docs/ shows what it takes."
                )),
            }
            .and_then(|()| out.flush());
        });
        told?;
        served.map_err(Failure::from)?;
        Ok(Status::Done)
    }
}
