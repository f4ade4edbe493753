//! The body of an upload on its way: its pace and its size are kept here, whoever reads it.
//!
//! One that is refused is read on behind the answer. Many clients read no answer before they have
//! sent all, and would meet a closed connection instead of the reason.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use http_body::Frame;

use crate::api::Limits;
use crate::api::problem::{Kind, Problem};
use crate::api::request::{DRAINED, Pace, poll_piece};

/// How many bytes may come, and for what reason.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
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
                "at most {bytes} bytes go in at once, which holds up every event meanwhile; upload \
                 it without `strict`, or in parts"
            ),
            Limit::BeforeFile(_) => {
                format!("at most {bytes} bytes may stand before the file of a form")
            }
        };
        Problem::new(Kind::BodyTooLarge, detail)
    }
}

/// The body of an upload. A form is read by a parser, which has a part in it then.
#[derive(Clone)]
pub(super) struct Incoming(Arc<Mutex<Inner>>);

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
    /// Why no more of it is read, where a parser has met that and cannot tell.
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

    fn at_least(&self) -> u64 {
        self.came.saturating_add(self.body.size_hint().lower())
    }
}

impl Incoming {
    /// Of a request with these headers, bounded as any upload.
    pub(super) fn new(headers: &HeaderMap, body: Body, limits: &Limits) -> Incoming {
        let most = limits.upload_bytes;
        Incoming(Arc::new(Mutex::new(Inner {
            body,
            pace: Pace::new(limits.body_pause),
            came: 0,
            limit: Limit::Upload(most),
            most,
            ended: false,
            asks: headers.contains_key(header::EXPECT),
            fault: None,
        })))
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

    /// The next piece; `None` at the end.
    pub(super) async fn next(&self) -> Result<Option<Bytes>, Problem> {
        poll_fn(|cx| self.lock().poll_piece(cx)).await
    }

    /// The same for a parser of forms, which cannot tell a problem: [`Incoming::fault`] does.
    pub(super) fn body(&self) -> Body {
        Body::new(Parsed {
            incoming: self.clone(),
            gave: false,
        })
    }

    /// Why a parser could not read on, where that was for the body.
    pub(super) fn fault(&self) -> Option<Problem> {
        self.lock().fault.take()
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

struct Parsed {
    incoming: Incoming,
    /// A piece was given, and nobody has waited since.
    gave: bool,
}

impl HttpBody for Parsed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // The parser takes in all that is there before it looks at any of it: it gets a piece at
        // a time, so that its memory stays bounded.
        if std::mem::take(&mut self.gave) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut inner = self.incoming.lock();
        let piece = ready!(inner.poll_piece(cx));
        let frame = match piece {
            Ok(piece) => piece.map(|piece| Ok(Frame::data(piece))),
            Err(problem) => {
                inner.fault = Some(problem);
                Some(Err(io::ErrorKind::Other.into()))
            }
        };
        drop(inner);
        self.gave = frame.is_some();
        Poll::Ready(frame)
    }
}
