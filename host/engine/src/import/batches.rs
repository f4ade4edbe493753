//! Rows on their way into the store: read ahead on a thread of their own, stored in batches.

use std::io::Read;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use serde::Serialize;
use thiserror::Error;

use promoflow_store::StoreError;
use promoflow_tabular::{Kept, Reader, Row, RowError, RowPlace, Table, UploadError};

/// Batches that wait between the one that is read and the one that is stored.
const AHEAD: usize = 0;
/// Errors that a report keeps; the others are counted.
const MOST_ERRORS: usize = 1_000;

/// How much is stored at once.
#[derive(Clone, Copy, Debug)]
pub struct BatchSize<Row> {
    /// Rows at the most.
    pub rows: usize,
    /// Bytes at the most, so that memory stays bounded whatever the rows hold.
    pub bytes: usize,
    /// What a row counts.
    pub weigh: fn(&Row) -> usize,
}

/// Rows that are stored at once.
pub struct Batch<Row> {
    /// Those that may be.
    pub good: Vec<Row>,
    /// Where these stand, if their lines do not tell that.
    places: Vec<RowPlace>,
    /// Why others may not.
    pub bad: Vec<Vec<RowError>>,
}

impl<Row> Batch<Row> {
    /// Why a good row is refused all the same.
    pub fn refuse(&self, index: usize, line: u64, field: &str, message: String) -> RowError {
        let place = self.places.get(index).copied();
        place
            .unwrap_or_else(|| RowPlace::line(line))
            .error(field, message)
    }
}

/// What became of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// What is new.
    pub inserted: u64,
    /// What was known, and of which something changed.
    pub updated: u64,
    /// What was as the row says, or may not be changed.
    pub unchanged: u64,
    /// Rows that were refused.
    pub rejected: u64,
    /// Why, for the first thousand errors.
    pub errors: Vec<RowError>,
    /// What stops no row, and its author should know.
    pub warnings: Vec<String>,
}

impl ImportReport {
    /// Counts a row that is refused.
    pub fn reject(&mut self, errors: Vec<RowError>) {
        self.rejected += 1;
        let room = MOST_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(errors.into_iter().take(room));
    }

    /// Rows that were taken in all.
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.rejected
    }

    /// Nothing of it went in.
    pub fn undo(&mut self) {
        (self.inserted, self.updated, self.unchanged) = (0, 0, 0);
    }
}

/// Why an upload was ended.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file cannot be read on. `report` tells what of it went in before.
    #[error("{error}")]
    File {
        /// What is wrong with the file.
        error: UploadError,
        /// What went in.
        report: Box<ImportReport>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the reading thread hands over.
enum ReadAhead<Row> {
    Rows(Batch<Row>),
    Ended(Ended),
}

/// How a file was read to its end.
#[derive(Default)]
pub struct Ended {
    /// What is wrong with the file, where it was not.
    pub failed: Option<UploadError>,
    /// What its author should know of it.
    pub warnings: Vec<String>,
}

/// What to read an upload from that is all or nothing: it is read to its end here.
pub fn kept<'r>(
    reader: impl Read + Send + 'r,
    atomic: bool,
) -> Result<Box<dyn Read + Send + 'r>, ImportError> {
    if !atomic {
        return Ok(Box::new(reader));
    }
    match Kept::read(reader) {
        Ok(kept) => Ok(Box::new(kept)),
        Err(error) => Err(ImportError::File {
            error,
            report: Box::default(),
        }),
    }
}

/// Reads an upload and gives its rows to `take`, batch by batch.
pub fn in_batches<R: Read, T: Table>(
    open: impl FnOnce() -> Result<Reader<R, T>, UploadError> + Send,
    size: BatchSize<T::Row>,
    mut take: impl FnMut(Batch<T::Row>) -> Result<(), StoreError>,
) -> Result<Ended, StoreError>
where
    T::Row: Send,
{
    thread::scope(|scope| {
        let (batches, read) = sync_channel(AHEAD);
        scope.spawn(move || read_all(open, size, &batches));
        while let Ok(next) = read.recv() {
            match next {
                ReadAhead::Rows(batch) => take(batch)?,
                ReadAhead::Ended(ended) => return Ok(ended),
            }
        }
        Ok(Ended::default())
    })
}

fn read_all<R: Read, T: Table>(
    open: impl FnOnce() -> Result<Reader<R, T>, UploadError>,
    size: BatchSize<T::Row>,
    batches: &SyncSender<ReadAhead<T::Row>>,
) {
    let mut good = Vec::with_capacity(size.rows);
    let mut places = Vec::new();
    let mut bad = Vec::new();
    let mut bytes = 0;
    let mut ended = Ended::default();
    match open() {
        Ok(mut upload) => loop {
            match upload.next_row() {
                Ok(Some(Row::Accepted(row))) => {
                    bytes += (size.weigh)(&row);
                    good.push(row);
                    places.extend(upload.place());
                }
                Ok(Some(Row::Rejected(errors))) => bad.push(errors),
                Ok(None) => {
                    ended.warnings = upload.warnings();
                    break;
                }
                Err(error) => {
                    ended.failed = Some(error);
                    break;
                }
            }
            if good.len() + bad.len() >= size.rows || bytes >= size.bytes {
                bytes = 0;
                let rows = ReadAhead::Rows(Batch {
                    good: std::mem::replace(&mut good, Vec::with_capacity(size.rows)),
                    places: std::mem::take(&mut places),
                    bad: std::mem::take(&mut bad),
                });
                if batches.send(rows).is_err() {
                    // Whoever stores has given up.
                    return;
                }
            }
        },
        Err(error) => ended.failed = Some(error),
    }
    let rest = [
        ReadAhead::Rows(Batch { good, places, bad }),
        ReadAhead::Ended(ended),
    ];
    for last in rest {
        if batches.send(last).is_err() {
            return;
        }
    }
}
