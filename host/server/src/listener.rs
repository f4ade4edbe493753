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
use super::connections::{Admission, ConnectionPermit, ConnectionState, Connections};
use super::request::max_wait;

/// A listener that limits the number of connections. Further ones wait in the backlog of the
/// operating system.
pub(super) struct LimitedListener {
    pub(super) inner: TcpListener,
    pub(super) connections: Arc<Connections>,
    /// Maximum time that a client may read nothing of a response.
    pub(super) pause: Duration,
}

/// Peer of a connection from [`LimitedListener`].
#[derive(Clone)]
pub(super) struct Peer {
    address: SocketAddr,
    state: ConnectionState,
}

impl Address for Peer {
    type Stream = TimeoutStream;
    type Listener = LimitedListener;
}

/// Makes the connection's state available to requests.
impl Connected<Peer> for ConnectionState {
    fn connect_info(client: Peer) -> ConnectionState {
        client.state
    }
}

impl AddrListener<TimeoutStream, Peer> for LimitedListener {
    async fn bind_to(client: Peer) -> io::Result<LimitedListener> {
        let limits = Limits::default();
        Ok(LimitedListener {
            inner: TcpListener::bind(client.address).await?,
            connections: Connections::new(limits.connections, limits.connections),
            pause: limits.body_timeout,
        })
    }

    async fn accept_stream(&self) -> io::Result<(TimeoutStream, Peer)> {
        loop {
            let (stream, address) = self.inner.accept().await?;
            let permit = loop {
                match self.connections.admit(address.ip()) {
                    Admission::Admitted(permit) => break Some(permit),
                    Admission::Rejected => break None,
                    Admission::Full => self.connections.wait_for_room().await,
                }
            };
            let Some(permit) = permit else {
                continue;
            };
            // Responses are small, and a waiting client sends nothing more. If the client has
            // already disconnected, the first read fails.
            let _gone = stream.set_nodelay(true);
            let state = permit.state.clone();
            let timeout_stream = TimeoutStream::new(stream, permit, self.pause);
            return Ok((timeout_stream, Peer { address, state }));
        }
    }

    fn get_local_addr(&self) -> io::Result<Peer> {
        let address = self.inner.local_addr()?;
        Ok(Peer {
            address,
            state: ConnectionState::default(),
        })
    }
}

/// A connection that fails if its client reads a response too slowly; otherwise a few clients that
/// never read could hold all connections. It also fails when it is evicted in favour of another
/// connection.
pub(super) struct TimeoutStream {
    stream: TcpStream,
    permit: ConnectionPermit,
    is_evicted: bool,
    pause: Duration,
    /// Total time spent waiting for the client.
    waited: Duration,
    written: u64,
    /// Start and deadline of the current wait.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl TimeoutStream {
    fn new(stream: TcpStream, permit: ConnectionPermit, pause: Duration) -> TimeoutStream {
        TimeoutStream {
            stream,
            permit,
            is_evicted: false,
            pause,
            waited: Duration::ZERO,
            written: 0,
            waiting: None,
        }
    }

    /// Returns an error if the connection was evicted.
    fn check_not_evicted(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.is_evicted = self.is_evicted || Pin::new(&mut self.permit.end).poll(cx).is_ready();
        match self.is_evicted {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    /// Checks the result of an attempt to write.
    fn on_write(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.check_not_evicted(cx)?;
        if let Poll::Ready(written) = written {
            self.permit.touch();
            if let Some((since, _)) = self.waiting.take() {
                self.waited += since.elapsed();
            }
            self.written += written.as_ref().map_or(0, |bytes| *bytes as u64);
            return Poll::Ready(written);
        }
        let (_, end) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            let left = max_wait(self.pause, self.written).saturating_sub(self.waited);
            (now, Box::pin(sleep_until(now + left.min(self.pause))))
        });
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_not_evicted(cx)?;
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.permit.touch();
        }
        read
    }
}

impl AsyncWrite for TimeoutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.on_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.on_write(written, cx)
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
