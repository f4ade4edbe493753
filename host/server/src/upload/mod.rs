//! Uploads on their way.
//!
//! | module | holds |
//! | --- | --- |
//! | `fill` | what fills columns that a file lacks |
//! | `incoming` | the body: its pace, its size, and what is left of it |
//! | `call` | JSON, as a whole |
//! | `file` | CSV, piece by piece |
//! | `form` | CSV in a form |
//! | `parts` | the parts of a form |
//! | `pieces` | from the network to a reader that waits |
//! | `importing` | on a thread that may wait, and watched |

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

/// A turn of those that are on their way at one time.
fn turn(api: &Api) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&api.uploads).try_acquire_owned().map_err(|_| {
        Problem::unavailable("as many uploads as this service takes at a time are on their way")
            .retry_after(5)
    })
}

/// What makes a request that is sent again be taken once.
pub(super) struct Once {
    pub(super) ticket: Option<Ticket>,
    pub(super) fingerprint: Fingerprint,
}

impl Once {
    /// Of a request that has come, whose body has not.
    pub(super) async fn begin(api: &Api, caller: &Caller, parts: &Parts) -> Result<Once, Problem> {
        Ok(Once {
            ticket: Ticket::begin(api, caller, &parts.headers).await?,
            fingerprint: Fingerprint::new(&parts.method, &parts.uri),
        })
    }

    /// Of the whole body.
    pub(super) fn finish(self) -> (Option<Ticket>, [u8; 32]) {
        (self.ticket, self.fingerprint.finish())
    }
}

/// A whole body of another resource; where it is large, with the turn of a file.
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

/// Why a file could not be read on: its form is wrong, or the connection ended.
fn unreadable(error: &io::Error) -> Problem {
    let form = error.get_ref().and_then(|inner| inner.downcast_ref());
    form.map_or_else(broken_off, |form: &FormError| Problem::from(form))
}

/// What is wrong with a file.
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
