//! Runs an import on a blocking thread and tracks its progress.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::header;

use super::{file_problem, upload_location};
use crate::Api;
use crate::problem::{Kind, Problem};
use promoflow_engine::import::{ImportError, ImportOptions, ImportProgress, ImportReport};
use promoflow_store::{StoreError, UploadId};

/// Id of an upload that the store has not begun.
const UNKNOWN_UPLOAD: UploadId = UploadId(0);
/// Interval between attempts to finish an interrupted upload.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Result of an import.
#[derive(Default)]
pub(super) struct Outcome {
    /// The stored upload; `None` if nothing was stored.
    pub(super) upload: Option<UploadId>,
    /// Counts and errors of the rows.
    pub(super) report: ImportReport,
    /// Number of imported rows; `None` if unknown.
    imported_rows: Option<u64>,
    /// The reason why the import ended early.
    problem: Option<Problem>,
}

impl Outcome {
    /// Returns an error if the import ended early.
    pub(super) fn check_complete(&mut self) -> Result<(), Problem> {
        match self.problem.take() {
            Some(problem) => Err(self.with_progress(problem)),
            None => Ok(()),
        }
    }

    /// Adds to a problem how many rows were imported before it.
    pub(super) fn with_progress(&self, problem: Problem) -> Problem {
        if self.upload.is_none() {
            return problem;
        }
        let summary = match self.imported_rows {
            Some(0) => return self.with_location(problem),
            Some(rows) => format!("{rows} rows were imported before the failure"),
            None => "some rows were imported before the failure".to_owned(),
        };
        self.with_location(problem.append_detail(&format!(
            "{summary} (see Location); uploading the whole file again is safe"
        )))
    }

    /// Adds the upload's Location to a problem.
    pub(super) fn with_location(&self, problem: Problem) -> Problem {
        match self.upload.and_then(upload_location) {
            Some(location) => problem.header(header::LOCATION, location),
            None => problem,
        }
    }
}

/// Number of rows of a report that were imported.
pub(super) fn imported_rows(report: &ImportReport) -> u64 {
    report.inserted + report.updated + report.unchanged
}

/// Imports on a blocking thread.
pub(super) async fn import(
    api: Api,
    reader: impl Read + Send + 'static,
    options: ImportOptions,
) -> Outcome {
    let import_task = tokio::task::spawn_blocking(move || {
        let mut progress = Progress {
            api: &api,
            upload: UNKNOWN_UPLOAD,
            rows: Arc::default(),
        };
        let imported = api
            .promoflow
            .import_with_progress(reader, &options, &mut progress);
        let begun = progress.upload;
        let stored_upload =
            |stored_upload: bool| (stored_upload && begun != UNKNOWN_UPLOAD).then_some(begun);
        match imported {
            Ok(report) => Outcome {
                upload: stored_upload(!options.strict || report.rejected == 0),
                imported_rows: Some(imported_rows(&report)),
                report,
                problem: None,
            },
            Err(ImportError::File { error, report }) => Outcome {
                upload: stored_upload(!options.strict),
                imported_rows: Some(imported_rows(&report)),
                report: *report,
                problem: Some(file_problem(&error)),
            },
            Err(ImportError::Store(StoreError::Unfinished { upload, why })) => {
                finish_uploads_eventually(&api);
                let detail = format!(
                    "upload {upload} is accepted, but some of its codes are not in the pool yet; \
                     they are added automatically once this is resolved: {why}"
                );
                Outcome {
                    upload: Some(upload),
                    imported_rows: Some(0),
                    problem: Some(Problem::unavailable(&detail)),
                    ..Outcome::default()
                }
            }
            Err(ImportError::Store(error)) => {
                // A strict upload was rolled back, and its id may be reused.
                if !options.strict {
                    end_upload_eventually(&api, begun);
                }
                Outcome {
                    upload: stored_upload(!options.strict),
                    problem: Some(error.into()),
                    ..Outcome::default()
                }
            }
        }
    });
    import_task.await.unwrap_or_else(|error| Outcome {
        problem: Some(Problem::internal(error)),
        ..Outcome::default()
    })
}

/// Marks an upload as ended that could not be marked when the store failed; retries until it
/// succeeds.
fn end_upload_eventually(api: &Api, upload: UploadId) {
    if upload == UNKNOWN_UPLOAD {
        return;
    }
    let api = api.clone();
    tokio::spawn(async move {
        while !api.draining.load(Ordering::SeqCst) {
            let ended =
                api.run_blocking(move |promoflow| Ok(promoflow.mark_upload_interrupted(upload)?));
            if ended.await.is_ok() {
                return;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    });
}

/// Adds the remaining codes of an accepted upload; retries until it succeeds.
fn finish_uploads_eventually(api: &Api) {
    let api = api.clone();
    tokio::spawn(async move {
        while !api.draining.load(Ordering::SeqCst) {
            tokio::time::sleep(RETRY_INTERVAL).await;
            let finished = api.run_blocking(|promoflow| Ok(promoflow.finish_uploads()?));
            if finished.await.is_ok() {
                return;
            }
        }
    });
}

pub(super) fn connection_closed() -> Problem {
    Problem::new(
        Kind::InvalidRequest,
        "the connection was closed before the end of the file",
    )
}

/// Publishes the progress of an import.
struct Progress<'a> {
    api: &'a Api,
    upload: UploadId,
    rows: Arc<AtomicU64>,
}

impl ImportProgress for Progress<'_> {
    fn started(&mut self, upload: UploadId) {
        self.upload = upload;
        let mut all = self
            .api
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(upload, Arc::clone(&self.rows));
    }

    fn rows_read(&mut self, rows: u64) {
        self.rows.store(rows, Ordering::Relaxed);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        let mut all = self
            .api
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.upload);
    }
}
