//! The body of an upload, with its timeout and size limit, for all kinds of readers.
//!
//! A rejected body is read to its end after the response. Many clients read no response before they
//! have sent everything, and would see a closed connection instead of the error.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use crate::Limits;
use crate::problem::{Kind, Problem};
use crate::request::{DRAINED, Pace, poll_piece};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};

/// Minimum size of a chunk, if enough bytes are available. Clients may send single bytes, and each
/// chunk crosses threads.
const PIECE: usize = 32 << 10;

/// Size limit of a body and its reason.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Limit for a whole upload.
    Upload(u64),
    /// Limit for an upload imported in one transaction.
    AtOnce(u64),
    /// Limit for the parts before the file of a form.
    BeforeFile(u64),
}

impl Limit {
    fn bytes(self) -> u64 {
        match self {
            Limit::Upload(bytes) | Limit::AtOnce(bytes) | Limit::BeforeFile(bytes) => bytes,
        }
    }

    fn exceeded(self) -> Problem {
        let bytes = self.bytes();
        let detail = match self {
            Limit::Upload(_) => format!("the body exceeds the limit of {bytes} bytes"),
            Limit::AtOnce(_) => format!(
                "the body exceeds the limit of {bytes} bytes for one transaction, during which \
                 events wait; upload it without `strict` and `dryRun`, or in parts"
            ),
            Limit::BeforeFile(_) => {
                format!("the form fields before the file exceed the limit of {bytes} bytes")
            }
        };
        Problem::new(Kind::BodyTooLarge, detail)
    }
}

/// The body of an upload.
pub(super) struct Incoming(Mutex<Inner>);

struct Inner {
    body: Body,
    pace: Pace,
    came: u64,
    limit: Limit,
    /// Maximum size of any upload, up to which a rejected body is read.
    most: u64,
    ended: bool,
    /// The client sent `Expect: 100-continue` and waits before it sends the body.
    asks: bool,
    /// Error to return after the buffered chunk.
    fault: Option<Problem>,
}

impl Inner {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Problem>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        self.asks = false;
        let piece = ready!(poll_piece(&mut self.body, &mut self.pace, cx));
        match &piece {
            Ok(Some(piece)) => {
                self.came += piece.len() as u64;
                if self.came > self.limit.bytes() {
                    return Poll::Ready(Err(self.limit.exceeded()));
                }
            }
            // Do not wait any longer for a client that is too slow or gone.
            Ok(None) | Err(_) => self.ended = true,
        }
        Poll::Ready(piece)
    }

    /// Returns the available bytes, up to the size of a chunk.
    fn poll_pieces(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Problem>> {
        if let Some(problem) = self.fault.take() {
            return Poll::Ready(Err(problem));
        }
        let Some(first) = ready!(self.poll_piece(cx))? else {
            return Poll::Ready(Ok(None));
        };
        if first.len() >= PIECE {
            return Poll::Ready(Ok(Some(first)));
        }
        let mut all = first.to_vec();
        while all.len() < PIECE {
            match self.poll_piece(cx) {
                Poll::Ready(Ok(Some(piece))) => all.extend_from_slice(&piece),
                Poll::Ready(Ok(None)) | Poll::Pending => break,
                Poll::Ready(Err(problem)) => {
                    self.fault = Some(problem);
                    break;
                }
            }
        }
        Poll::Ready(Ok(Some(all.into())))
    }

    fn at_least(&self) -> u64 {
        self.came.saturating_add(self.body.size_hint().lower())
    }
}

impl Incoming {
    /// Wraps a body, limited to the maximum size of any upload.
    pub(super) fn new(headers: &HeaderMap, body: Body, limits: &Limits) -> Incoming {
        let most = limits.upload_bytes;
        Incoming(Mutex::new(Inner {
            body,
            pace: Pace::new(limits.body_pause),
            came: 0,
            limit: Limit::Upload(most),
            most,
            ended: false,
            asks: headers.contains_key(header::EXPECT),
            fault: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits the whole body. A larger Content-Length is rejected before reading.
    pub(super) fn bound(&self, limit: Limit) -> Result<(), Problem> {
        self.bound_next(limit);
        match self.at_least() > limit.bytes() {
            true => Err(limit.exceeded()),
            false => Ok(()),
        }
    }

    /// Limits the next bytes, regardless of what follows.
    pub(super) fn bound_next(&self, limit: Limit) {
        self.lock().limit = limit;
    }

    /// Lower bound of the body's size, from the received bytes and the Content-Length.
    pub(super) fn at_least(&self) -> u64 {
        self.lock().at_least()
    }

    /// Returns the next chunk, or `None` at the end. Combines small chunks.
    pub(super) async fn next(&self) -> Result<Option<Bytes>, Problem> {
        poll_fn(|cx| self.lock().poll_pieces(cx)).await
    }

    /// Reads and discards the rest of a rejected body, if it is within the maximum size of an
    /// upload; otherwise only a little of it.
    pub(super) fn read_on(self) {
        {
            let mut inner = self.lock();
            // A client that expects 100-continue needs only the response.
            if inner.ended || inner.asks {
                return;
            }
            let most = inner.most.max(inner.came + DRAINED);
            inner.limit = Limit::Upload(most);
            if inner.at_least() > most {
                return;
            }
        }
        tokio::spawn(async move { while let Ok(Some(_)) = self.next().await {} });
    }
}
