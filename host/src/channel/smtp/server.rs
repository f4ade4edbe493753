//! The mail server: how it is reached, and whether it refuses everybody.

use std::time::Duration;

use anyhow::Context;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, Tls, TlsParameters};
use lettre::transport::smtp::commands::{Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailParameter};
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{Address, SmtpTransport};

use super::answer::Refusal;
use crate::config::{Security, SmtpConfig};

/// The mailbox that every domain has (RFC 5321, 4.5.1).
const EVERYWHERE: &str = "postmaster";

/// How a mail server is reached.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    hello: ClientId,
    credentials: Option<Credentials>,
    timeout: Option<Duration>,
}

impl Server {
    /// The server of a configuration. Its password is read; nothing is connected.
    pub(super) fn new(config: &SmtpConfig) -> anyhow::Result<Server> {
        let parameters = || tls_parameters(config);
        let credentials = match (&config.username, &config.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.read()?)),
            _ => None,
        };
        Ok(Server {
            host: config.host.clone(),
            port: config.port(),
            tls: match config.security {
                Security::None => Tls::None,
                Security::Starttls => Tls::Required(parameters()?),
                Security::Tls => Tls::Wrapper(parameters()?),
            },
            // The machine's name, where there is one.
            hello: config
                .hello
                .clone()
                .map_or_else(ClientId::default, ClientId::Domain),
            credentials,
            timeout: Some(Duration::from_secs(config.timeout_seconds)),
        })
    }

    /// Connections to it that are kept.
    pub(super) fn transport(&self, pool: PoolConfig) -> SmtpTransport {
        let mut transport = SmtpTransport::builder_dangerous(&self.host)
            .port(self.port)
            .tls(self.tls.clone())
            .hello_name(self.hello.clone())
            .pool_config(pool)
            .timeout(self.timeout);
        if let Some(credentials) = &self.credentials {
            transport = transport.credentials(credentials.clone());
        }
        transport.build()
    }

    /// Asks whether a letter was refused for what it is not to blame for: the connection, the login
    /// or the sender is refused, or the postmaster of the contact's domain is in the same words.
    /// Nothing is sent.
    pub(super) fn refuses_everybody(&self, envelope: &Envelope, refusal: &Refusal) -> bool {
        let Ok(mut connection) = self.connect() else {
            return true;
        };
        let refuses = refuses_postmaster(&mut connection, envelope, refusal);
        connection.abort();
        refuses
    }

    /// Whether a conversation comes about, encrypted and logged in as it is configured.
    pub(super) fn is_reached(&self) -> bool {
        self.connect()
            .map(|mut connection| connection.abort())
            .is_ok()
    }

    fn connect(&self) -> Result<SmtpConnection, Error> {
        let implicit = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters),
            _ => None,
        };
        let server = (self.host.as_str(), self.port);
        let mut connection =
            SmtpConnection::connect(server, self.timeout, &self.hello, implicit, None)?;
        if let Tls::Required(parameters) = &self.tls {
            connection.starttls(parameters, &self.hello)?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials)?;
        }
        Ok(connection)
    }
}

fn refuses_postmaster(
    connection: &mut SmtpConnection,
    envelope: &Envelope,
    refusal: &Refusal,
) -> bool {
    let parameters = match envelope.from() {
        Some(from) if !AsRef::<str>::as_ref(from).is_ascii() => vec![MailParameter::SmtpUtfEight],
        _ => Vec::new(),
    };
    let mail = Mail::new(envelope.from().cloned(), parameters);
    if connection.command(mail).is_err() {
        return true;
    }
    let contact = envelope.to().first();
    let Some(Ok(postmaster)) = contact.map(|to| Address::new(EVERYWHERE, to.domain())) else {
        return false;
    };
    match connection.command(Rcpt::new(postmaster, Vec::new())) {
        Ok(_) => false,
        Err(error) => match Refusal::of(&error) {
            Some(same) => same == *refusal,
            // Whoever is told to come again, or is hung up on, has learnt nothing.
            None => !error.is_transient(),
        },
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
