//! Uploading: rows from a file into the pool.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use serde::Serialize;
use thiserror::Error;

use super::{Calendar, NewCode, Row, RowError, UploadError, UploadOptions, UploadReader};
use crate::clock::Timestamp;
use crate::store::{RowOutcome, Store, StoreError, UploadEnd, UploadHead, UploadId, UploadSession};

/// Rows that are committed at once. Codes are random texts, so each batch touches all of the
/// pool's pages, and a million rows in batches of ten thousand write them a hundred times. Events
/// wait behind a batch for some tenths of a second.
const BATCH: usize = 75_000;
/// Bytes of codes in a batch at the most: long codes make it smaller, so that memory stays bounded.
const BATCH_BYTES: usize = 4 << 20;
/// Batches that wait between the one that is read and the one that is stored.
const AHEAD: usize = 0;
/// Errors that a report keeps; the others are counted.
const MOST_ERRORS: usize = 1_000;

/// How to upload.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The file's format, and what fills columns that it lacks.
    pub upload: UploadOptions,
    /// Where it comes from, for the history: a file's name.
    pub source: String,
    /// The id of the API key that uploads, for the history; `None`: not by the service.
    pub key: Option<String>,
    /// All or nothing: one bad row, and no row goes in.
    pub strict: bool,
    /// Says what would happen, and changes nothing.
    pub dry_run: bool,
}

/// What became of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Codes that are new.
    pub inserted: u64,
    /// Unused codes of which something changed.
    pub updated: u64,
    /// Codes that were as the row says, or that are used.
    pub unchanged: u64,
    /// Rows that were refused.
    pub rejected: u64,
    /// Why, for the first thousand errors.
    pub errors: Vec<RowError>,
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
enum ReadAhead {
    Rows {
        good: Vec<NewCode>,
        bad: Vec<Vec<RowError>>,
    },
    Failed(UploadError),
}

/// Told how an upload goes on. A function of the rows that were taken in all will do.
pub trait Watch {
    /// It has begun, under this number.
    fn begun(&mut self, _upload: UploadId) {}

    /// So many rows were taken in all.
    fn taken(&mut self, rows: u64);
}

impl<F: FnMut(u64)> Watch for F {
    fn taken(&mut self, rows: u64) {
        self(rows);
    }
}

/// Uploads a file; `watch` is told how it goes on.
pub fn import(
    store: &dyn Store,
    calendar: Calendar,
    now: Timestamp,
    reader: impl Read + Send,
    options: &ImportOptions,
    watch: &mut dyn Watch,
) -> Result<ImportReport, ImportError> {
    let began = Instant::now();
    let head = UploadHead {
        source: options.source.clone(),
        key: options.key.clone(),
        at: now,
        atomic: options.strict || options.dry_run,
    };
    let mut session = store.begin_upload(head)?;
    watch.begun(session.id());
    let mut report = ImportReport::default();
    let taken = thread::scope(|scope| {
        let (batches, read) = sync_channel(AHEAD);
        let upload = options.upload.clone();
        scope.spawn(move || read_all(reader, upload, calendar, &batches));
        store_all(&mut *session, &read, calendar, &mut report, watch)
    });
    let failed = match taken {
        Ok(failed) => failed,
        Err(error) => {
            session.roll_back()?;
            return Err(error.into());
        }
    };
    let refused = options.strict && (report.rejected > 0 || failed.is_some());
    if options.dry_run || refused {
        session.roll_back()?;
        if refused && !options.dry_run {
            (report.inserted, report.updated, report.unchanged) = (0, 0, 0);
        }
    } else {
        session.finish(UploadEnd {
            at: now.plus_millis(i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX)),
            whole: failed.is_none(),
            rejected: report.rejected,
            rejections: report.errors.clone(),
        })?;
    }
    match failed {
        Some(error) => Err(ImportError::File {
            error,
            report: Box::new(report),
        }),
        None => Ok(report),
    }
}

fn read_all(
    reader: impl Read,
    options: UploadOptions,
    calendar: Calendar,
    batches: &SyncSender<ReadAhead>,
) {
    let mut good = Vec::with_capacity(BATCH);
    let mut bad = Vec::new();
    let mut bytes = 0;
    let mut failed = None;
    match UploadReader::new(reader, options, calendar) {
        Ok(mut upload) => loop {
            match upload.next_row() {
                Ok(Some(Row::Accepted(code))) => {
                    bytes += code.code.len();
                    good.push(code);
                }
                Ok(Some(Row::Rejected(errors))) => bad.push(errors),
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            if good.len() + bad.len() >= BATCH || bytes >= BATCH_BYTES {
                bytes = 0;
                let rows = ReadAhead::Rows {
                    good: std::mem::replace(&mut good, Vec::with_capacity(BATCH)),
                    bad: std::mem::take(&mut bad),
                };
                if batches.send(rows).is_err() {
                    // Whoever stores has given up.
                    return;
                }
            }
        },
        Err(error) => failed = Some(error),
    }
    let rest = [
        Some(ReadAhead::Rows { good, bad }),
        failed.map(ReadAhead::Failed),
    ];
    for last in rest.into_iter().flatten() {
        if batches.send(last).is_err() {
            return;
        }
    }
}

fn store_all(
    session: &mut dyn UploadSession,
    read: &Receiver<ReadAhead>,
    calendar: Calendar,
    report: &mut ImportReport,
    watch: &mut dyn Watch,
) -> Result<Option<UploadError>, StoreError> {
    while let Ok(next) = read.recv() {
        let (good, bad) = match next {
            ReadAhead::Rows { good, bad } => (good, bad),
            ReadAhead::Failed(error) => return Ok(Some(error)),
        };
        for errors in bad {
            report.reject(errors);
        }
        if good.is_empty() {
            continue;
        }
        for (row, outcome) in good.iter().zip(session.batch(&good)?) {
            match outcome {
                RowOutcome::Inserted => report.inserted += 1,
                RowOutcome::Updated => report.updated += 1,
                RowOutcome::Unchanged => report.unchanged += 1,
                RowOutcome::Contradicts { field, earlier } => {
                    report.reject(vec![contradiction(row, field, &earlier, calendar)]);
                }
            }
        }
        watch.taken(report.inserted + report.updated + report.unchanged + report.rejected);
    }
    Ok(None)
}

impl ImportReport {
    fn reject(&mut self, errors: Vec<RowError>) {
        self.rejected += 1;
        let room = MOST_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(errors.into_iter().take(room));
    }
}

fn contradiction(row: &NewCode, field: &str, earlier: &str, calendar: Calendar) -> RowError {
    let found = match field {
        "discount" => row.discount.unwrap_or_default().to_string(),
        "type" => row.code_type.clone().unwrap_or_default(),
        "inUse" => row.in_use.unwrap_or_default().to_string(),
        _ => row
            .expires
            .and_then(|expires| calendar.format_expiry(expires))
            .unwrap_or_default(),
    };
    let shown = |text: &str| {
        if text.is_empty() {
            "none".to_owned()
        } else {
            format!("`{text}`")
        }
    };
    let (found, earlier) = (shown(&found), shown(earlier));
    RowError {
        line: row.line,
        field: field.to_owned(),
        message: format!(
            "found {found}, expected {earlier} as on an earlier line with the same code; keep one of \
             the lines"
        ),
    }
}
