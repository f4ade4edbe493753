//! What a mail server's answers mean.

use std::error::Error as _;
use std::fmt;
use std::io;

use lettre::transport::smtp::Error;

/// Refusals that are about who logs in, not about the letter (RFC 4954).
const LOGIN: [u16; 4] = [530, 534, 535, 538];

/// Whose fault a refusal for good is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The letter's, or the address's: no other attempt will do better.
    Letter,
    /// The installation's: an operator has to mend it, and the letter waits.
    Ours,
    /// The answer does not say.
    Unknown,
}

/// A refusal for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u16,
    status: Option<Status>,
}

/// A status that tells more than the code (RFC 3463): `5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status {
    class: u16,
    subject: u16,
    detail: u16,
}

impl Refusal {
    /// The refusal that an error is, if it is one.
    pub(super) fn of(error: &Error) -> Option<Refusal> {
        let code = error.status().filter(|_| error.is_permanent())?;
        Some(Refusal {
            code: code.into(),
            status: status(error),
        })
    }

    /// Whose fault it is, as IANA's registry of enhanced status codes has them.
    pub(super) fn fault(&self) -> Fault {
        if LOGIN.contains(&self.code) {
            return Fault::Ours;
        }
        let Some(status) = self.status.filter(|status| status.class == 5) else {
            return Fault::Unknown;
        };
        match (status.subject, status.detail) {
            // The sender's address.
            (1, 7 | 8)
            // The server takes no mail, or is set up wrongly.
            | (3, 2 | 5)
            // It has too much to do, and so say some of a sender who has sent too much.
            | (4, 5)
            // The login.
            | (7, 8..=14)
            // The sender's signatures, domain and machine, or how much comes from there.
            | (7, 20..=29) => Fault::Ours,
            // The contact's address.
            (1, 1..=6 | 10)
            // The contact's mailbox.
            | (2, _)
            // The letter's size and form.
            | (3, 4)
            | (6, _) => Fault::Letter,
            _ => Fault::Unknown,
        }
    }
}

impl Status {
    /// The status that the text of an answer begins with, if it does.
    fn read(text: &str) -> Option<Status> {
        let mut parts = text.split_ascii_whitespace().next()?.split('.');
        let mut number = || {
            let part = parts.next()?;
            // `parse` takes a sign as well.
            let digits = part.bytes().all(|b| b.is_ascii_digit());
            part.parse().ok().filter(|number| digits && *number < 1000)
        };
        let (class, subject, detail) = (number()?, number()?, number()?);
        parts.next().is_none().then_some(Status {
            class,
            subject,
            detail,
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

fn status(error: &Error) -> Option<Status> {
    Status::read(&error.source()?.to_string())
}

/// What the server or the network said, without what may repeat an address: servers quote them.
pub(super) fn told(error: &Error) -> String {
    match error.status() {
        Some(code) => match status(error) {
            Some(status) => format!("the mail server answered {code} {status}"),
            None => format!("the mail server answered {code}"),
        },
        None if is_timeout(error) => "the mail server did not answer in time".to_owned(),
        None if error.is_response() => {
            "the mail server hung up, or answered what is no SMTP".to_owned()
        }
        None => format!("no conversation with the mail server: {error}"),
    }
}

/// Whether the server may have taken a mail that did not come to its end: unless it said that it
/// did not, or never got as far as hearing of it.
pub(super) fn is_unclear(error: &Error) -> bool {
    // The library tells a connection that was not made by this text alone.
    let unconnected = error.to_string().starts_with("Connection error");
    let answered = error.status().is_some();
    !(answered || unconnected || error.is_client() || is_unencrypted(error))
}

/// Whether no encrypted conversation came about, because of what the server offers or who vouches
/// for it. Then nothing was said.
pub(super) fn is_unencrypted(error: &Error) -> bool {
    // The first of them where the server answers in the clear.
    let of_tls = |error: &rustls::Error| {
        matches!(
            error,
            rustls::Error::InvalidMessage(_)
                | rustls::Error::InvalidCertificate(_)
                | rustls::Error::PeerIncompatible(_)
        )
    };
    let mut inner = of_network(error).filter_map(io::Error::get_ref);
    error.is_tls() || inner.any(|inner| inner.downcast_ref().is_some_and(of_tls))
}

/// Whether the server took too long; which of the two it is depends on the operating system.
fn is_timeout(error: &Error) -> bool {
    of_network(error).any(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        )
    })
}

/// The errors of the network that caused an error.
fn of_network(error: &Error) -> impl Iterator<Item = &io::Error> {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.filter_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whose_fault_a_refusal_is() {
        let fault = |code, text: &str| {
            let status = Status::read(text);
            Refusal { code, status }.fault()
        };
        for text in [
            "5.1.1 no such mailbox",
            "5.1.10 null MX",
            "5.2.2 full",
            "5.3.4 too big",
            "5.6.0",
        ] {
            assert_eq!(fault(550, text), Fault::Letter, "{text}");
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
            assert_eq!(fault(550, text), Fault::Ours, "{text}");
        }
        assert_eq!(fault(535, "5.1.1"), Fault::Ours, "the login");
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
            assert_eq!(fault(550, text), Fault::Unknown, "{text}");
        }
    }
}
