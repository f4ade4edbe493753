//! An upload that is all or nothing: kept as a whole before the store takes any of it. It is one
//! transaction, which holds up every event, and must wait for no sender meanwhile.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

use super::UploadError;

/// What is longer goes to a file without a name, which the system removes whatever becomes of this
/// process.
const IN_MEMORY: usize = 512 * 1024;
const BLOCK: usize = 64 * 1024;

/// Gives again what was read, and after that the error that reading ended with, if it did.
pub struct Kept {
    file: BufReader<SpooledTempFile>,
    failed: Option<io::Error>,
}

impl Kept {
    /// Reads to the end.
    pub fn read(mut from: impl Read) -> Result<Kept, UploadError> {
        let mut file = SpooledTempFile::new(IN_MEMORY);
        let mut block = vec![0; BLOCK];
        let mut failed = None;
        loop {
            match from.read(&mut block) {
                Ok(0) => break,
                Ok(read) => file.write_all(&block[..read]).map_err(UploadError::Keep)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        file.seek(SeekFrom::Start(0)).map_err(UploadError::Keep)?;
        Ok(Kept {
            file: BufReader::new(file),
            failed,
        })
    }
}

impl Read for Kept {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.file.read(out)? {
            0 if !out.is_empty() => self.failed.take().map_or(Ok(0), Err),
            read => Ok(read),
        }
    }
}
