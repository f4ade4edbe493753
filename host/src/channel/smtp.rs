//! `smtp`: email through a mail server (RFC 5321).

use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{SmtpTransport, Transport};

use super::mail::mail;
use super::{Channel, Handover, Letter};
use crate::config::{Security, SmtpConfig};
use crate::message::ChannelKind;

/// Refusals that are about who logs in, not about the letter (RFC 4954).
const LOGIN: [u16; 4] = [530, 534, 535, 538];

/// Emails through one mail server, over connections that are kept.
pub struct Smtp {
    transport: SmtpTransport,
    sender: String,
}

impl Smtp {
    /// A channel of that configuration. Nothing is connected before the first letter.
    pub fn new(config: &SmtpConfig) -> anyhow::Result<Smtp> {
        let host = &config.host;
        let parameters = || TlsParameters::new(host.clone());
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

impl Channel for Smtp {
    fn takes(&self, kind: ChannelKind) -> bool {
        kind == ChannelKind::Email
    }

    fn deliver(&self, letter: &Letter<'_>) -> Handover {
        let mail = match mail(letter, &self.sender) {
            Ok(mail) => mail,
            Err(error) => return Handover::Refused { error },
        };
        match self.transport.send(&mail) {
            Ok(_) => Handover::Delivered,
            Err(error) if error.is_permanent() => self.refused(&error),
            Err(error) => later(&error),
        }
    }
}

fn later(error: &Error) -> Handover {
    Handover::Later {
        error: told(error),
        after: None,
    }
}

/// What the server or the network said, without what may repeat an address: servers quote them.
fn told(error: &Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None => format!("no conversation with the mail server: {error}"),
    }
}
