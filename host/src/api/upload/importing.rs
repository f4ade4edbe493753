//! An upload on its way into the pool: on a thread that may wait, and watched.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::file_problem;
use crate::api::Api;
use crate::api::problem::{Kind, Problem};
use crate::pool::{ImportError, ImportOptions, ImportReport, Watch};
use crate::store::UploadId;

/// The number of an upload that the store has not begun.
const NOT_BEGUN: UploadId = UploadId(0);
/// How soon it is tried again to note the end of an upload.
const AGAIN: Duration = Duration::from_secs(5);

/// Imports on a thread that may wait.
pub(super) async fn import(
    api: Api,
    reader: impl Read + Send + 'static,
    options: ImportOptions,
) -> Result<(UploadId, ImportReport), Problem> {
    let importing = tokio::task::spawn_blocking(move || {
        let mut progress = Progress {
            api: &api,
            upload: NOT_BEGUN,
            rows: Arc::default(),
        };
        let imported = api
            .promoflow
            .import_watched(reader, &options, &mut progress);
        match imported {
            Ok(report) => Ok((progress.upload, report)),
            Err(ImportError::File { error, .. }) => Err(file_problem(&error)),
            Err(ImportError::Store(error)) => {
                lost(&api, progress.upload);
                Err(error.into())
            }
        }
    });
    match importing.await {
        Ok(imported) => imported,
        Err(error) => Err(Problem::internal(error)),
    }
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
