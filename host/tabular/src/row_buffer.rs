//! A buffer for rows that precede the attributes of their call, as in the documented example:
//! `{"promocodes": ["A1", …], "expirationDate": "2023-12-15T20:15", "discount": 10}`.

use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

use super::UploadError;
use super::json_scanner::Position;

/// About ten thousand codes stay in memory; more go to an unnamed temporary file, which the
/// operating system removes even if this process is killed.
const IN_MEMORY: usize = 512 * 1024;

/// The writing side of the buffer.
pub(super) struct RowBuffer {
    file: BufWriter<SpooledTempFile>,
    rows: u64,
}

impl RowBuffer {
    /// Creates an empty buffer.
    pub(super) fn new() -> RowBuffer {
        RowBuffer {
            file: BufWriter::new(SpooledTempFile::new(IN_MEMORY)),
            rows: 0,
        }
    }

    /// Adds the text of a row.
    pub(super) fn push(&mut self, place: Position, text: &str) -> Result<(), UploadError> {
        self.rows += 1;
        let mut write = || {
            for number in [place.line, place.column, text.len() as u64] {
                self.file.write_all(&number.to_le_bytes())?;
            }
            self.file.write_all(text.as_bytes())
        };
        write().map_err(UploadError::RowBuffer)
    }

    /// Returns a reader of the rows, in the same order.
    pub(super) fn replay(self) -> Result<Replay, UploadError> {
        let rewound = || {
            let mut file = self.file.into_inner().map_err(|error| error.into_error())?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        };
        Ok(Replay {
            file: BufReader::new(rewound().map_err(UploadError::RowBuffer)?),
            left: self.rows,
            text: String::new(),
        })
    }
}

/// The reading side of the buffer.
pub(super) struct Replay {
    file: BufReader<SpooledTempFile>,
    left: u64,
    text: String,
}

impl Replay {
    /// Returns the next row. Its text is valid until the next call.
    pub(super) fn next(&mut self) -> Result<Option<(Position, &str)>, UploadError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let place = self.read().map_err(UploadError::RowBuffer)?;
        Ok(Some((place, &self.text)))
    }

    fn read(&mut self) -> io::Result<Position> {
        let [line, column, length] = [self.number()?, self.number()?, self.number()?];
        self.text.clear();
        self.file
            .by_ref()
            .take(length)
            .read_to_string(&mut self.text)?;
        Ok(Position { line, column })
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
