//! CSV uploads, streamed into the pool.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::form::behind_the_file;
use super::importing::{Outcome, import, taken};
use super::incoming::{Incoming, Limit};
use super::parts::PartStart;
use super::pieces::PieceReader;
use super::{Fill, Once, locate, rejected, turn, unreadable};
use crate::Api;
use crate::contacts::Imported;
use crate::gate::Caller;
use crate::idempotency::Fingerprint;
use crate::lasting::Begun;
use crate::problem::{Kind, Problem};
use crate::uploads::UploadJson;
use promoflow_engine::import::ImportOptions;
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{DateFormat, Format, UploadOptions};

/// Maximum number of chunks buffered between the network and the importer.
const AHEAD: usize = 16;

/// Handles an upload whose body is the file.
pub(super) async fn take(
    api: Api,
    caller: Caller,
    fill: Fill,
    incoming: &Incoming,
    once: Once,
) -> Result<Response, Problem> {
    let feed = Feed::begin(&api, &caller, &fill, incoming, once, None).await?;
    feed.all_of(incoming).await
}

/// Streams a file to a blocking thread that imports it.
pub(super) struct Feed {
    pieces: mpsc::Sender<Option<Bytes>>,
    taking: Begun<Taken>,
}

/// Result of an import, and the response if the file was received completely.
struct Taken {
    outcome: Outcome,
    answer: Result<Response, Problem>,
}

impl Feed {
    /// Begins an import. `form`: the file is the last part of a form, and this is its beginning.
    pub(super) async fn begin(
        api: &Api,
        caller: &Caller,
        fill: &Fill,
        incoming: &Incoming,
        once: Once,
        form: Option<PartStart>,
    ) -> Result<Feed, Problem> {
        incoming.bound(Limit::Upload(api.limits.upload_bytes))?;
        let turn = turn(api)?;
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let body = PieceReader::new(receiver);
        let file: Box<dyn Read + Send> = match form {
            Some(form) => Box::new(form.reader(body, behind_the_file)),
            None => Box::new(body),
        };
        let (file, fingerprint) = Fingerprinted::new(file, once.fingerprint);
        let api = api.clone();
        let taking = match once.ticket {
            // The request already has a stored response. Read it to the end without importing
            // anything: only then is it known to be the same request.
            Some(known) if known.is_known() => api.clone().lasting.begin(async move {
                let _turn = turn;
                let read = api.call(move |_| Ok(read_all(file))).await?;
                let again = match (read, fingerprint.finish()) {
                    (Ok(()), Some(fingerprint)) => known.again(fingerprint, None),
                    (Ok(()), None) => Ok(None),
                    (Err(problem), _) => Err(problem),
                };
                Ok(Taken {
                    outcome: Outcome::default(),
                    answer: again.and_then(|answer| {
                        answer.ok_or_else(|| Problem::internal("a stored response is missing"))
                    }),
                })
            }),
            ticket => {
                let options = options(&api, caller, fill).await?;
                api.clone().lasting.begin(async move {
                    let _turn = turn;
                    let mut outcome = import(api.clone(), file, options).await;
                    let answer = match answer(&api, &mut outcome).await {
                        Ok(response) => match (ticket, fingerprint.finish()) {
                            (Some(ticket), Some(fingerprint)) => {
                                Ok(ticket.remember(fingerprint, response, false).await)
                            }
                            _ => Ok(response),
                        },
                        Err(problem) => Err(problem),
                    };
                    Ok(Taken { outcome, answer })
                })
            }
        };
        Ok(Feed { pieces, taking })
    }

    /// Streams the rest of the body and returns the response.
    pub(super) async fn all_of(self, incoming: &Incoming) -> Result<Response, Problem> {
        let Feed { pieces, taking } = self;
        let fed = loop {
            match incoming.next().await {
                Ok(piece) => {
                    let ended = piece.is_none();
                    // If the reader has stopped early, the receiver is gone and the task reports
                    // the reason. After the end is sent, the client may disconnect.
                    if pieces.send(piece).await.is_err() || ended {
                        break Ok(());
                    }
                }
                Err(problem) => break Err(problem),
            }
        };
        drop(pieces);
        let Taken { outcome, answer } = taking.end().await?;
        // The reason why the body ended early is more precise than the reader's error.
        fed.map_err(|problem| outcome.told(problem))?;
        answer
    }
}

/// Reads a file to its end.
fn read_all(mut file: impl Read) -> Result<(), Problem> {
    let read = io::copy(&mut file, &mut io::sink());
    read.map(drop).map_err(|error| unreadable(&error))
}

/// A reader that adds the bytes it reads to the request's fingerprint.
struct Fingerprinted<R> {
    inner: R,
    fingerprint: Shared,
}

/// Fingerprint of the bytes read so far.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Fingerprint>>>);

impl Shared {
    fn finish(&self) -> Option<[u8; 32]> {
        let mut fingerprint = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fingerprint.take().map(Fingerprint::finish)
    }
}

impl<R> Fingerprinted<R> {
    fn new(inner: R, fingerprint: Fingerprint) -> (Fingerprinted<R>, Shared) {
        let shared = Shared(Arc::new(Mutex::new(Some(fingerprint))));
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
    outcome.whole()?;
    let report = &outcome.report;
    if taken(report) == 0 && report.rejected > 0 {
        return Err(outcome.located(rejected(report, "no row was imported")));
    }
    let Some(upload) = outcome.upload else {
        return Ok(Json(Imported::from(report)).into_response());
    };
    let shown = api.call(move |promoflow| match promoflow.upload(upload)? {
        Some((row, errors)) => Ok(UploadJson::new(row, Some(&errors), None)),
        None => Err(Problem::internal("a stored upload is missing")),
    });
    let shown = shown.await.map_err(|problem| outcome.located(problem))?;
    let mut response = Json(shown).into_response();
    locate(&mut response, upload);
    Ok(response)
}

async fn options(api: &Api, caller: &Caller, fill: &Fill) -> Result<ImportOptions, Problem> {
    let expires = match fill.expiration_date.clone() {
        None => None,
        Some(text) => {
            let format = fill.date_format()?;
            let read = move |promoflow: &promoflow_installation::Promoflow| {
                expiry(&text, format.as_ref(), promoflow)
            };
            Some(api.call(read).await?)
        }
    };
    Ok(ImportOptions {
        upload: UploadOptions {
            format: Some(Format::Csv),
            csv: fill.csv()?,
            date_format: fill.date_format()?,
            code_type: fill.code_type.clone(),
            discount: fill.discount,
            expires,
            in_use: fill.in_use,
        },
        source: fill.source(),
        key: Some(caller.0.id.clone()),
        strict: fill.strict(),
        dry_run: fill.dry_run(),
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
