//! The body of an upload on its way: its pace and its size are kept here, whoever reads it.
//!
//! One that is refused is read on behind the answer. Many clients read no answer before they have
//! sent all, and would meet a closed connection instead of the reason.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use crate::Limits;
use crate::problem::{Kind, Problem};
use crate::request::{DRAINED, Pace, poll_piece};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};

/// Bytes that are handed on together, where they are there: a client may send them one by one, and
/// each piece goes from thread to thread.
const PIECE: usize = 32 << 10;

/// How many bytes may come, and for what reason.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// An upload as a whole.
    Upload(u64),
    /// An upload as a whole that goes in at once.
    AtOnce(u64),
    /// What stands before the file of a form.
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
            Limit::Upload(_) => format!("at most {bytes} bytes are accepted here"),
            Limit::AtOnce(_) => format!(
                "at most {bytes} bytes go in at once, and events wait meanwhile; upload it without \
                 `strict` and `dryRun`, or in parts"
            ),
            Limit::BeforeFile(_) => {
                format!("at most {bytes} bytes may stand before the file of a form")
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
    /// How long any upload may be: so much is read of one that is refused.
    most: u64,
    ended: bool,
    /// The client sends nothing before it is told to.
    asks: bool,
    /// Why no more of it is read, once what came before is taken.
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
            // A client that is too slow, or gone, is waited for no longer.
            Ok(None) | Err(_) => self.ended = true,
        }
        Poll::Ready(piece)
    }

    /// All that is there, up to the length of a piece.
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
    /// Of a request with these headers, bounded as any upload.
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

    /// Bounds it as a whole. One that says that it is longer is refused before it is read.
    pub(super) fn bound(&self, limit: Limit) -> Result<(), Problem> {
        self.bound_next(limit);
        match self.at_least() > limit.bytes() {
            true => Err(limit.exceeded()),
            false => Ok(()),
        }
    }

    /// Bounds what is read next, whatever comes behind it.
    pub(super) fn bound_next(&self, limit: Limit) {
        self.lock().limit = limit;
    }

    /// How long it is at the least, by what came and what was announced.
    pub(super) fn at_least(&self) -> u64 {
        self.lock().at_least()
    }

    /// The next piece; `None` at the end. What came in many small ones is one.
    pub(super) async fn next(&self) -> Result<Option<Bytes>, Problem> {
        poll_fn(|cx| self.lock().poll_pieces(cx)).await
    }

    /// Reads what is left of a body that is refused and takes none of it, if any upload may be so
    /// long; of what turns out to be longer, a little.
    pub(super) fn read_on(self) {
        {
            let mut inner = self.lock();
            // Whoever asks before sending needs no more than the answer.
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
