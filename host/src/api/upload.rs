//! Uploads on their way: from an asynchronous body to the importer, which waits where it must.
//!
//! The body is pumped through a short channel into a reader on a thread of its own, so that a
//! file of any size takes the same memory. A body that breaks off ends the channel without an
//! end, which the reader tells the importer as an error.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::gate::Caller;
use super::problem::{Fault, Kind, Problem};
use super::request::{media_type, piece, too_large, whole};
use super::uploads::{UPLOADS, UploadJson};
use crate::pool::{
    Format, ImportError, ImportOptions, ImportReport, UploadError, UploadOptions, Watch,
};
use crate::store::UploadId;

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
    #[param(maximum = 99)]
    discount: Option<u8>,
    /// CSV: when the codes expire, where the file has no such column.
    expiration_date: Option<String>,
    /// CSV: true sets the codes aside, where the file has no such column.
    in_use: Option<bool>,
    /// CSV: all or nothing: with one bad row, no row goes in.
    strict: Option<bool>,
    /// What the history calls the upload, such as the name of the file.
    source: Option<String>,
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
    let _turn = Arc::clone(&api.uploads).try_acquire_owned().map_err(|_| {
        Problem::unavailable("as many uploads as this service takes at a time are on their way")
            .retry_after(5)
    })?;
    let pause = api.limits.body_pause;
    match media_type(request.headers()).as_deref() {
        Some("application/json") | None => {
            let body = whole(request.into_body(), api.limits.json_upload_bytes, pause).await?;
            take_json(api, caller, &fill, body).await
        }
        Some("text/csv" | "text/plain") => {
            let source = Pieces::Body(request.into_body());
            take_csv(api, caller, fill, source).await
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
                    return take_csv(api, caller, fill, Pieces::Field(field)).await;
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
) -> Result<Response, Problem> {
    // Echoed below, so it must be JSON as a whole; the importer alone would take lines of it.
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&body) {
        return Err(super::request::json::<serde::de::IgnoredAny>(&body)
            .err()
            .unwrap_or_else(|| Problem::internal(error)));
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
        dry_run: false,
    };
    let reader = io::Cursor::new(body.clone());
    let (upload, report) = import(api, reader, options).await?;
    if report.rejected > 0 {
        return Err(rejected(&report, "nothing of the call was taken"));
    }
    let json = HeaderValue::from_static("application/json");
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, json)], body).into_response();
    locate(&mut response, upload);
    Ok(response)
}

async fn take_csv(
    api: Api,
    caller: Caller,
    fill: Fill,
    mut pieces: Pieces<'_>,
) -> Result<Response, Problem> {
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
        dry_run: false,
    };
    let (sender, receiver) = mpsc::channel(AHEAD);
    let importing = tokio::spawn(import(api.clone(), PieceReader::new(receiver), options));
    let pumped = pump(&api, &mut pieces, sender).await;
    let imported = importing
        .await
        .unwrap_or_else(|error| Err(Problem::internal(error)));
    // Why the body broke off is more than that it did.
    pumped?;
    let (upload, report) = imported?;
    let taken = report.inserted + report.updated + report.unchanged;
    if taken == 0 && report.rejected > 0 {
        return Err(rejected(&report, "no row was taken"));
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

fn source(fill: &Fill) -> String {
    let name = fill.source.as_deref().unwrap_or("api");
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn locate(response: &mut Response, upload: UploadId) {
    if let Ok(location) = format!("{UPLOADS}/{upload}").parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
}

fn rejected(report: &ImportReport, what: &str) -> Problem {
    let detail = format!("{} rows are refused, and {what}", report.rejected);
    Problem::new(Kind::RefusedContent, detail)
        .errors(report.errors.iter().map(Fault::from).collect())
}

fn file_problem(error: &UploadError) -> Problem {
    match error {
        UploadError::Unreadable { .. } => Problem::new(
            Kind::InvalidRequest,
            "the connection ended before the file did",
        ),
        UploadError::Spool(cause) => Problem::internal(cause),
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
                hint: None,
            }])
        }
    }
}

/// Imports on a thread that may wait.
async fn import(
    api: Api,
    reader: impl Read + Send + 'static,
    options: ImportOptions,
) -> Result<(UploadId, ImportReport), Problem> {
    let importing = tokio::task::spawn_blocking(move || {
        let mut progress = Progress {
            api: &api,
            upload: UploadId(0),
            rows: Arc::default(),
        };
        let imported = api
            .promoflow
            .import_watched(reader, &options, &mut progress);
        (progress.upload, imported)
    });
    match importing.await {
        Ok((upload, Ok(report))) => Ok((upload, report)),
        Ok((_, Err(ImportError::File { error, .. }))) => Err(file_problem(&error)),
        Ok((_, Err(ImportError::Store(error)))) => Err(error.into()),
        Err(error) => Err(Problem::internal(error)),
    }
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

/// Where the bytes of a file come from.
enum Pieces<'f> {
    Body(Body),
    Field(axum::extract::multipart::Field<'f>),
}

impl Pieces<'_> {
    async fn next(&mut self, api: &Api) -> Result<Option<Bytes>, Problem> {
        let pause = api.limits.body_pause;
        match self {
            Pieces::Body(body) => piece(body, pause).await,
            Pieces::Field(field) => match tokio::time::timeout(pause, field.chunk()).await {
                Ok(Ok(piece)) => Ok(piece),
                Ok(Err(error)) => {
                    let detail = format!("the form: {}", error.body_text());
                    Err(Problem::new(Kind::InvalidRequest, detail))
                }
                Err(_) => Err(Problem::new(
                    Kind::BodyTooSlow,
                    format!("nothing of the body came for {} seconds", pause.as_secs()),
                )),
            },
        }
    }
}

/// Moves a body into the channel. Only a body that is whole ends it with an end.
async fn pump(
    api: &Api,
    pieces: &mut Pieces<'_>,
    sender: mpsc::Sender<Option<Bytes>>,
) -> Result<(), Problem> {
    let mut left = api.limits.upload_bytes;
    while let Some(piece) = pieces.next(api).await? {
        left = left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| too_large(api.limits.upload_bytes))?;
        if sender.send(Some(piece)).await.is_err() {
            // The importer has ended, and tells why.
            return Ok(());
        }
    }
    let _ended = sender.send(None).await;
    Ok(())
}

/// The other end of the channel. Read on a thread that may wait.
struct PieceReader {
    receiver: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    ended: bool,
}

impl PieceReader {
    fn new(receiver: mpsc::Receiver<Option<Bytes>>) -> PieceReader {
        PieceReader {
            receiver,
            piece: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let length = self.piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
