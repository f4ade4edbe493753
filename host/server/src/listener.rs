//! Accepts connections within the limits and enforces write timeouts.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum_server::{AddrListener, Address};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use super::connections::{Admission, Connections, Place, Visit};
use super::request::allowance;

/// Interval between checks for room for a waiting connection.
const ROOM: Duration = Duration::from_millis(10);

/// A listener that limits the number of connections. Further ones wait in the backlog of the
/// operating system.
pub(super) struct Bounded {
    pub(super) inner: TcpListener,
    pub(super) connections: Arc<Connections>,
    /// Maximum time that a client may read nothing of a response.
    pub(super) pause: Duration,
}

/// Peer of a connection from [`Bounded`].
#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    visit: Visit,
}

impl Address for Client {
    type Stream = Patient;
    type Listener = Bounded;
}

/// Makes the connection's state available to requests.
impl Connected<Client> for Visit {
    fn connect_info(client: Client) -> Visit {
        client.visit
    }
}

impl AddrListener<Patient, Client> for Bounded {
    async fn bind_to(client: Client) -> io::Result<Bounded> {
        let limits = Limits::default();
        Ok(Bounded {
            inner: TcpListener::bind(client.address).await?,
            connections: Connections::new(limits.connections, limits.connections),
            pause: limits.body_pause,
        })
    }

    async fn accept_stream(&self) -> io::Result<(Patient, Client)> {
        loop {
            let (stream, address) = self.inner.accept().await?;
            let place = loop {
                match self.connections.admit(address.ip()) {
                    Admission::Taken(place) => break Some(place),
                    Admission::Refused => break None,
                    Admission::Full => tokio::time::sleep(ROOM).await,
                }
            };
            let Some(place) = place else {
                continue;
            };
            // Responses are small, and a waiting client sends nothing more. If the client has
            // already disconnected, the first read fails.
            let _gone = stream.set_nodelay(true);
            let visit = place.visit.clone();
            let patient = Patient::new(stream, place, self.pause);
            return Ok((patient, Client { address, visit }));
        }
    }

    fn get_local_addr(&self) -> io::Result<Client> {
        let address = self.inner.local_addr()?;
        Ok(Client {
            address,
            visit: Visit::default(),
        })
    }
}

/// A connection that fails if its client reads a response too slowly; otherwise a few clients that
/// never read could hold all connections. It also fails when it is evicted in favour of another
/// connection.
pub(super) struct Patient {
    stream: TcpStream,
    place: Place,
    is_ended: bool,
    pause: Duration,
    /// Total time spent waiting for the client.
    waited: Duration,
    written: u64,
    /// Start and deadline of the current wait.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Patient {
    fn new(stream: TcpStream, place: Place, pause: Duration) -> Patient {
        Patient {
            stream,
            place,
            is_ended: false,
            pause,
            waited: Duration::ZERO,
            written: 0,
            waiting: None,
        }
    }

    /// Returns an error if the connection was evicted.
    fn holds_its_place(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.is_ended = self.is_ended || Pin::new(&mut self.place.end).poll(cx).is_ready();
        match self.is_ended {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    /// Checks the result of an attempt to write.
    fn wrote(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.holds_its_place(cx)?;
        if let Poll::Ready(written) = written {
            self.place.used();
            if let Some((since, _)) = self.waiting.take() {
                self.waited += since.elapsed();
            }
            self.written += written.as_ref().map_or(0, |bytes| *bytes as u64);
            return Poll::Ready(written);
        }
        let (_, end) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            let left = allowance(self.pause, self.written).saturating_sub(self.waited);
            (now, Box::pin(sleep_until(now + left.min(self.pause))))
        });
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.holds_its_place(cx)?;
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.place.used();
        }
        read
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
