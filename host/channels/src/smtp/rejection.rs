//! Classifies permanent rejections of a mail server.

use super::error::Error;
use super::reply::Status;

/// Rejections that concern the login, not the message (RFC 4954).
const LOGIN: [u16; 4] = [530, 534, 535, 538];

/// The cause of a permanent rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The message or its address: another attempt does not help.
    Message,
    /// The installation: an operator must fix it, and the message waits.
    Installation,
    /// The reply does not say.
    Unknown,
}

/// A permanent rejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    code: u16,
    status: Option<Status>,
}

impl Rejection {
    /// Returns the rejection in an error, if it is one.
    pub(super) fn of(error: &Error) -> Option<Rejection> {
        match error {
            Error::Rejected(reply) if reply.is_permanent() => Some(Rejection {
                code: reply.code,
                status: reply.status(),
            }),
            _ => None,
        }
    }

    /// Returns the cause according to IANA's registry of enhanced status codes.
    pub(super) fn blame(&self) -> Blame {
        if LOGIN.contains(&self.code) {
            return Blame::Installation;
        }
        let Some(status) = self.status.filter(|status| status.class == 5) else {
            return Blame::Unknown;
        };
        match (status.subject, status.detail) {
            // The sender's address.
            (1, 7 | 8)
            // The server accepts no mail, or is misconfigured.
            | (3, 2 | 5)
            // The server is overloaded; some servers use this for a sender who has sent too much.
            | (4, 5)
            // The login.
            | (7, 8..=14)
            // The sender's signatures, domain and host, or the volume from there.
            | (7, 20..=29) => Blame::Installation,
            // The recipient's address.
            (1, 1..=6 | 10)
            // The recipient's mailbox.
            | (2, _)
            // The message's size and format.
            | (3, 4)
            | (6, _) => Blame::Message,
            _ => Blame::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_rejections_by_enhanced_status() {
        let blame = |code, text: &str| {
            let status = Status::read(text);
            Rejection { code, status }.blame()
        };
        for text in [
            "5.1.1 no such mailbox",
            "5.1.10 null MX",
            "5.2.2 full",
            "5.3.4 too big",
            "5.6.0",
        ] {
            assert_eq!(blame(550, text), Blame::Message, "{text}");
        }
        for text in [
            "5.1.8 bad sender",
            "5.3.2 no mail now",
            "5.4.5 limit of the day",
            "5.7.8 login",
            "5.7.14 trust",
            "5.7.23 SPF",
            "5.7.26 DMARC",
        ] {
            assert_eq!(blame(550, text), Blame::Installation, "{text}");
        }
        assert_eq!(blame(535, "5.1.1"), Blame::Installation, "the login");
        for text in [
            "5.7.1 blocked",
            "5.1.0",
            "5.7.15",
            "4.1.1",
            "no",
            "",
            "5.1",
            "5.1.1.1",
            "5.+1.1",
            "5.1.1000",
        ] {
            assert_eq!(blame(550, text), Blame::Unknown, "{text}");
        }
    }
}
