//! Imports codes from a file into the pool.

use std::io::{self, Cursor, Read};

use super::batches::{Batch, BatchSize, EndOfFile, ImportError, ImportReport, read_batches};
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::upload;
use promoflow_model::pool::{Calendar, NewCode, UploadOptions};
use promoflow_store::{
    Atomicity, RowOutcome, Store, StoreError, UploadEnd, UploadHead, UploadId, UploadSession,
};
use promoflow_tabular::shorten;

/// Number of rows per transaction. Codes are random texts, so each batch touches all pages of the
/// pool; a million rows in batches of ten thousand would write each page a hundred times. Events
/// wait some tenths of a second behind a batch.
const BATCH_ROWS: usize = 75_000;
/// Maximum size of the codes in a batch, in bytes. It keeps memory bounded if codes are long.
const BATCH_BYTES: usize = 4 << 20;

/// Maximum size of an all-or-nothing file that is stored in one transaction, in bytes. Events wait
/// for it as they do for a batch.
const MAX_SINGLE_TRANSACTION_BYTES: u64 = 64 << 10;
/// The id of an upload that the store has not started yet.
const NOT_STARTED: UploadId = UploadId(0);

/// Options for an import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The file format, and defaults for missing columns.
    pub upload: UploadOptions,
    /// The source for the history, such as a file name.
    pub source: String,
    /// The id of the API key, for the history; `None` if the import does not come through the API.
    pub key: Option<String>,
    /// All or nothing: one invalid row rejects the whole file.
    pub strict: bool,
    /// Dry run: reports the result and changes nothing.
    pub dry_run: bool,
}

/// Observes the progress of an import. A function of the number of rows read so far will do.
pub trait ImportProgress {
    /// Called when the upload has started, with its id.
    fn started(&mut self, _upload: UploadId) {}

    /// Called after each batch with the number of rows read so far.
    fn rows_read(&mut self, rows: u64);
}

impl<F: FnMut(u64)> ImportProgress for F {
    fn rows_read(&mut self, rows: u64) {
        self(rows);
    }
}

/// Imports a file and reports its progress to `watch`.
pub fn import(
    store: &dyn Store,
    calendar: Calendar,
    clock: &dyn Clock,
    reader: impl Read + Send,
    options: &ImportOptions,
    watch: &mut dyn ImportProgress,
) -> Result<ImportReport, ImportError> {
    let (reader, atomicity) = match options.strict && !options.dry_run {
        true => choose_atomicity(reader),
        false => (
            Box::new(reader) as Box<dyn Read + Send + '_>,
            Atomicity::Batches,
        ),
    };
    let mut session = match options.dry_run {
        true => store.begin_dry_run(clock)?,
        false => {
            let head = UploadHead {
                source: options.source.clone(),
                key: options.key.clone(),
                atomicity,
            };
            let session = store.begin_upload(head, clock)?;
            if session.id() != NOT_STARTED {
                watch.started(session.id());
            }
            session
        }
    };
    let mut report = ImportReport::default();
    let mut findings = Findings::new(clock);
    let size = BatchSize {
        rows: BATCH_ROWS,
        bytes: BATCH_BYTES,
        row_bytes: |row: &NewCode| row.code.len(),
    };
    let upload = options.upload.clone();
    let taken = read_batches(
        || upload::open(reader, upload, calendar),
        size,
        |batch| {
            findings.check_expiry(&batch.accepted);
            let stored = store_batch(&mut *session, batch, calendar, &mut report, watch)?;
            findings.collect_case_variants(&*session, &stored)
        },
    );
    let EndOfFile { failed, warnings } = match taken {
        Ok(ended) => ended,
        Err(error) => {
            session.roll_back()?;
            return Err(error.into());
        }
    };
    report.warnings = warnings;
    report.warnings.extend(findings.warnings());
    let refused = options.strict && (report.rejected > 0 || failed.is_some());
    if options.dry_run || refused {
        session.roll_back()?;
        if refused && !options.dry_run {
            report.undo();
        }
    } else {
        let begun = session.id();
        let finished = session.finish(UploadEnd {
            at: clock.now(),
            is_complete: failed.is_none(),
            rejected: report.rejected,
            rejections: report.errors.clone(),
            warnings: report.warnings.clone(),
        })?;
        if let Some(upload) = finished.upload.filter(|_| begun == NOT_STARTED) {
            watch.started(upload);
        }
        // Another upload may have changed the pool while this one was checked separately.
        report.inserted = finished.inserted;
        report.updated = finished.updated;
        report.unchanged = finished.unchanged;
    }
    match failed {
        Some(error) => Err(ImportError::File {
            error,
            report: Box::new(report),
        }),
        None => Ok(report),
    }
}

/// Returns the reader for an all-or-nothing file, and how it is stored. A small file is read to its
/// end here, so that the transaction never waits for a slow client.
fn choose_atomicity<'r>(
    mut reader: impl Read + Send + 'r,
) -> (Box<dyn Read + Send + 'r>, Atomicity) {
    let mut head = Vec::new();
    match reader
        .by_ref()
        .take(MAX_SINGLE_TRANSACTION_BYTES + 1)
        .read_to_end(&mut head)
    {
        Ok(_) if head.len() as u64 <= MAX_SINGLE_TRANSACTION_BYTES => {
            (Box::new(Cursor::new(head)), Atomicity::OneTransaction)
        }
        Ok(_) => (Box::new(Cursor::new(head).chain(reader)), Atomicity::Staged),
        Err(error) => (
            Box::new(Cursor::new(head).chain(Failed(Some(error)))),
            Atomicity::Staged,
        ),
    }
}

/// A reader that returns the error with which reading ended.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Maximum number of pairs in the warning about codes that differ only in case.
const MAX_SHOWN_VARIANTS: usize = 3;

/// Findings about valid rows, for warnings.
struct Findings {
    now: Timestamp,
    codes: u64,
    expired: u64,
    case_variants: u64,
    shown_variants: Vec<(String, String)>,
}

impl Findings {
    fn new(clock: &dyn Clock) -> Findings {
        Findings {
            now: clock.now(),
            codes: 0,
            expired: 0,
            case_variants: 0,
            shown_variants: Vec::new(),
        }
    }

    fn check_expiry(&mut self, codes: &[NewCode]) {
        let expired = |code: &&NewCode| code.expires.is_some_and(|expires| expires <= self.now);
        self.expired += codes.iter().filter(expired).count() as u64;
        self.codes += codes.len() as u64;
    }

    /// Finds codes in the pool, including earlier rows, that differ from the new ones only in case.
    fn collect_case_variants(
        &mut self,
        session: &dyn UploadSession,
        codes: &[String],
    ) -> Result<(), StoreError> {
        for (code, variant) in session.other_spellings(codes)? {
            self.case_variants += 1;
            if self.shown_variants.len() < MAX_SHOWN_VARIANTS {
                self.shown_variants.push((code, variant));
            }
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        match (self.expired, self.codes) {
            (0, _) => {}
            (1, 1) => warnings.push("the code has expired and cannot be claimed".to_owned()),
            (expired, codes) if expired == codes => warnings.push(format!(
                "all {codes} codes have expired and cannot be claimed"
            )),
            (expired, codes) => warnings.push(format!(
                "{expired} of {codes} codes have expired and cannot be claimed"
            )),
        }
        if self.case_variants > 0 {
            let shown = self.shown_variants.iter();
            let shown: Vec<String> = shown
                .map(|(code, variant)| format!("`{}` and `{}`", shorten(code), shorten(variant)))
                .collect();
            let more = match self.case_variants - self.shown_variants.len() as u64 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            warnings.push(format!(
                "{} differ only in case{more}; many shops treat such codes as the same",
                shown.join(", ")
            ));
        }
        warnings
    }
}

/// Stores a batch and returns the codes that are new.
fn store_batch(
    session: &mut dyn UploadSession,
    mut batch: Batch<NewCode>,
    calendar: Calendar,
    report: &mut ImportReport,
    watch: &mut dyn ImportProgress,
) -> Result<Vec<String>, StoreError> {
    for errors in std::mem::take(&mut batch.rejected) {
        report.reject(errors);
    }
    let mut new = Vec::new();
    if batch.accepted.is_empty() {
        return Ok(new);
    }
    for (index, outcome) in session.batch(&batch.accepted)?.into_iter().enumerate() {
        match outcome {
            RowOutcome::Inserted => {
                report.inserted += 1;
                new.push(std::mem::take(&mut batch.accepted[index].code));
            }
            RowOutcome::Updated => report.updated += 1,
            RowOutcome::Unchanged => report.unchanged += 1,
            RowOutcome::Conflict { field, earlier } => {
                let row = &batch.accepted[index];
                let message = contradiction_message(row, field, &earlier, calendar);
                report.reject(vec![batch.row_error(index, row.line, field, message)]);
            }
        }
    }
    watch.rows_read(report.rows());
    Ok(new)
}

fn contradiction_message(row: &NewCode, field: &str, earlier: &str, calendar: Calendar) -> String {
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
    format!(
        "found {found}, expected {earlier} as on an earlier line with the same code; keep one of \
         the lines"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use promoflow_model::clock::SystemClock;
    use promoflow_store_sqlite::SqliteStore;

    #[test]
    fn a_dry_run_does_not_block_writers() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.path().join("shop.db")).unwrap());
        let options = ImportOptions {
            dry_run: true,
            ..ImportOptions::default()
        };
        let mut wrote = 0;
        let mut write = |_rows: u64| {
            let (store, (done, waits)) = (Arc::clone(&store), channel());
            std::thread::spawn(move || {
                let retired = store.retire(&["A".to_owned()], true, &SystemClock);
                done.send(retired.unwrap().unknown.len()).unwrap();
            });
            let unknown = waits.recv_timeout(Duration::from_secs(10));
            assert_eq!(unknown, Ok(1), "the writer waits for the dry run");
            wrote += 1;
        };
        let calendar = store.calendar().unwrap();
        let csv = "code\nA\nB\n".as_bytes();
        let report = import(&*store, calendar, &SystemClock, csv, &options, &mut write).unwrap();
        assert_eq!((report.inserted, wrote), (2, 1));
        assert!(store.uploads(None, 10).unwrap().is_empty());
    }
}
