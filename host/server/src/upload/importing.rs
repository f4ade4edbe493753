//! Runs an import on a blocking thread and tracks its progress.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::header;

use super::{file_problem, location};
use crate::Api;
use crate::problem::{Kind, Problem};
use promoflow_engine::import::{ImportError, ImportOptions, ImportReport, Watch};
use promoflow_store::{StoreError, UploadId};

/// Id of an upload that the store has not begun.
const NOT_BEGUN: UploadId = UploadId(0);
/// Interval between attempts to finish an interrupted upload.
const AGAIN: Duration = Duration::from_secs(5);

/// Result of an import.
#[derive(Default)]
pub(super) struct Outcome {
    /// The stored upload; `None` if nothing was stored.
    pub(super) upload: Option<UploadId>,
    /// Counts and errors of the rows.
    pub(super) report: ImportReport,
    /// Number of imported rows; `None` if unknown.
    taken: Option<u64>,
    /// The reason why the import ended early.
    problem: Option<Problem>,
}

impl Outcome {
    /// Returns an error if the import ended early.
    pub(super) fn whole(&mut self) -> Result<(), Problem> {
        match self.problem.take() {
            Some(problem) => Err(self.told(problem)),
            None => Ok(()),
        }
    }

    /// Adds to a problem how many rows were imported before it.
    pub(super) fn told(&self, problem: Problem) -> Problem {
        if self.upload.is_none() {
            return problem;
        }
        let stands = match self.taken {
            Some(0) => return self.located(problem),
            Some(rows) => format!("{rows} rows were imported before the failure"),
            None => "some rows were imported before the failure".to_owned(),
        };
        self.located(problem.and(&format!(
            "{stands} (see Location); uploading the whole file again is safe"
        )))
    }

    /// Adds the upload's Location to a problem.
    pub(super) fn located(&self, problem: Problem) -> Problem {
        match self.upload.and_then(location) {
            Some(location) => problem.header(header::LOCATION, location),
            None => problem,
        }
    }
}

/// Number of rows of a report that were imported.
pub(super) fn taken(report: &ImportReport) -> u64 {
    report.inserted + report.updated + report.unchanged
}

/// Imports on a blocking thread.
pub(super) async fn import(
    api: Api,
    reader: impl Read + Send + 'static,
    options: ImportOptions,
) -> Outcome {
    let importing = tokio::task::spawn_blocking(move || {
        let mut progress = Progress {
            api: &api,
            upload: NOT_BEGUN,
            rows: Arc::default(),
        };
        let imported = api
            .promoflow
            .import_watched(reader, &options, &mut progress);
        let begun = progress.upload;
        let stands = |stands: bool| (stands && begun != NOT_BEGUN).then_some(begun);
        match imported {
            Ok(report) => Outcome {
                upload: stands(!options.strict || report.rejected == 0),
                taken: Some(taken(&report)),
                report,
                problem: None,
            },
            Err(ImportError::File { error, report }) => Outcome {
                upload: stands(!options.strict),
                taken: Some(taken(&report)),
                report: *report,
                problem: Some(file_problem(&error)),
            },
            Err(ImportError::Store(StoreError::Unfinished { upload, why })) => {
                unfinished(&api);
                let detail = format!(
                    "upload {upload} is accepted, but some of its codes are not in the pool yet; \
                     they are added automatically once this is resolved: {why}"
                );
                Outcome {
                    upload: Some(upload),
                    taken: Some(0),
                    problem: Some(Problem::unavailable(&detail)),
                    ..Outcome::default()
                }
            }
            Err(ImportError::Store(error)) => {
                // A strict upload was rolled back, and its id may be reused.
                if !options.strict {
                    lost(&api, begun);
                }
                Outcome {
                    upload: stands(!options.strict),
                    problem: Some(error.into()),
                    ..Outcome::default()
                }
            }
        }
    });
    importing.await.unwrap_or_else(|error| Outcome {
        problem: Some(Problem::internal(error)),
        ..Outcome::default()
    })
}

/// Marks an upload as ended that could not be marked when the store failed; retries until it
/// succeeds.
fn lost(api: &Api, upload: UploadId) {
    if upload == NOT_BEGUN {
        return;
    }
    let api = api.clone();
    tokio::spawn(async move {
        while !api.draining.load(Ordering::SeqCst) {
            let ended = api.call(move |promoflow| Ok(promoflow.end_lost_upload(upload)?));
            if ended.await.is_ok() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
}

/// Adds the remaining codes of an accepted upload; retries until it succeeds.
fn unfinished(api: &Api) {
    let api = api.clone();
    tokio::spawn(async move {
        while !api.draining.load(Ordering::SeqCst) {
            tokio::time::sleep(AGAIN).await;
            let finished = api.call(|promoflow| Ok(promoflow.finish_uploads()?));
            if finished.await.is_ok() {
                return;
            }
        }
    });
}

pub(super) fn broken_off() -> Problem {
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

impl Watch for Progress<'_> {
    fn begun(&mut self, upload: UploadId) {
        self.upload = upload;
        let mut all = self
            .api
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(upload, Arc::clone(&self.rows));
    }

    fn taken(&mut self, rows: u64) {
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
