//! A file on its way from an asynchronous body to a reader that waits.
//!
//! Pieces go through a short channel, so that a file of any size takes the same memory. A body
//! that breaks off ends the channel without an end, which the reader tells as an error.

use std::io::{self, Read};

use axum::body::{Body, Bytes};
use tokio::sync::mpsc;

use crate::api::Api;
use crate::api::idempotency::Fingerprint;
use crate::api::problem::{Kind, Problem};
use crate::api::request::{Pace, piece, too_large};

/// Where the bytes of a file come from.
pub(super) enum Pieces<'f> {
    /// A body that is the file.
    Body(Body, Pace),
    /// A field of a form.
    Field(Box<axum::extract::multipart::Field<'f>>, Pace),
}

impl Pieces<'_> {
    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match self {
            Pieces::Body(body, pace) => piece(body, pace).await,
            Pieces::Field(field, pace) => {
                let piece = pace.wait(field.chunk()).await?.map_err(|error| {
                    let detail = format!("the form: {}", error.body_text());
                    Problem::new(Kind::InvalidRequest, detail)
                })?;
                pace.came(piece.as_ref().map_or(0, Bytes::len));
                Ok(piece)
            }
        }
    }
}

/// Moves a body into the channel. Only a body that is whole ends it with an end.
pub(super) async fn pump(
    api: &Api,
    pieces: &mut Pieces<'_>,
    sender: mpsc::Sender<Option<Bytes>>,
    fingerprint: &mut Fingerprint,
) -> Result<(), Problem> {
    let mut left = api.limits.upload_bytes;
    while let Some(piece) = pieces.next().await? {
        left = left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| too_large(api.limits.upload_bytes))?;
        fingerprint.update(&piece);
        if sender.send(Some(piece)).await.is_err() {
            // The importer has ended, and tells why.
            return Ok(());
        }
    }
    let _ended = sender.send(None).await;
    Ok(())
}

/// The other end of the channel. Read on a thread that may wait.
pub(super) struct PieceReader {
    receiver: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    ended: bool,
}

impl PieceReader {
    /// Reads what is sent there.
    pub(super) fn new(receiver: mpsc::Receiver<Option<Bytes>>) -> PieceReader {
        PieceReader {
            receiver,
            piece: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let length = self.piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
