//! CSV uploads, streamed into the pool.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::body::{Limit, UploadBody};
use super::body_reader::BodyReader;
use super::form::part_after_file;
use super::import_task::{Outcome, import, imported_rows};
use super::multipart::PartBeginning;
use super::{
    IdempotencyContext, UploadParams, acquire_upload_permit, add_location, read_problem,
    rows_rejected,
};
use crate::Api;
use crate::auth::Caller;
use crate::detached::DetachedTask;
use crate::idempotency::{Fingerprint, ReservedKey};
use crate::problem::{Kind, Problem};
use promoflow_api_model::{Imported, Upload};
use promoflow_engine::import::ImportOptions;
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{DateFormat, Format, UploadOptions};

/// Maximum number of chunks buffered between the network and the importer.
const MAX_BUFFERED_CHUNKS: usize = 16;

/// Handles an upload whose body is the file.
pub(super) async fn handle(
    api: Api,
    caller: Caller,
    params: UploadParams,
    upload_body: &UploadBody,
    idempotency: IdempotencyContext,
) -> Result<Response, Problem> {
    let csv_upload =
        CsvUpload::begin(&api, &caller, &params, upload_body, idempotency, None).await?;
    csv_upload.stream_body(upload_body).await
}

/// Streams a file to a blocking thread that imports it.
pub(super) struct CsvUpload {
    chunks: mpsc::Sender<Option<Bytes>>,
    task: DetachedTask<ImportResult>,
}

/// Result of an import, and the response if the file was received completely.
struct ImportResult {
    outcome: Outcome,
    answer: Result<Response, Problem>,
}

impl CsvUpload {
    /// Begins an import. `form`: the file is the last part of a form, and this is its beginning.
    pub(super) async fn begin(
        api: &Api,
        caller: &Caller,
        params: &UploadParams,
        upload_body: &UploadBody,
        idempotency: IdempotencyContext,
        form: Option<PartBeginning>,
    ) -> Result<CsvUpload, Problem> {
        upload_body.set_limit(Limit::Upload(api.limits.upload_bytes))?;
        let permit = acquire_upload_permit(api)?;
        let (chunks, receiver) = mpsc::channel(MAX_BUFFERED_CHUNKS);
        let body = BodyReader::new(receiver);
        let file: Box<dyn Read + Send> = match form {
            Some(form) => Box::new(form.reader(body, part_after_file)),
            None => Box::new(body),
        };
        let (file, fingerprint) = Fingerprinted::new(file, idempotency.fingerprint);
        let api = api.clone();
        let options = options(&api, caller, params).await?;
        let task = api.clone().detached.spawn(async move {
            let _permit = permit;
            let key = match idempotency.guard {
                Some(guard) => Some(guard.reserve().await?),
                None => None,
            };
            Ok(match key {
                Some(known) if known.has_response() => ImportResult {
                    outcome: Outcome::default(),
                    answer: replay(&api, &known, file, &fingerprint).await,
                },
                key => {
                    let mut outcome = import(api.clone(), file, options).await;
                    let answer = answer(&api, &mut outcome).await;
                    let answer = match key {
                        Some(key) => key.complete(fingerprint.finish(), answer, false).await,
                        None => answer,
                    };
                    ImportResult { outcome, answer }
                }
            })
        });
        Ok(CsvUpload { chunks, task })
    }

    /// Streams the rest of the body and returns the response.
    pub(super) async fn stream_body(self, upload_body: &UploadBody) -> Result<Response, Problem> {
        let CsvUpload { chunks, task } = self;
        let streamed = loop {
            match upload_body.next_chunk().await {
                Ok(chunk) => {
                    let ended = chunk.is_none();
                    // If the reader has stopped early, the receiver is gone and the task reports
                    // the reason. After the end is sent, the client may disconnect.
                    if chunks.send(chunk).await.is_err() || ended {
                        break Ok(());
                    }
                }
                Err(problem) => break Err(problem),
            }
        };
        drop(chunks);
        let ImportResult { outcome, answer } = task.join().await?;
        // The reason why the body ended early is more precise than the reader's error.
        streamed.map_err(|problem| outcome.with_progress(problem))?;
        answer
    }
}

/// Returns the response that is stored under a key. Reads the request to its end without importing
/// anything: only then is it known to be the same request.
async fn replay(
    api: &Api,
    known: &ReservedKey,
    file: impl Read + Send + 'static,
    fingerprint: &SharedFingerprint,
) -> Result<Response, Problem> {
    api.run_blocking(move |_| read_all(file)).await?;
    let replayed = match fingerprint.finish() {
        Some(fingerprint) => known.replay(fingerprint, None)?,
        None => None,
    };
    replayed.ok_or_else(|| Problem::internal("a stored response is missing"))
}

/// Reads a file to its end.
fn read_all(mut file: impl Read) -> Result<(), Problem> {
    let read = io::copy(&mut file, &mut io::sink());
    read.map(drop).map_err(|error| read_problem(&error))
}

/// A reader that adds the bytes it reads to the request's fingerprint.
struct Fingerprinted<R> {
    inner: R,
    fingerprint: SharedFingerprint,
}

/// Fingerprint of the bytes read so far.
#[derive(Clone)]
struct SharedFingerprint(Arc<Mutex<Option<Fingerprint>>>);

impl SharedFingerprint {
    fn finish(&self) -> Option<[u8; 32]> {
        let mut fingerprint = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fingerprint.take().map(Fingerprint::finish)
    }
}

impl<R> Fingerprinted<R> {
    fn new(inner: R, fingerprint: Fingerprint) -> (Fingerprinted<R>, SharedFingerprint) {
        let shared = SharedFingerprint(Arc::new(Mutex::new(Some(fingerprint))));
        let fingerprint = shared.clone();
        (Fingerprinted { inner, fingerprint }, shared)
    }
}

impl<R: Read> Read for Fingerprinted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        let fingerprint = self.fingerprint.0.lock();
        if let Some(fingerprint) = &mut *fingerprint.unwrap_or_else(PoisonError::into_inner) {
            fingerprint.update(&out[..read]);
        }
        Ok(read)
    }
}

/// Builds the response to a completely received file.
async fn answer(api: &Api, outcome: &mut Outcome) -> Result<Response, Problem> {
    outcome.check_complete()?;
    let report = &outcome.report;
    if imported_rows(report) == 0 && report.rejected > 0 {
        return Err(outcome.with_location(rows_rejected(report, "no row was imported")));
    }
    let Some(upload) = outcome.upload else {
        return Ok(Json(Imported::from(report)).into_response());
    };
    let shown = api.run_blocking(move |promoflow| match promoflow.upload(upload)? {
        Some((row, errors)) => Ok(Upload::new(row, Some(&errors), None)),
        None => Err(Problem::internal("a stored upload is missing")),
    });
    let shown = shown
        .await
        .map_err(|problem| outcome.with_location(problem))?;
    let mut response = Json(shown).into_response();
    add_location(&mut response, upload);
    Ok(response)
}

async fn options(
    api: &Api,
    caller: &Caller,
    params: &UploadParams,
) -> Result<ImportOptions, Problem> {
    let expires = match params.expiration_date.clone() {
        None => None,
        Some(text) => {
            let format = params.date_format()?;
            let read = move |promoflow: &promoflow_installation::Promoflow| {
                expiry(&text, format.as_ref(), promoflow)
            };
            Some(api.run_blocking(read).await?)
        }
    };
    Ok(ImportOptions {
        upload: UploadOptions {
            format: Some(Format::Csv),
            csv: params.csv()?,
            date_format: params.date_format()?,
            code_type: params.code_type.clone(),
            discount: params.discount,
            expires,
            in_use: params.in_use,
        },
        source: params.source(),
        key: Some(caller.0.id.clone()),
        strict: params.strict(),
        dry_run: params.dry_run(),
    })
}

fn expiry(
    text: &str,
    format: Option<&DateFormat>,
    promoflow: &promoflow_installation::Promoflow,
) -> Result<Timestamp, Problem> {
    let read = promoflow.calendar()?.parse_expiry_as(text, format);
    read.map_err(|error| {
        let detail = format!("expirationDate: {error}");
        Problem::new(Kind::InvalidRequest, detail).field("expirationDate")
    })
}
