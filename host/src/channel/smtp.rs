//! `smtp`: email through a mail server (RFC 5321).

use std::error::Error as _;
use std::time::Duration;

use anyhow::Context;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{Message, SmtpTransport, Transport};

use super::mail::mail;
use super::{Channel, Handover, Letter, Limits};
use crate::config::{Security, SmtpConfig};
use crate::message::ChannelKind;

/// Refusals that are about who logs in, not about the letter (RFC 4954).
const LOGIN: [u16; 4] = [530, 534, 535, 538];

/// Emails through one mail server, over connections that are kept.
pub struct Smtp {
    transport: SmtpTransport,
    sender: String,
    limits: Limits,
}

impl Smtp {
    /// A channel of that configuration. Nothing is connected before the first letter.
    pub fn new(config: &SmtpConfig) -> anyhow::Result<Smtp> {
        let host = &config.host;
        let parameters = || tls_parameters(config);
        let tls = match config.security {
            Security::None => Tls::None,
            Security::Starttls => Tls::Required(parameters()?),
            Security::Tls => Tls::Wrapper(parameters()?),
        };
        let pool = PoolConfig::new()
            .max_size(config.connections)
            .idle_timeout(Duration::from_secs(30));
        let mut transport = SmtpTransport::builder_dangerous(host)
            .port(config.port())
            .tls(tls)
            .pool_config(pool)
            .timeout(Some(Duration::from_secs(config.timeout_seconds)));
        if let Some(name) = &config.hello {
            transport = transport.hello_name(ClientId::Domain(name.clone()));
        }
        if let (Some(user), Some(password)) = (&config.username, &config.password) {
            let password = password.read()?;
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Smtp {
            transport: transport.build(),
            sender: config.from.clone(),
            limits: Limits {
                concurrency: usize::try_from(config.connections).unwrap_or(1),
                rate: None,
            },
        })
    }

    /// What a refusal means. A server that refuses everybody, or us, has not refused the letter.
    fn refused(&self, error: &Error) -> Handover {
        let code = error.status().map(u16::from);
        let ours = code.is_some_and(|code| LOGIN.contains(&code))
            || !self.transport.test_connection().unwrap_or(false);
        if ours {
            tracing::error!("the mail server refuses this installation: {}", told(error));
            return later(error);
        }
        Handover::Refused { error: told(error) }
    }
}

fn tls_parameters(config: &SmtpConfig) -> anyhow::Result<TlsParameters> {
    let mut parameters = TlsParameters::builder(config.host.clone());
    if let Some(file) = &config.ca_file {
        let name = file.display();
        let pem = std::fs::read(file).with_context(|| format!("cannot read `ca-file` {name}"))?;
        let none = || format!("`ca-file` {name} holds no certificate in PEM");
        let begins = b"-----BEGIN CERTIFICATE-----";
        // Without any, a file is read as well, and nobody is trusted by it.
        let has_one = pem.windows(begins.len()).any(|window| window == begins);
        anyhow::ensure!(has_one, none());
        let authority = Certificate::from_pem(&pem).with_context(none)?;
        parameters = parameters.add_root_certificate(authority);
    }
    Ok(parameters.build()?)
}

impl Channel for Smtp {
    fn takes(&self, kind: ChannelKind) -> bool {
        kind == ChannelKind::Email
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn deliver(&self, letter: &Letter<'_>) -> Handover {
        let mail = match mail(letter, &self.sender) {
            Ok(mail) => mail,
            Err(error) => return Handover::Refused { error },
        };
        match self.transport.send(&mail) {
            Ok(_) => Handover::Delivered,
            // The library does not begin with an address that the server cannot take.
            Err(error) if error.is_permanent() || (error.is_client() && !is_ascii(&mail)) => {
                self.refused(&error)
            }
            Err(error) => later(&error),
        }
    }
}

fn later(error: &Error) -> Handover {
    Handover::Later {
        error: told(error),
        after: None,
        unclear: is_unclear(error),
    }
}

/// Whether the server may have taken a mail that did not come to its end: unless it said that it
/// did not, or never got as far as hearing of it.
fn is_unclear(error: &Error) -> bool {
    // The library tells a connection that was not made by this text alone.
    let unconnected = error.to_string().starts_with("Connection error");
    let answered = error.status().is_some();
    !(answered || unconnected || error.is_client() || error.is_tls())
}

/// Whether every server takes the addresses of a mail (RFC 6531).
fn is_ascii(mail: &Message) -> bool {
    let envelope = mail.envelope();
    let mut addresses = envelope.from().into_iter().chain(envelope.to());
    addresses.all(|address| {
        let address: &str = address.as_ref();
        address.is_ascii()
    })
}

/// What the server or the network said, without what may repeat an address: servers quote them.
fn told(error: &Error) -> String {
    match error.status() {
        Some(code) => match enhanced(error) {
            Some(status) => format!("the mail server answered {code} {status}"),
            None => format!("the mail server answered {code}"),
        },
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None => format!("no conversation with the mail server: {error}"),
    }
}

/// The status that an answer begins with and that tells more than its code (RFC 3463): `5.1.1`.
fn enhanced(error: &Error) -> Option<String> {
    let text = error.source()?.to_string();
    let status = text.split_ascii_whitespace().next()?;
    let number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = status.split('.');
    (parts.clone().count() == 3 && parts.all(number)).then(|| status.to_owned())
}
