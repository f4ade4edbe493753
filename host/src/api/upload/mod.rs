//! Uploads on their way: JSON as a whole, CSV piece by piece.

mod importing;
mod pieces;

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::contacts::Imported;
use super::gate::Caller;
use super::idempotency::{Fingerprint, Ticket};
use super::problem::{Fault, Kind, Problem};
use super::request::{Pace, json, media_type, whole};
use super::uploads::{UPLOADS, UploadJson};
use crate::pool::{Format, ImportOptions, ImportReport, UploadError, UploadOptions};
use crate::store::{StoreError, UploadId};
use importing::{broken_off, import};
use pieces::{PieceReader, Pieces, pump};

/// Pieces of a body between the network and the importer.
const AHEAD: usize = 16;

/// What fills columns that a file lacks, and how to take it.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Fill {
    /// CSV: the type of the codes, where the file has no such column.
    #[serde(rename = "type")]
    code_type: Option<String>,
    /// CSV: the discount of the codes, where the file has no such column.
    #[serde(default, deserialize_with = "super::request::discount")]
    #[param(maximum = 99)]
    discount: Option<u8>,
    /// CSV: when the codes expire, where the file has no such column.
    expiration_date: Option<String>,
    /// CSV: true sets the codes aside, where the file has no such column.
    in_use: Option<bool>,
    /// CSV: all or nothing: with one bad row, no row goes in.
    strict: Option<bool>,
    /// Say what would happen, and change nothing: the answer tells how many rows would be taken.
    dry_run: Option<bool>,
    /// What the history calls the upload, such as the name of the file.
    source: Option<String>,
}

impl Fill {
    fn dry_run(&self) -> bool {
        self.dry_run.unwrap_or(false)
    }
}

/// A form with a file of codes.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes the form")]
pub(super) struct UploadForm {
    /// The CSV file; the last field that is read.
    #[schema(content_media_type = "text/csv")]
    file: String,
}

/// Takes an upload and answers.
pub(super) async fn take(
    api: Api,
    caller: Caller,
    fill: Fill,
    request: Request,
) -> Result<Response, Problem> {
    let turn = Arc::clone(&api.uploads).try_acquire_owned().map_err(|_| {
        Problem::unavailable("as many uploads as this service takes at a time are on their way")
            .retry_after(5)
    })?;
    let pause = api.limits.body_pause;
    let once = Once {
        ticket: Ticket::begin(&api, &caller, request.headers()).await?,
        fingerprint: Fingerprint::new(request.method(), request.uri()),
    };
    match media_type(request.headers()).as_deref() {
        Some("application/json") | None => {
            let body = whole(request.into_body(), api.limits.json_upload_bytes, pause).await?;
            // Of a body that is whole the answer is remembered, whether or not the client waits.
            let taking = api.lasting.begin({
                let api = api.clone();
                async move {
                    let _turn = turn;
                    take_json(api, caller, &fill, body, once).await
                }
            });
            taking.end().await
        }
        Some("text/csv" | "text/plain") => {
            let source = Pieces::Body(request.into_body(), Pace::new(pause));
            take_csv(api, caller, fill, source, once, turn).await
        }
        Some("multipart/form-data") => {
            let mut form = Multipart::from_request(request, &())
                .await
                .map_err(|error| Problem::new(Kind::InvalidRequest, error.body_text()))?;
            let broken = |error: axum::extract::multipart::MultipartError| {
                Problem::new(
                    Kind::InvalidRequest,
                    format!("the form: {}", error.body_text()),
                )
            };
            loop {
                let field = form.next_field().await.map_err(broken)?;
                let Some(field) = field else {
                    let detail = "the form has no field `file` with a file of codes";
                    return Err(Problem::new(Kind::InvalidRequest, detail).field("file"));
                };
                if field.file_name().is_some() || field.name() == Some("file") {
                    let mut fill = fill;
                    fill.source = fill.source.or(field.file_name().map(str::to_owned));
                    let pieces = Pieces::Field(Box::new(field), Pace::new(pause));
                    return take_csv(api, caller, fill, pieces, once, turn).await;
                }
            }
        }
        Some(_) => Err(Problem::new(
            Kind::UnsupportedMediaType,
            "the Content-Type must be application/json, text/csv or multipart/form-data",
        )),
    }
}

async fn take_json(
    api: Api,
    caller: Caller,
    fill: &Fill,
    body: Vec<u8>,
    mut once: Once,
) -> Result<Response, Problem> {
    once.fingerprint.update(&body);
    let fingerprint = once.fingerprint.finish();
    if let Some(ticket) = &once.ticket
        && let Some(answer) = ticket.again(fingerprint, Some(&body))?
    {
        return Ok(answer);
    }
    // Echoed below, so it must be JSON as a whole; the importer alone would take lines of it.
    match body.trim_ascii_start().first() {
        Some(b'{') => json::<Call>(&body)?.checked()?,
        _ => drop(json::<IgnoredAny>(&body)?),
    }
    let body = Bytes::from(body);
    let options = ImportOptions {
        upload: UploadOptions {
            format: Some(Format::Json),
            ..UploadOptions::default()
        },
        source: source(fill),
        key: Some(caller.0.id.clone()),
        strict: true,
        dry_run: fill.dry_run(),
    };
    let reader = io::Cursor::new(body.clone());
    let (upload, report) = import(api, reader, options).await?;
    if report.rejected > 0 {
        return Err(rejected(&report, "nothing of the call was taken"));
    }
    if fill.dry_run() {
        return Ok(Json(Imported::from(&report)).into_response());
    }
    let json = HeaderValue::from_static("application/json");
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, json)], body).into_response();
    locate(&mut response, upload);
    match once.ticket {
        Some(ticket) => Ok(ticket.remember(fingerprint, response, true).await),
        None => Ok(response),
    }
}

async fn take_csv(
    api: Api,
    caller: Caller,
    fill: Fill,
    mut pieces: Pieces<'_>,
    mut once: Once,
    turn: OwnedSemaphorePermit,
) -> Result<Response, Problem> {
    if let Some(ticket) = once.ticket.as_ref().filter(|ticket| ticket.is_known()) {
        // It is read to its end without taking anything of it: only then is it known whether it
        // is the same.
        while let Some(piece) = pieces.next().await? {
            once.fingerprint.update(&piece);
        }
        let answer = ticket.again(once.fingerprint.finish(), None)?;
        return answer.ok_or_else(|| Problem::internal("an answer has vanished"));
    }
    let expires = match fill.expiration_date.clone() {
        None => None,
        Some(text) => Some(
            api.call(move |promoflow| {
                promoflow.calendar()?.parse_expiry(&text).map_err(|error| {
                    Problem::new(Kind::InvalidRequest, format!("expirationDate: {error}"))
                        .field("expirationDate")
                })
            })
            .await?,
        ),
    };
    let options = ImportOptions {
        upload: UploadOptions {
            format: Some(Format::Csv),
            code_type: fill.code_type.clone(),
            discount: fill.discount,
            expires,
            in_use: fill.in_use,
        },
        source: source(&fill),
        key: Some(caller.0.id.clone()),
        strict: fill.strict.unwrap_or(false),
        dry_run: fill.dry_run(),
    };
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (whole, fingerprint) = oneshot::channel();
    let taking = api.lasting.begin({
        let (api, ticket, dry_run) = (api.clone(), once.ticket.take(), fill.dry_run());
        async move {
            let _turn = turn;
            let reader = PieceReader::new(receiver);
            let response = answer_csv(&api, import(api.clone(), reader, options), dry_run).await?;
            match (ticket, fingerprint.await) {
                (Some(ticket), Ok(fingerprint)) => {
                    Ok(ticket.remember(fingerprint, response, false).await)
                }
                _ => Ok(response),
            }
        }
    });
    let pumped = pump(&api, &mut pieces, sender, &mut once.fingerprint).await;
    if pumped.is_ok() {
        // From here on the client may go.
        let _refused = whole.send(once.fingerprint.finish());
    }
    let taken = taking.end().await;
    // Why the body broke off is more than that it did.
    pumped?;
    taken
}

/// Imports a CSV file and answers.
async fn answer_csv(
    api: &Api,
    importing: impl Future<Output = Result<(UploadId, ImportReport), Problem>>,
    dry_run: bool,
) -> Result<Response, Problem> {
    let (upload, report) = importing.await?;
    let taken = report.inserted + report.updated + report.unchanged;
    if taken == 0 && report.rejected > 0 {
        return Err(rejected(&report, "no row was taken"));
    }
    if dry_run {
        return Ok(Json(Imported::from(&report)).into_response());
    }
    let shown = api
        .call(move |promoflow| match promoflow.upload(upload)? {
            Some((row, errors)) => Ok(UploadJson::new(row, Some(&errors), None)),
            None => Err(Problem::internal("an upload has vanished")),
        })
        .await?;
    let mut response = Json(shown).into_response();
    locate(&mut response, upload);
    Ok(response)
}

/// What a call of Yespo's shape must state, since it holds for all of its codes. A code that is
/// on its own may leave it out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    promocodes: Option<IgnoredAny>,
    expiration_date: Option<IgnoredAny>,
    discount: Option<IgnoredAny>,
}

impl Call {
    fn checked(self) -> Result<(), Problem> {
        let missing = match (self.promocodes, self.expiration_date, self.discount) {
            (Some(_), None, _) => "expirationDate",
            (Some(_), _, None) => "discount",
            _ => return Ok(()),
        };
        let detail = format!(
            "{missing}: missing; a call with `promocodes` states it for all of them, and a list of \
             objects with `code` may leave it out"
        );
        Err(Problem::new(Kind::InvalidRequest, detail).field(missing))
    }
}

/// What makes a request that is sent again be taken once.
struct Once {
    ticket: Option<Ticket>,
    fingerprint: Fingerprint,
}

fn source(fill: &Fill) -> String {
    let name = fill.source.as_deref().unwrap_or("api");
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn locate(response: &mut Response, upload: UploadId) {
    if let Ok(location) = format!("{UPLOADS}/{upload}").parse() {
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
