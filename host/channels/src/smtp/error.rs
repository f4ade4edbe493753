//! Errors of an exchange with a mail server.

use std::fmt;
use std::io;

use super::reply::Reply;
use super::wire::TooLong;

/// An error of an exchange with a mail server.
#[derive(Debug)]
pub(super) enum Error {
    /// The connection could not be established.
    ConnectFailed(io::Error),
    /// The connection was lost, or the server did not reply in time.
    Network(io::Error),
    /// The TLS handshake failed, because of the offered parameters or the certificate.
    Tls(rustls::Error),
    /// The server closed the connection, or its reply was not SMTP.
    InvalidReply,
    /// The server's reply is too long.
    TooLong,
    /// The server lacks an extension that the email or the configuration needs.
    Unsupported(&'static str),
    /// The server rejected the command: 4xx is temporary, 5xx permanent.
    Rejected(Reply),
}

impl Error {
    /// Returns true if the server may have accepted the email despite this error during its
    /// transaction: unless it rejected the email or was not asked.
    pub(super) fn is_ambiguous(&self) -> bool {
        match self {
            Error::Network(_) | Error::InvalidReply | Error::TooLong | Error::Tls(_) => true,
            Error::ConnectFailed(_) | Error::Unsupported(_) | Error::Rejected(_) => false,
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
            return Error::InvalidReply;
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

/// The error for the operator, without the server's text, which may quote an address.
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
            Error::InvalidReply => {
                f.write_str("the mail server closed the connection or sent an invalid SMTP reply")
            }
            Error::TooLong => write!(f, "the connection to the mail server failed: {TooLong}"),
            Error::Unsupported(what) => write!(f, "{what} is not supported by the mail server"),
            Error::ConnectFailed(error) | Error::Network(error) => {
                write!(f, "the connection to the mail server failed: {error}")
            }
            Error::Tls(error) => write!(f, "the connection to the mail server failed: {error}"),
        }
    }
}
