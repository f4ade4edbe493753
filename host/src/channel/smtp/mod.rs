//! `smtp`: email through a mail server (RFC 5321).
//!
//! The mail of a letter goes over one of the connections that are kept to the [`server`]. What it
//! says is read in [`answer`]: a refusal for good ends a delivery only where the letter or its
//! address is to blame.

mod answer;
mod server;

use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{SmtpTransport, Transport};

use self::answer::{Fault, Refusal, is_unclear, is_unencrypted, told};
use self::server::Server;
use super::complaints::Complaints;
use super::mail::mail;
use super::{Channel, Handover, Letter, Limits};
use crate::config::SmtpConfig;
use crate::message::ChannelKind;

/// Emails through one mail server, over connections that are kept.
pub struct Smtp {
    server: Server,
    transport: SmtpTransport,
    sender: String,
    limits: Limits,
    complaints: Complaints,
}

impl Smtp {
    /// A channel of that configuration. Nothing is connected before the first letter.
    pub fn new(config: &SmtpConfig) -> anyhow::Result<Smtp> {
        let server = Server::new(config)?;
        let pool = PoolConfig::new()
            .max_size(config.connections)
            .idle_timeout(Duration::from_secs(30));
        Ok(Smtp {
            transport: server.transport(pool),
            server,
            sender: config.from.clone(),
            limits: Limits {
                concurrency: usize::try_from(config.connections).unwrap_or(1),
                rate: None,
            },
            complaints: Complaints::default(),
        })
    }

    fn failed(&self, envelope: &Envelope, error: &Error) -> Handover {
        let ours = match Refusal::of(error) {
            Some(refusal) => match refusal.fault() {
                Fault::Letter => false,
                Fault::Ours => true,
                Fault::Unknown => self.server.refuses_everybody(envelope, &refusal),
            },
            // The library does not begin with an address that the server cannot take.
            None if error.is_client() => {
                envelope.to().iter().all(is_ascii) || !self.server.is_reached()
            }
            None => return self.later(error, is_unencrypted(error)),
        };
        match ours {
            true => self.later(error, true),
            false => Handover::Refused { error: told(error) },
        }
    }

    /// Not now; `ours`: an operator has to mend something before.
    fn later(&self, error: &Error, ours: bool) -> Handover {
        let told = told(error);
        if ours {
            let complaint = format!("the mail server refuses this installation: {told}");
            self.complaints.tell(complaint);
        }
        Handover::Later {
            error: told,
            after: None,
            unclear: is_unclear(error),
        }
    }
}

/// Whether every server takes an address (RFC 6531).
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
        match self.transport.send(&mail) {
            Ok(_) => Handover::Delivered,
            Err(error) => self.failed(mail.envelope(), &error),
        }
    }
}
