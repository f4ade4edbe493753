//! Batches of rows on their way into the store. A separate thread reads ahead while the previous
//! batch is stored.

use std::io::Read;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use serde::Serialize;
use thiserror::Error;

use promoflow_store::StoreError;
use promoflow_tabular::{
    BufferedUpload, Reader, Row, RowError, RowLocation, RowSchema, UploadError,
};

/// Batches that wait between the one being read and the one being stored.
const MAX_WAITING_BATCHES: usize = 0;
/// Maximum number of errors that a report keeps; the rest are only counted.
const MAX_ERRORS: usize = 1_000;

/// Limits of one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSize<Row> {
    /// Maximum number of rows.
    pub rows: usize,
    /// Maximum size in bytes, so that memory stays bounded whatever the rows hold.
    pub bytes: usize,
    /// Returns the size of a row in bytes.
    pub row_bytes: fn(&Row) -> usize,
}

/// Rows that are stored in one call.
pub(crate) struct Batch<Row> {
    /// The rows that were accepted.
    pub accepted: Vec<Row>,
    /// The locations of the accepted rows; empty if the line number says enough (CSV).
    locations: Vec<RowLocation>,
    /// The errors of each rejected row.
    pub rejected: Vec<Vec<RowError>>,
}

impl<Row> Batch<Row> {
    /// Returns the error for an accepted row that the store refuses.
    pub(crate) fn row_error(
        &self,
        index: usize,
        line: u64,
        field: &str,
        message: String,
    ) -> RowError {
        let place = self.locations.get(index).copied();
        place
            .unwrap_or_else(|| RowLocation::line(line))
            .error(field, message)
    }
}

/// The result of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Number of new rows.
    pub inserted: u64,
    /// Number of known rows of which something changed.
    pub updated: u64,
    /// Number of known rows that equal the stored ones, or that may not change them.
    pub unchanged: u64,
    /// Number of rejected rows.
    pub rejected: u64,
    /// The first 1,000 errors.
    pub errors: Vec<RowError>,
    /// Warnings for the author of the file; they reject no row.
    pub warnings: Vec<String>,
}

impl ImportReport {
    /// Counts a rejected row and keeps its errors.
    pub fn reject(&mut self, errors: Vec<RowError>) {
        self.rejected += 1;
        let room = MAX_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(errors.into_iter().take(room));
    }

    /// Returns the number of rows read so far.
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.rejected
    }

    /// Resets the counts of stored rows, because the upload was rolled back.
    pub fn undo(&mut self) {
        (self.inserted, self.updated, self.unchanged) = (0, 0, 0);
    }
}

/// The reason why an upload ended early.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The rest of the file cannot be read. `report` covers the rows before that point.
    #[error("{error}")]
    File {
        /// The error in the file.
        error: UploadError,
        /// The rows that were stored before the error.
        report: Box<ImportReport>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A message from the reading thread.
enum ReadAhead<Row> {
    Rows(Batch<Row>),
    EndOfFile(EndOfFile),
}

/// The end of a file.
#[derive(Default)]
pub(crate) struct EndOfFile {
    /// The error that stopped reading, if any.
    pub failed: Option<UploadError>,
    /// Warnings for the author of the file.
    pub warnings: Vec<String>,
}

/// Returns the reader for an upload. If `atomic`, the upload is read to its end here first.
pub(crate) fn buffer_if_atomic<'r>(
    reader: impl Read + Send + 'r,
    atomic: bool,
) -> Result<Box<dyn Read + Send + 'r>, ImportError> {
    if !atomic {
        return Ok(Box::new(reader));
    }
    match BufferedUpload::read(reader) {
        Ok(kept) => Ok(Box::new(kept)),
        Err(error) => Err(ImportError::File {
            error,
            report: Box::default(),
        }),
    }
}

/// Reads an upload on a separate thread and passes its rows to `take`, batch by batch.
pub(crate) fn read_batches<R: Read, T: RowSchema>(
    open: impl FnOnce() -> Result<Reader<R, T>, UploadError> + Send,
    size: BatchSize<T::Row>,
    mut take: impl FnMut(Batch<T::Row>) -> Result<(), StoreError>,
) -> Result<EndOfFile, StoreError>
where
    T::Row: Send,
{
    thread::scope(|scope| {
        let (batches, read) = sync_channel(MAX_WAITING_BATCHES);
        scope.spawn(move || read_all(open, size, &batches));
        while let Ok(next) = read.recv() {
            match next {
                ReadAhead::Rows(batch) => take(batch)?,
                ReadAhead::EndOfFile(ended) => return Ok(ended),
            }
        }
        Ok(EndOfFile::default())
    })
}

fn read_all<R: Read, T: RowSchema>(
    open: impl FnOnce() -> Result<Reader<R, T>, UploadError>,
    size: BatchSize<T::Row>,
    batches: &SyncSender<ReadAhead<T::Row>>,
) {
    let mut accepted = Vec::with_capacity(size.rows);
    let mut locations = Vec::new();
    let mut rejected = Vec::new();
    let mut bytes = 0;
    let mut ended = EndOfFile::default();
    match open() {
        Ok(mut upload) => loop {
            match upload.next_row() {
                Ok(Some(Row::Accepted(row))) => {
                    bytes += (size.row_bytes)(&row);
                    accepted.push(row);
                    locations.extend(upload.place());
                }
                Ok(Some(Row::Rejected(errors))) => rejected.push(errors),
                Ok(None) => {
                    ended.warnings = upload.warnings();
                    break;
                }
                Err(error) => {
                    ended.failed = Some(error);
                    break;
                }
            }
            if accepted.len() + rejected.len() >= size.rows || bytes >= size.bytes {
                bytes = 0;
                let rows = ReadAhead::Rows(Batch {
                    accepted: std::mem::replace(&mut accepted, Vec::with_capacity(size.rows)),
                    locations: std::mem::take(&mut locations),
                    rejected: std::mem::take(&mut rejected),
                });
                if batches.send(rows).is_err() {
                    // The storing side gave up.
                    return;
                }
            }
        },
        Err(error) => ended.failed = Some(error),
    }
    let rest = [
        ReadAhead::Rows(Batch {
            accepted,
            locations,
            rejected,
        }),
        ReadAhead::EndOfFile(ended),
    ];
    for last in rest {
        if batches.send(last).is_err() {
            return;
        }
    }
}
