//! Why a mail server took no mail.

use std::fmt;
use std::io;

use super::reply::Reply;
use super::wire::TooLong;

/// Why an exchange with a mail server did not come to a good end.
#[derive(Debug)]
pub(super) enum Error {
    /// No connection came about.
    Unconnected(io::Error),
    /// The connection broke, or the server did not answer in time.
    Network(io::Error),
    /// No encrypted connection came about: what the server offers, or who vouches for it.
    Tls(rustls::Error),
    /// The server hung up, or answered what is no SMTP.
    NoSmtp,
    /// The server's answer does not end.
    TooLong,
    /// The server lacks what the mail, or the configuration, needs of it.
    Unsupported(&'static str),
    /// The server says no: 4xx for now, 5xx for good.
    Rejected(Reply),
}

impl Error {
    /// Whether the server may have taken a mail during whose transaction this happened: unless it
    /// said that it did not, or was not asked.
    pub(super) fn is_ambiguous(&self) -> bool {
        match self {
            Error::Network(_) | Error::NoSmtp | Error::TooLong | Error::Tls(_) => true,
            Error::Unconnected(_) | Error::Unsupported(_) | Error::Rejected(_) => false,
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Error {
        Error::Tls(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Error::NoSmtp;
        }
        match error.get_ref() {
            Some(inner) if inner.is::<TooLong>() => Error::TooLong,
            Some(inner) => match inner.downcast_ref::<rustls::Error>() {
                Some(error) => Error::Tls(error.clone()),
                None => Error::Network(error),
            },
            None => Error::Network(error),
        }
    }
}

/// What happened, for the operator: without what may repeat an address, since servers quote them.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Rejected(reply) => match reply.status() {
                Some(status) => write!(f, "the mail server answered {} {status}", reply.code),
                None => write!(f, "the mail server answered {}", reply.code),
            },
            Error::Network(error) if error.kind() == io::ErrorKind::TimedOut => {
                f.write_str("the mail server did not answer in time")
            }
            Error::NoSmtp => f.write_str("the mail server hung up, or answered what is no SMTP"),
            Error::TooLong => write!(f, "no conversation with the mail server: {TooLong}"),
            Error::Unsupported(what) => write!(f, "{what} is not supported by the mail server"),
            Error::Unconnected(error) | Error::Network(error) => {
                write!(f, "no conversation with the mail server: {error}")
            }
            Error::Tls(error) => write!(f, "no conversation with the mail server: {error}"),
        }
    }
}
