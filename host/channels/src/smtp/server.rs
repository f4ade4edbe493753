//! The mail server: its address, and a check for rejections that do not concern the message.

use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use super::connection::Connection;
use super::error::Error;
use super::rejection::Rejection;
use crate::ChannelError;
use promoflow_config as config;
use promoflow_config::{Security, SmtpConfig};
use promoflow_net::client_config;

/// The mailbox that every domain has (RFC 5321, 4.5.1).
const POSTMASTER: &str = "postmaster";
/// Maximum size of the CA file in bytes; all public authorities together need a quarter of a MiB.
const MAX_CA_BYTES: u64 = 4 << 20;
/// The EHLO name of a host without a name.
const FALLBACK_EHLO: &str = "[127.0.0.1]";

/// The encryption of connections.
pub(super) enum Encryption {
    None,
    Starttls(Arc<ClientConfig>, ServerName<'static>),
    Tls(Arc<ClientConfig>, ServerName<'static>),
}

/// The address and settings of a mail server.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    pub(super) ehlo_name: String,
    pub(super) credentials: Option<(String, String)>,
    /// Time limit of each exchange.
    pub(super) timeout: Duration,
}

impl Server {
    /// Reads the configuration and the password. It does not connect.
    pub(super) fn new(config: &SmtpConfig) -> Result<Server, ChannelError> {
        let credentials = match (&config.username, &config.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.read()?)),
            _ => None,
        };
        let name = || {
            ServerName::try_from(config.host.clone()).map_err(|source| ChannelError::HostName {
                host: config.host.clone(),
                source,
            })
        };
        Ok(Server {
            host: config.host.clone(),
            port: config.port(),
            encryption: match config.security {
                Security::None => Encryption::None,
                Security::Starttls => Encryption::Starttls(tls_config(config)?, name()?),
                Security::Tls => Encryption::Tls(tls_config(config)?, name()?),
            },
            ehlo_name: config.ehlo_name.clone().unwrap_or_else(host_name),
            credentials,
            timeout: Duration::from_secs(config.timeout_seconds),
        })
    }

    /// Checks whether a rejection is unrelated to the message: the server also rejects the
    /// connection, the login or the sender, or it rejects the postmaster of the recipient's domain
    /// with the same reply. Nothing is sent.
    pub(super) fn rejects_everyone(&self, envelope: &Envelope, rejection: &Rejection) -> bool {
        let Ok(mut connection) = Connection::open(self) else {
            return true;
        };
        if connection.mail_from(envelope, true).is_err() {
            return true;
        }
        let contact = envelope.to().first();
        let Some(Ok(postmaster)) = contact.map(|to| Address::new(POSTMASTER, to.domain())) else {
            return false;
        };
        match connection.rcpt_to(&postmaster) {
            Ok(()) => false,
            Err(error) => match Rejection::of(&error) {
                Some(same) => same == *rejection,
                // A temporary rejection or a lost connection proves nothing.
                None => !matches!(error, Error::Rejected(_)),
            },
        }
    }
}

/// Returns the host's name.
fn host_name() -> String {
    let name = hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok());
    name.filter(|name| config::is_smtp_name(name))
        .unwrap_or_else(|| FALLBACK_EHLO.to_owned())
}

/// Returns the TLS configuration with the trusted authorities.
fn tls_config(config: &SmtpConfig) -> Result<Arc<ClientConfig>, ChannelError> {
    let further = match &config.ca_file {
        Some(file) => {
            let pem = config::read_bounded(file, MAX_CA_BYTES).map_err(|source| {
                ChannelError::UnreadableAuthorities {
                    file: file.clone(),
                    source,
                }
            })?;
            let none = |source| ChannelError::NoAuthorities {
                file: file.clone(),
                source,
            };
            let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
                .collect::<Result<_, _>>()
                .map_err(|error| none(Some(error)))?;
            // Without any certificate, the file would add no trust.
            if certificates.is_empty() {
                return Err(none(None));
            }
            certificates
        }
        None => Vec::new(),
    };
    let config = client_config(further).map_err(ChannelError::Authorities)?;
    Ok(Arc::new(config))
}
