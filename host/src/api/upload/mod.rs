//! Uploads on their way.
//!
//! | module | holds |
//! | --- | --- |
//! | `fill` | what fills columns that a file lacks |
//! | `incoming` | the body: its pace, its size, and what is left of it |
//! | `call` | JSON, as a whole |
//! | `file` | CSV, piece by piece |
//! | `form` | CSV in a form |
//! | `pieces` | from the network to a reader that waits |
//! | `importing` | on a thread that may wait, and watched |

mod call;
mod file;
mod fill;
mod form;
mod importing;
mod incoming;
mod pieces;

use std::io;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::gate::Caller;
use super::idempotency::{Fingerprint, Ticket};
use super::problem::{Fault, Kind, Problem};
use super::request::media_type;
use super::uploads::UPLOADS;
use crate::pool::{ImportReport, UploadError};
use crate::store::{StoreError, UploadId};
use importing::broken_off;
use incoming::Incoming;

pub(super) use fill::{Fill, UploadForm};

/// Takes an upload and answers.
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

/// Takes it as what it says it is.
async fn take_as(
    api: Api,
    caller: Caller,
    fill: Fill,
    parts: Parts,
    incoming: &Incoming,
) -> Result<Response, Problem> {
    let media = media_type(&parts.headers);
    let once = Once {
        ticket: Ticket::begin(&api, &caller, &parts.headers).await?,
        fingerprint: Fingerprint::new(&parts.method, &parts.uri),
    };
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

/// A turn of those that are on their way at one time.
fn turn(api: &Api) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&api.uploads).try_acquire_owned().map_err(|_| {
        Problem::unavailable("as many uploads as this service takes at a time are on their way")
            .retry_after(5)
    })
}

/// What makes a request that is sent again be taken once.
struct Once {
    ticket: Option<Ticket>,
    fingerprint: Fingerprint,
}

/// The address of an upload.
fn location(upload: UploadId) -> Option<HeaderValue> {
    format!("{UPLOADS}/{upload}").parse().ok()
}

fn locate(response: &mut Response, upload: UploadId) {
    if let Some(location) = location(upload) {
        response.headers_mut().insert(header::LOCATION, location);
    }
}

/// Rows were refused, and nothing was taken.
pub(super) fn rejected(report: &ImportReport, what: &str) -> Problem {
    let detail = format!("{} rows are refused, and {what}", report.rejected);
    Problem::new(Kind::RefusedContent, detail)
        .errors(report.errors.iter().map(Fault::from).collect())
}

/// What is wrong with a file.
pub(super) fn file_problem(error: &UploadError) -> Problem {
    match error {
        UploadError::Unreadable { .. } => broken_off(),
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
