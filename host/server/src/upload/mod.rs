//! Handling of uploads.
//!
//! | module | contents |
//! | --- | --- |
//! | `fill` | parameters and defaults for missing columns |
//! | `incoming` | the body: timeout, size limit, and reading the rest |
//! | `call` | JSON, held in memory |
//! | `file` | CSV, streamed |
//! | `form` | CSV in a form |
//! | `parts` | parser for the parts of a form |
//! | `pieces` | from the network to a blocking reader |
//! | `importing` | the import on a blocking thread, and its progress |

mod call;
mod file;
mod fill;
mod form;
mod importing;
mod incoming;
mod parts;
mod pieces;

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::gate::Caller;
use super::idempotency::{Fingerprint, Ticket};
use super::problem::{Fault, Kind, Problem};
use super::request::media_type;
use super::uploads::UPLOADS;
use importing::broken_off;
use incoming::Incoming;
pub(super) use incoming::Limit;
use parts::FormError;
use promoflow_engine::import::ImportReport;
use promoflow_model::pool::UploadError;
use promoflow_store::{StoreError, UploadId};

pub(super) use fill::{Fill, UploadForm, csv_options, query_of, stated_with_columns};

/// Handles an upload.
pub(super) async fn take(
    api: Api,
    caller: Caller,
    fill: Fill,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let incoming = Incoming::new(&parts.headers, body, &api.limits);
    let taken = take_as(api, caller, fill, parts, &incoming).await;
    if taken.is_err() {
        incoming.read_on();
    }
    taken
}

/// Handles an upload by its media type.
async fn take_as(
    api: Api,
    caller: Caller,
    fill: Fill,
    parts: Parts,
    incoming: &Incoming,
) -> Result<Response, Problem> {
    let media = media_type(&parts.headers);
    let once = Once::begin(&api, &caller, &parts).await?;
    match media.as_deref() {
        Some("application/json") | None => call::take(api, caller, fill, incoming, once).await,
        Some("text/csv") => file::take(api, caller, fill, incoming, once).await,
        Some("multipart/form-data") => form::take(api, caller, fill, parts, incoming, once).await,
        Some(_) => Err(Problem::new(
            Kind::UnsupportedMediaType,
            "the Content-Type must be application/json, text/csv or multipart/form-data",
        )),
    }
}

/// Acquires a permit for a file upload; fails if none is available.
fn turn(api: &Api) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&api.uploads).try_acquire_owned().map_err(|_| {
        Problem::unavailable("too many concurrent uploads; retry later").retry_after(5)
    })
}

/// Recognises repeated requests by their Idempotency-Key.
pub(super) struct Once {
    pub(super) ticket: Option<Ticket>,
    pub(super) fingerprint: Fingerprint,
}

impl Once {
    /// Begins a request whose body has not been read.
    pub(super) async fn begin(api: &Api, caller: &Caller, parts: &Parts) -> Result<Once, Problem> {
        Ok(Once {
            ticket: Ticket::begin(api, caller, &parts.headers).await?,
            fingerprint: Fingerprint::new(&parts.method, &parts.uri),
        })
    }

    /// Returns the fingerprint of the whole request.
    pub(super) fn finish(self) -> (Option<Ticket>, [u8; 32]) {
        (self.ticket, self.fingerprint.finish())
    }
}

/// Reads a whole body for another resource; a large one comes with a file permit.
pub(super) async fn whole(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
    limit: Limit,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    let incoming = Incoming::new(headers, body, &api.limits);
    let came = call::whole(api, &incoming, limit).await;
    if came.is_err() {
        incoming.read_on();
    }
    came
}

/// Returns the URL of an upload.
fn location(upload: UploadId) -> Option<HeaderValue> {
    format!("{UPLOADS}/{upload}").parse().ok()
}

fn locate(response: &mut Response, upload: UploadId) {
    if let Some(location) = location(upload) {
        response.headers_mut().insert(header::LOCATION, location);
    }
}

/// Error for an upload whose rows were all rejected.
pub(super) fn rejected(report: &ImportReport, what: &str) -> Problem {
    let detail = format!("{} rows are invalid; {what}", report.rejected);
    Problem::new(Kind::RefusedContent, detail)
        .errors(report.errors.iter().map(Fault::from).collect())
}

/// Maps a read error: the form is invalid, or the connection was closed.
fn unreadable(error: &io::Error) -> Problem {
    let form = error.get_ref().and_then(|inner| inner.downcast_ref());
    form.map_or_else(broken_off, |form: &FormError| Problem::from(form))
}

/// Maps an upload error to a problem.
pub(super) fn file_problem(error: &UploadError) -> Problem {
    match error {
        UploadError::Unreadable { source, .. } => unreadable(source),
        UploadError::Spool(cause) | UploadError::Keep(cause)
            if cause.kind() == io::ErrorKind::StorageFull =>
        {
            StoreError::Full.into()
        }
        UploadError::Spool(cause) | UploadError::Keep(cause) => Problem::internal(cause),
        _ => {
            let column = match error {
                UploadError::Json { column, .. } => Some(*column),
                _ => None,
            };
            let field = error.field().to_owned();
            Problem::new(Kind::RefusedContent, error.to_string()).errors(vec![Fault {
                field: (!field.is_empty()).then_some(field),
                line: error.line(),
                column,
                detail: error.to_string(),
                ..Fault::default()
            }])
        }
    }
}
