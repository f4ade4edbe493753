//! Connections: how many there are, and how long one waits for its client to take an answer.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::{AddrListener, Address, Handle};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use super::request::allowance;

/// How soon it is looked again whether there is room for a connection.
const ROOM: Duration = Duration::from_millis(10);

/// A listener that accepts no more connections than are allowed at one time. Others wait in the
/// queue of the operating system.
pub(super) struct Bounded {
    pub(super) inner: TcpListener,
    pub(super) handle: Handle<Place>,
    pub(super) most: usize,
    /// How long a client may take nothing of its answer.
    pub(super) pause: Duration,
}

/// The address of a [`Bounded`] listener's client.
#[derive(Clone)]
pub(super) struct Place(SocketAddr);

impl Address for Place {
    type Stream = Patient;
    type Listener = Bounded;
}

impl AddrListener<Patient, Place> for Bounded {
    async fn bind_to(place: Place) -> io::Result<Bounded> {
        Ok(Bounded {
            inner: TcpListener::bind(place.0).await?,
            handle: Handle::new(),
            most: usize::MAX,
            pause: Limits::default().body_pause,
        })
    }

    async fn accept_stream(&self) -> io::Result<(Patient, Place)> {
        while self.handle.connection_count() >= self.most {
            tokio::time::sleep(ROOM).await;
        }
        let (stream, address) = self.inner.accept().await?;
        // Answers are small, and whoever waits for one has nothing more to send.
        stream.set_nodelay(true)?;
        Ok((Patient::new(stream, self.pause), Place(address)))
    }

    fn get_local_addr(&self) -> io::Result<Place> {
        self.inner.local_addr().map(Place)
    }
}

/// A connection that ends where its client takes nothing of an answer for long, or too little:
/// otherwise a few clients that never read would hold all connections there are.
pub(super) struct Patient {
    stream: TcpStream,
    pause: Duration,
    /// How long it has waited for the client in all, and what it has taken.
    waited: Duration,
    written: u64,
    /// Since when it waits now, and until when at the most.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Patient {
    fn new(stream: TcpStream, pause: Duration) -> Patient {
        Patient {
            stream,
            pause,
            waited: Duration::ZERO,
            written: 0,
            waiting: None,
        }
    }

    /// What came of an attempt to write.
    fn wrote(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
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
        Pin::new(&mut self.stream).poll_read(cx, buffer)
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
