//! Handling of uploads.
//!
//! | module | contents |
//! | --- | --- |
//! | `params` | parameters and defaults for missing columns |
//! | `body` | the body: timeout, size limit, and reading the rest |
//! | `json` | JSON, held in memory |
//! | `csv` | CSV, streamed |
//! | `form` | CSV in a form |
//! | `multipart` | parser for the parts of a form |
//! | `body_reader` | from the network to a blocking reader |
//! | `import_task` | the import on a blocking thread, and its progress |

mod body;
mod body_reader;
mod csv;
mod form;
mod import_task;
mod json;
mod multipart;
mod params;

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::auth::Caller;
use super::idempotency::{Fingerprint, IdempotencyGuard};
use super::problem::{Kind, Problem};
use super::request::media_type;
use super::uploads::UPLOADS_PATH;
pub(super) use body::Limit;
use body::UploadBody;
use import_task::connection_closed;
use multipart::FormError;
use promoflow_api_model::ErrorDetail;
use promoflow_engine::import::ImportReport;
use promoflow_model::pool::UploadError;
use promoflow_store::{StoreError, UploadId};

pub(super) use params::{UploadParams, csv_options, parse_with_columns, query_pairs};

/// Handles an upload.
pub(super) async fn handle(
    api: Api,
    caller: Caller,
    params: UploadParams,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let upload_body = UploadBody::new(&parts.headers, body, &api.limits);
    let result = handle_by_media_type(api, caller, params, parts, &upload_body).await;
    if result.is_err() {
        upload_body.drain();
    }
    result
}

/// Handles an upload by its media type.
async fn handle_by_media_type(
    api: Api,
    caller: Caller,
    params: UploadParams,
    parts: Parts,
    upload_body: &UploadBody,
) -> Result<Response, Problem> {
    let media = media_type(&parts.headers);
    let idempotency = IdempotencyContext::begin(&api, &caller, &parts)?;
    match media.as_deref() {
        Some("application/json") | None => {
            json::handle(api, caller, params, upload_body, idempotency).await
        }
        Some("text/csv") => csv::handle(api, caller, params, upload_body, idempotency).await,
        Some("multipart/form-data") => {
            form::handle(api, caller, params, parts, upload_body, idempotency).await
        }
        Some(_) => Err(Problem::new(
            Kind::UnsupportedMediaType,
            "the Content-Type must be application/json, text/csv or multipart/form-data",
        )),
    }
}

/// Acquires a permit for a file upload; fails if none is available.
fn acquire_upload_permit(api: &Api) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&api.uploads).try_acquire_owned().map_err(|_| {
        Problem::unavailable("too many concurrent uploads; retry later").retry_after(5)
    })
}

/// Recognises repeated requests by their Idempotency-Key.
pub(super) struct IdempotencyContext {
    pub(super) guard: Option<IdempotencyGuard>,
    pub(super) fingerprint: Fingerprint,
}

impl IdempotencyContext {
    /// Begins a request whose body has not been read.
    pub(super) fn begin(
        api: &Api,
        caller: &Caller,
        parts: &Parts,
    ) -> Result<IdempotencyContext, Problem> {
        Ok(IdempotencyContext {
            guard: IdempotencyGuard::begin(api, caller, &parts.headers)?,
            fingerprint: Fingerprint::new(&parts.method, &parts.uri),
        })
    }

    /// Returns the fingerprint of the whole request.
    pub(super) fn finish(self) -> (Option<IdempotencyGuard>, [u8; 32]) {
        (self.guard, self.fingerprint.finish())
    }
}

/// Reads a whole body for another resource; a large one comes with a file permit.
pub(super) async fn read_whole(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
    limit: Limit,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    let upload_body = UploadBody::new(headers, body, &api.limits);
    let result = json::read_whole(api, &upload_body, limit).await;
    if result.is_err() {
        upload_body.drain();
    }
    result
}

/// Returns the URL of an upload.
fn upload_location(upload: UploadId) -> Option<HeaderValue> {
    format!("{UPLOADS_PATH}/{upload}").parse().ok()
}

fn add_location(response: &mut Response, upload: UploadId) {
    if let Some(location) = upload_location(upload) {
        response.headers_mut().insert(header::LOCATION, location);
    }
}

/// Error for an upload whose rows were all rejected.
pub(super) fn rows_rejected(report: &ImportReport, what: &str) -> Problem {
    let detail = format!("{} rows are invalid; {what}", report.rejected);
    Problem::new(Kind::InvalidContent, detail)
        .errors(report.errors.iter().map(ErrorDetail::from).collect())
}

/// Maps a read error: the form is invalid, or the connection was closed.
fn read_problem(error: &io::Error) -> Problem {
    let form = error.get_ref().and_then(|inner| inner.downcast_ref());
    form.map_or_else(connection_closed, |form: &FormError| Problem::from(form))
}

/// Maps an upload error to a problem.
pub(super) fn file_problem(error: &UploadError) -> Problem {
    match error {
        UploadError::Unreadable { source, .. } => read_problem(source),
        UploadError::RowBuffer(cause) | UploadError::UploadBuffer(cause)
            if cause.kind() == io::ErrorKind::StorageFull =>
        {
            StoreError::Full.into()
        }
        UploadError::RowBuffer(cause) | UploadError::UploadBuffer(cause) => {
            Problem::internal(cause)
        }
        _ => {
            let column = match error {
                UploadError::Json { column, .. } => Some(*column),
                _ => None,
            };
            let field = error.field().to_owned();
            Problem::new(Kind::InvalidContent, error.to_string()).errors(vec![ErrorDetail {
                field: (!field.is_empty()).then_some(field),
                line: error.line(),
                column,
                detail: error.to_string(),
                ..ErrorDetail::default()
            }])
        }
    }
}
