//! An upload on its way into the pool: on a thread that may wait, and watched.

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

/// The number of an upload that the store has not begun.
const NOT_BEGUN: UploadId = UploadId(0);
/// How soon it is tried again to note the end of an upload.
const AGAIN: Duration = Duration::from_secs(5);

/// What came of an upload.
#[derive(Default)]
pub(super) struct Outcome {
    /// The upload of which something stands; `None`: it was to change nothing, or did not.
    pub(super) upload: Option<UploadId>,
    /// What became of the rows.
    pub(super) report: ImportReport,
    /// Rows that were taken; `None`: that is not known.
    taken: Option<u64>,
    /// Why it ended early.
    problem: Option<Problem>,
}

impl Outcome {
    /// Why it ended early, if it did.
    pub(super) fn whole(&mut self) -> Result<(), Problem> {
        match self.problem.take() {
            Some(problem) => Err(self.told(problem)),
            None => Ok(()),
        }
    }

    /// A problem that ended it early, with what stands all the same.
    pub(super) fn told(&self, problem: Problem) -> Problem {
        if self.upload.is_none() {
            return problem;
        }
        let stands = match self.taken {
            Some(0) => return self.located(problem),
            Some(rows) => format!("{rows} rows were taken before that and stay"),
            None => "what was taken before that stays".to_owned(),
        };
        self.located(problem.and(&format!(
            "{stands}, as Location tells; upload the whole file again, which changes nothing of them"
        )))
    }

    /// A problem, with where to ask about the upload.
    pub(super) fn located(&self, problem: Problem) -> Problem {
        match self.upload.and_then(location) {
            Some(location) => problem.header(header::LOCATION, location),
            None => problem,
        }
    }
}

/// Rows of a report that were not refused.
pub(super) fn taken(report: &ImportReport) -> u64 {
    report.inserted + report.updated + report.unchanged
}

/// Imports on a thread that may wait.
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
                    "upload {upload} is taken, and some of its codes are not in the pool yet; they \
                     go in by themselves once this is over: {why}"
                );
                Outcome {
                    upload: Some(upload),
                    taken: Some(0),
                    problem: Some(Problem::unavailable(&detail)),
                    ..Outcome::default()
                }
            }
            Err(ImportError::Store(error)) => {
                // What is all or nothing was rolled back, and its number may become another's.
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

/// The store failed, and so could not note that an upload has ended: it is noted once it can.
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

/// An upload was decided on and is not all in: it is tried again until it is.
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
        "the connection ended before the file did",
    )
}

/// Lets others see how far an upload is.
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
