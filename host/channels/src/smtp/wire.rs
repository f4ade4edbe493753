//! The transport to a mail server.
//!
//! Each exchange has a deadline and a limit of received bytes. Both apply below TLS as well, so
//! that a server cannot hold a connection by sending one byte a second or an endless reply.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::error::Error;

/// Maximum number of bytes received in one exchange: a reply, or a TLS handshake with its
/// certificates.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// The error for a reply that exceeds the limit.
#[derive(Debug, thiserror::Error)]
#[error("the reply has more than {MAX_REPLY_BYTES} bytes")]
pub(super) struct TooLong;

/// A TCP connection with limits.
pub(super) struct Wire {
    socket: TcpStream,
    deadline: Instant,
    /// Maximum time for which the server may accept no bytes of a write.
    pause: Duration,
    budget: usize,
}

impl Wire {
    /// Connects to the first of the host's addresses that accepts, within `timeout` for all of
    /// them.
    pub(super) fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<Wire> {
        let deadline = Instant::now() + timeout;
        let mut failed = None;
        for address in (host, port).to_socket_addrs()? {
            let left = match time_left(deadline) {
                Ok(left) => left,
                Err(late) => {
                    failed.get_or_insert(late);
                    break;
                }
            };
            match TcpStream::connect_timeout(&address, left) {
                Ok(socket) => {
                    // Commands are short, and each waits for its reply.
                    socket.set_nodelay(true)?;
                    return Ok(Wire {
                        socket,
                        deadline,
                        pause: timeout,
                        budget: MAX_REPLY_BYTES,
                    });
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("the host name has no address")))
    }

    /// Starts an exchange with this time limit.
    fn begin(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
        self.budget = MAX_REPLY_BYTES;
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// Unifies the time-out errors of different systems.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TooLong));
        }
        let wanted = buffer.len().min(self.budget);
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        self.socket
            .set_read_timeout(Some(time_left(self.deadline)?))?;
        let read = self.socket.read(buffer).map_err(timed_out)?;
        self.budget -= read;
        Ok(read)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let time = time_left(self.deadline)?.min(self.pause);
        self.socket.set_write_timeout(Some(time))?;
        self.socket.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection, encrypted or not.
pub(super) struct Stream {
    wire: Wire,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Creates an unencrypted connection.
    pub(super) fn plain(wire: Wire) -> Stream {
        Stream { wire, tls: None }
    }

    /// Makes the TLS handshake within `time`; everything after it is encrypted.
    pub(super) fn encrypt(
        &mut self,
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
        time: Duration,
    ) -> Result<(), Error> {
        self.begin(time);
        let mut tls = ClientConnection::new(Arc::clone(config), name.clone())?;
        while tls.is_handshaking() {
            tls.complete_io(&mut self.wire)?;
        }
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// Starts an exchange with this time limit.
    pub(super) fn begin(&mut self, time: Duration) {
        self.wire.begin(time);
    }

    /// Shuts the connection down at once.
    pub(super) fn close(&mut self) {
        let _gone = self.wire.socket.shutdown(Shutdown::Both);
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.wire.read(buffer),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.wire).read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.wire.write(bytes),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.wire).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => self.wire.flush(),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.wire).flush(),
        }
    }
}
