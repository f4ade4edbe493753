//! `smtp`: email through a mail server (RFC 5321).
//!
//! An email goes to the [`server`] over a persistent [connection] from the [pool]; each exchange is
//! limited in time and bytes ([`wire`]). Replies are parsed by [`reply`] and permanent rejections
//! are classified by [`rejection`]: a rejection fails the delivery only if it concerns the message or
//! its address.

mod connection;
mod error;
mod pool;
mod rejection;
mod reply;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use lettre::address::Envelope;

use self::error::Error;
use self::pool::Pool;
use self::rejection::{Blame, Rejection};
use self::server::Server;
use super::log_throttle::LogThrottle;
use super::mime::format_email;
use super::{Channel, ChannelError, DeliveryOutcome, Limits, OutboundMessage};
use promoflow_config::SmtpConfig;
use promoflow_model::message::ChannelKind;

/// Sends email through one mail server, over persistent connections.
pub struct Smtp {
    server: Server,
    pool: Arc<Pool>,
    sender: String,
    limits: Limits,
    log_throttle: LogThrottle,
}

impl Smtp {
    /// Creates a channel. It connects with the first message.
    pub fn new(config: &SmtpConfig) -> Result<Smtp, ChannelError> {
        Ok(Smtp {
            server: Server::new(config)?,
            pool: Arc::default(),
            sender: config.from.clone(),
            limits: Limits {
                concurrency: usize::try_from(config.connections).unwrap_or(1),
                rate: None,
            },
            log_throttle: LogThrottle::default(),
        })
    }

    /// Handles an error before the email was started: the delivery may use another alternative.
    fn connect_failed(&self, envelope: &Envelope, error: &Error) -> DeliveryOutcome {
        match error {
            Error::Tls(_) | Error::Unsupported(_) => self.later(error, true, false),
            _ => self.failed(envelope, error, false),
        }
    }

    /// Handles an error. `is_ambiguous`: the server may have accepted the email.
    fn failed(&self, envelope: &Envelope, error: &Error, is_ambiguous: bool) -> DeliveryOutcome {
        let ours = match (Rejection::of(error), error) {
            (Some(rejection), _) => match rejection.blame() {
                Blame::Message => false,
                Blame::Installation => true,
                Blame::Unknown => self.server.rejects_everyone(envelope, &rejection),
            },
            // A non-ASCII address is the recipient's problem; any other missing extension is ours.
            (None, Error::Unsupported(_)) => envelope.to().iter().all(is_ascii),
            (None, _) => return self.later(error, false, is_ambiguous),
        };
        match ours {
            true => self.later(error, true, is_ambiguous),
            false => DeliveryOutcome::PermanentFailure {
                error: error.to_string(),
            },
        }
    }

    /// Returns a retryable failure. `ours`: an operator must fix the configuration first.
    fn later(&self, error: &Error, ours: bool, is_ambiguous: bool) -> DeliveryOutcome {
        if ours {
            let complaint = format!("the mail server refuses this installation: {error}");
            self.log_throttle.log(complaint);
        }
        DeliveryOutcome::RetryableFailure {
            error: error.to_string(),
            after: None,
            ambiguous: is_ambiguous,
        }
    }
}

/// Returns true if every server supports the address (RFC 6531).
fn is_ascii(address: &lettre::Address) -> bool {
    let address: &str = address.as_ref();
    address.is_ascii()
}

impl Channel for Smtp {
    fn supports(&self, kind: ChannelKind) -> bool {
        kind == ChannelKind::Email
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn deliver(&self, outbound: &OutboundMessage<'_>) -> DeliveryOutcome {
        let mail = match format_email(outbound, &self.sender) {
            Ok(mail) => mail,
            Err(error) => return DeliveryOutcome::PermanentFailure { error },
        };
        let mut connection = match self.pool.take(&self.server) {
            Ok(connection) => connection,
            Err(error) => return self.connect_failed(mail.envelope(), &error),
        };
        let bytes = mail.formatted();
        let mut sent = connection.send(mail.envelope(), &bytes);
        if let Err(error) = &sent
            && connection.was_closed(error)
        {
            connection = match self.pool.replace(&self.server) {
                Ok(connection) => connection,
                Err(error) => return self.connect_failed(mail.envelope(), &error),
            };
            sent = connection.send(mail.envelope(), &bytes);
        }
        match sent {
            Ok(()) => {
                self.pool.keep(connection);
                DeliveryOutcome::Delivered
            }
            Err(error) => {
                // Close it before asking the server again.
                drop(connection);
                self.failed(mail.envelope(), &error, error.is_ambiguous())
            }
        }
    }
}

/// Parses and classifies all replies in some bytes and returns their number.
#[doc(hidden)]
pub fn read_replies(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Ok(Some(reply)) = reply::Reply::read(&mut bytes) {
        assert!((200..600).contains(&reply.code), "{reply:?}");
        assert!(!reply.lines.is_empty(), "{reply:?}");
        connection::extensions(&reply);
        let code = reply.code.to_string();
        let is_permanent = reply.is_permanent();
        let rejected = Error::Rejected(reply);
        let rejection = Rejection::of(&rejected);
        assert_eq!(rejection.is_some(), is_permanent, "{rejected:?}");
        // The reply's text may quote an address: only its code and status are printed.
        let error = rejected.to_string();
        let status = |c: char| c.is_ascii_digit() || c == '.' || c == ' ';
        let what = error.strip_prefix("the mail server answered ");
        assert!(
            what.is_some_and(|what| what.starts_with(&code) && what.chars().all(status)),
            "{error}"
        );
        if let Some(rejection) = rejection {
            rejection.blame();
        }
        count += 1;
    }
    count
}
