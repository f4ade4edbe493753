//! The body of an upload, with its timeout and size limit, for all kinds of readers.
//!
//! A rejected body is read to its end after the response. Many clients read no response before they
//! have sent everything, and would see a closed connection instead of the error.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use crate::Limits;
use crate::problem::{Kind, Problem};
use crate::request::{BodyTimeout, MAX_DRAINED_BYTES, poll_chunk};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};

/// Minimum size of a chunk, if enough bytes are available. Clients may send single bytes, and each
/// chunk crosses threads.
const CHUNK_BYTES: usize = 32 << 10;

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
pub(super) struct UploadBody(Mutex<Inner>);

struct Inner {
    body: Body,
    body_timeout: BodyTimeout,
    received: u64,
    limit: Limit,
    /// Maximum size of any upload, up to which a rejected body is read.
    max_bytes: u64,
    ended: bool,
    /// The client sent `Expect: 100-continue` and waits before it sends the body.
    expects_continue: bool,
    /// Error to return after the buffered chunk.
    pending_error: Option<Problem>,
}

impl Inner {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Problem>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        self.expects_continue = false;
        let chunk = ready!(poll_chunk(&mut self.body, &mut self.body_timeout, cx));
        match &chunk {
            Ok(Some(chunk)) => {
                self.received += chunk.len() as u64;
                if self.received > self.limit.bytes() {
                    return Poll::Ready(Err(self.limit.exceeded()));
                }
            }
            // Do not wait any longer for a client that is too slow or gone.
            Ok(None) | Err(_) => self.ended = true,
        }
        Poll::Ready(chunk)
    }

    /// Returns the available bytes, up to the size of a chunk.
    fn poll_combined(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Problem>> {
        if let Some(problem) = self.pending_error.take() {
            return Poll::Ready(Err(problem));
        }
        let Some(first) = ready!(self.poll_chunk(cx))? else {
            return Poll::Ready(Ok(None));
        };
        if first.len() >= CHUNK_BYTES {
            return Poll::Ready(Ok(Some(first)));
        }
        let mut all = first.to_vec();
        while all.len() < CHUNK_BYTES {
            match self.poll_chunk(cx) {
                Poll::Ready(Ok(Some(chunk))) => all.extend_from_slice(&chunk),
                Poll::Ready(Ok(None)) | Poll::Pending => break,
                Poll::Ready(Err(problem)) => {
                    self.pending_error = Some(problem);
                    break;
                }
            }
        }
        Poll::Ready(Ok(Some(all.into())))
    }

    fn min_size(&self) -> u64 {
        self.received.saturating_add(self.body.size_hint().lower())
    }
}

impl UploadBody {
    /// Wraps a body, limited to the maximum size of any upload.
    pub(super) fn new(headers: &HeaderMap, body: Body, limits: &Limits) -> UploadBody {
        let max_bytes = limits.upload_bytes;
        UploadBody(Mutex::new(Inner {
            body,
            body_timeout: BodyTimeout::new(limits.body_timeout),
            received: 0,
            limit: Limit::Upload(max_bytes),
            max_bytes,
            ended: false,
            expects_continue: headers.contains_key(header::EXPECT),
            pending_error: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits the whole body. A larger Content-Length is rejected before reading.
    pub(super) fn set_limit(&self, limit: Limit) -> Result<(), Problem> {
        self.set_next_limit(limit);
        match self.min_size() > limit.bytes() {
            true => Err(limit.exceeded()),
            false => Ok(()),
        }
    }

    /// Limits the next bytes, regardless of what follows.
    pub(super) fn set_next_limit(&self, limit: Limit) {
        self.lock().limit = limit;
    }

    /// Lower bound of the body's size, from the received bytes and the Content-Length.
    pub(super) fn min_size(&self) -> u64 {
        self.lock().min_size()
    }

    /// Returns the next chunk, or `None` at the end. Combines small chunks.
    pub(super) async fn next_chunk(&self) -> Result<Option<Bytes>, Problem> {
        poll_fn(|cx| self.lock().poll_combined(cx)).await
    }

    /// Reads and discards the rest of a rejected body, if it is within the maximum size of an
    /// upload; otherwise only a little of it.
    pub(super) fn drain(self) {
        {
            let mut inner = self.lock();
            // A client that expects 100-continue needs only the response.
            if inner.ended || inner.expects_continue {
                return;
            }
            let max_bytes = inner.max_bytes.max(inner.received + MAX_DRAINED_BYTES);
            inner.limit = Limit::Upload(max_bytes);
            if inner.min_size() > max_bytes {
                return;
            }
        }
        tokio::spawn(async move { while let Ok(Some(_)) = self.next_chunk().await {} });
    }
}
