//! `smtp`: email through a mail server (RFC 5321).
//!
//! An email goes to the [`server`] over a persistent [connection] from the [pool]; each exchange is
//! limited in time and bytes ([`wire`]). Replies are parsed by [`reply`] and permanent rejections
//! are classified by [`answer`]: a rejection fails the delivery only if it concerns the message or
//! its address.

mod answer;
mod connection;
mod error;
mod pool;
mod reply;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use lettre::address::Envelope;

use self::answer::{Fault, Refusal};
use self::error::Error;
use self::pool::Pool;
use self::server::Server;
use super::complaints::Complaints;
use super::mail::mail;
use super::{Channel, Handover, Letter, Limits};
use promoflow_config::SmtpConfig;
use promoflow_model::message::ChannelKind;

/// Sends email through one mail server, over persistent connections.
pub struct Smtp {
    server: Server,
    pool: Arc<Pool>,
    sender: String,
    limits: Limits,
    complaints: Complaints,
}

impl Smtp {
    /// Creates a channel. It connects with the first message.
    pub fn new(config: &SmtpConfig) -> anyhow::Result<Smtp> {
        Ok(Smtp {
            server: Server::new(config)?,
            pool: Arc::default(),
            sender: config.from.clone(),
            limits: Limits {
                concurrency: usize::try_from(config.connections).unwrap_or(1),
                rate: None,
            },
            complaints: Complaints::default(),
        })
    }

    /// Handles an error before the email was started: the delivery may use another alternative.
    fn unreached(&self, envelope: &Envelope, error: &Error) -> Handover {
        match error {
            Error::Tls(_) | Error::Unsupported(_) => self.later(error, true, false),
            _ => self.failed(envelope, error, false),
        }
    }

    /// Handles an error. `is_ambiguous`: the server may have accepted the email.
    fn failed(&self, envelope: &Envelope, error: &Error, is_ambiguous: bool) -> Handover {
        let ours = match (Refusal::of(error), error) {
            (Some(refusal), _) => match refusal.fault() {
                Fault::Letter => false,
                Fault::Ours => true,
                Fault::Unknown => self.server.refuses_everybody(envelope, &refusal),
            },
            // A non-ASCII address is the recipient's problem; any other missing extension is ours.
            (None, Error::Unsupported(_)) => envelope.to().iter().all(is_ascii),
            (None, _) => return self.later(error, false, is_ambiguous),
        };
        match ours {
            true => self.later(error, true, is_ambiguous),
            false => Handover::Refused {
                error: error.to_string(),
            },
        }
    }

    /// Returns a retryable failure. `ours`: an operator must fix the configuration first.
    fn later(&self, error: &Error, ours: bool, is_ambiguous: bool) -> Handover {
        if ours {
            let complaint = format!("the mail server refuses this installation: {error}");
            self.complaints.tell(complaint);
        }
        Handover::Later {
            error: error.to_string(),
            after: None,
            unclear: is_ambiguous,
        }
    }
}

/// Returns true if every server supports the address (RFC 6531).
fn is_ascii(address: &lettre::Address) -> bool {
    let address: &str = address.as_ref();
    address.is_ascii()
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
        let mut connection = match self.pool.take(&self.server) {
            Ok(connection) => connection,
            Err(error) => return self.unreached(mail.envelope(), &error),
        };
        match connection.send(mail.envelope(), &mail.formatted()) {
            Ok(()) => {
                self.pool.keep(connection);
                Handover::Delivered
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
        let refusal = Refusal::of(&rejected);
        assert_eq!(refusal.is_some(), is_permanent, "{rejected:?}");
        // The reply's text may quote an address: only its code and status are printed.
        let told = rejected.to_string();
        let status = |c: char| c.is_ascii_digit() || c == '.' || c == ' ';
        let what = told.strip_prefix("the mail server answered ");
        assert!(
            what.is_some_and(|what| what.starts_with(&code) && what.chars().all(status)),
            "{told}"
        );
        if let Some(refusal) = refusal {
            refusal.fault();
        }
        count += 1;
    }
    count
}
