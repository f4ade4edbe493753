//! Adapter from an asynchronous body to a blocking reader.
//!
//! Chunks go through a bounded channel, so memory use does not depend on the file's size. If the
//! body breaks off, the channel closes without an end marker, which the reader returns as an error.

use std::io::{self, Read};

use axum::body::Bytes;
use tokio::sync::mpsc;

/// Receiving end of the channel. Must be read on a blocking thread.
pub(super) struct BodyReader {
    receiver: mpsc::Receiver<Option<Bytes>>,
    chunk: Bytes,
    ended: bool,
}

impl BodyReader {
    /// Creates a reader of the chunks sent to this channel.
    pub(super) fn new(receiver: mpsc::Receiver<Option<Bytes>>) -> BodyReader {
        BodyReader {
            receiver,
            chunk: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(chunk)) => self.chunk = chunk,
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let length = self.chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}
