//! Buffers an all-or-nothing upload before the store sees any of it. Storing it takes one
//! transaction, which blocks all events and so must not wait for a slow client.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

use super::UploadError;

/// Larger uploads go to an unnamed temporary file, which the operating system removes even if this
/// process is killed.
const IN_MEMORY: usize = 512 * 1024;
const BLOCK: usize = 64 * 1024;

/// Replays the bytes that were read, followed by the read error, if there was one.
pub struct BufferedUpload {
    file: BufReader<SpooledTempFile>,
    failed: Option<io::Error>,
}

impl BufferedUpload {
    /// Reads to the end.
    pub fn read(mut from: impl Read) -> Result<BufferedUpload, UploadError> {
        let mut file = SpooledTempFile::new(IN_MEMORY);
        let mut block = vec![0; BLOCK];
        let mut failed = None;
        loop {
            match from.read(&mut block) {
                Ok(0) => break,
                Ok(read) => file
                    .write_all(&block[..read])
                    .map_err(UploadError::UploadBuffer)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        file.seek(SeekFrom::Start(0))
            .map_err(UploadError::UploadBuffer)?;
        Ok(BufferedUpload {
            file: BufReader::new(file),
            failed,
        })
    }
}

impl Read for BufferedUpload {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.file.read(out)? {
            0 if !out.is_empty() => self.failed.take().map_or(Ok(0), Err),
            read => Ok(read),
        }
    }
}
