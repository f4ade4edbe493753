//! A file on its way from an asynchronous body to a reader that waits.
//!
//! Pieces go through a short channel, so that a file of any size takes the same memory. A body
//! that breaks off ends the channel without an end, which the reader tells as an error.

use std::io::{self, Read};

use axum::body::Bytes;
use tokio::sync::mpsc;

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
