//! A CSV file on its way into the pool, piece by piece.

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::importing::{Outcome, import, taken};
use super::incoming::{Incoming, Limit};
use super::pieces::PieceReader;
use super::{Fill, Once, locate, rejected, turn};
use crate::api::Api;
use crate::api::contacts::Imported;
use crate::api::gate::Caller;
use crate::api::idempotency::{Fingerprint, Ticket};
use crate::api::lasting::Begun;
use crate::api::problem::{Kind, Problem};
use crate::api::uploads::UploadJson;
use crate::clock::Timestamp;
use crate::pool::{Format, ImportOptions, UploadOptions};

/// Pieces of a body between the network and the importer.
const AHEAD: usize = 16;
/// The largest file that goes in at once: events wait for a few seconds while it does.
const AT_ONCE: u64 = 64 << 20;

/// Takes a body that is the file.
pub(super) async fn take(
    api: Api,
    caller: Caller,
    fill: Fill,
    incoming: &Incoming,
    once: Once,
) -> Result<Response, Problem> {
    let mut feed = Feed::begin(&api, &caller, &fill, incoming, once).await?;
    let fed = loop {
        match incoming.next().await {
            Ok(Some(piece)) => {
                if !feed.push(piece).await {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(problem) => break Err(problem),
        }
    };
    feed.end(fed).await
}

/// Gives a file to the importer.
pub(super) struct Feed {
    fingerprint: Fingerprint,
    to: To,
}

enum To {
    /// The request was answered before. It is read to its end without taking anything of it: only
    /// then is it known whether it is the same.
    Nobody(Ticket, OwnedSemaphorePermit),
    Importer {
        pieces: mpsc::Sender<Option<Bytes>>,
        whole: oneshot::Sender<[u8; 32]>,
        taking: Begun<Taken>,
    },
}

/// What came of a file, and what is answered if it was handed on to its end.
struct Taken {
    outcome: Outcome,
    answer: Result<Response, Problem>,
}

impl Feed {
    pub(super) async fn begin(
        api: &Api,
        caller: &Caller,
        fill: &Fill,
        incoming: &Incoming,
        once: Once,
    ) -> Result<Feed, Problem> {
        let most = api.limits.upload_bytes;
        incoming.bound(match fill.strict() && !fill.dry_run() && most > AT_ONCE {
            true => Limit::AtOnce(AT_ONCE),
            false => Limit::Upload(most),
        })?;
        let turn = turn(api)?;
        let fingerprint = once.fingerprint;
        let ticket = match once.ticket {
            Some(known) if known.is_known() => {
                let to = To::Nobody(known, turn);
                return Ok(Feed { fingerprint, to });
            }
            ticket => ticket,
        };
        let options = options(api, caller, fill).await?;
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let (whole, is_whole) = oneshot::channel();
        let taking = api.lasting.begin({
            let api = api.clone();
            async move {
                let _turn = turn;
                let reader = PieceReader::new(receiver);
                let mut outcome = import(api.clone(), reader, options).await;
                let answer = match answer(&api, &mut outcome).await {
                    Ok(response) => match (ticket, is_whole.await) {
                        (Some(ticket), Ok(fingerprint)) => {
                            Ok(ticket.remember(fingerprint, response, false).await)
                        }
                        _ => Ok(response),
                    },
                    Err(problem) => Err(problem),
                };
                Ok(Taken { outcome, answer })
            }
        });
        let to = To::Importer {
            pieces,
            whole,
            taking,
        };
        Ok(Feed { fingerprint, to })
    }

    /// Hands a piece on; false where the importer has ended, and will tell why.
    pub(super) async fn push(&mut self, piece: Bytes) -> bool {
        self.fingerprint.update(&piece);
        match &self.to {
            To::Importer { pieces, .. } => pieces.send(Some(piece)).await.is_ok(),
            To::Nobody(..) => true,
        }
    }

    /// What is answered once the file was handed on, or could not be handed on to its end.
    pub(super) async fn end(self, fed: Result<(), Problem>) -> Result<Response, Problem> {
        let fingerprint = self.fingerprint.finish();
        match self.to {
            To::Nobody(ticket, _turn) => {
                fed?;
                let answer = ticket.again(fingerprint, None)?;
                answer.ok_or_else(|| Problem::internal("an answer has vanished"))
            }
            To::Importer {
                pieces,
                whole,
                taking,
            } => {
                if fed.is_ok() {
                    // Where the importer has ended early, nobody listens. From here on the client
                    // may go.
                    let _refused = whole.send(fingerprint);
                    let _refused = pieces.send(None).await;
                } else {
                    drop(whole);
                }
                drop(pieces);
                let Taken { outcome, answer } = taking.end().await?;
                // Why the body broke off is more than that it did.
                fed.map_err(|problem| outcome.told(problem))?;
                answer
            }
        }
    }
}

/// What is answered to a file that was handed on to its end.
async fn answer(api: &Api, outcome: &mut Outcome) -> Result<Response, Problem> {
    outcome.whole()?;
    let report = &outcome.report;
    if taken(report) == 0 && report.rejected > 0 {
        return Err(outcome.located(rejected(report, "no row was taken")));
    }
    let Some(upload) = outcome.upload else {
        return Ok(Json(Imported::from(report)).into_response());
    };
    let shown = api.call(move |promoflow| match promoflow.upload(upload)? {
        Some((row, errors)) => Ok(UploadJson::new(row, Some(&errors), None)),
        None => Err(Problem::internal("an upload has vanished")),
    });
    let shown = shown.await.map_err(|problem| outcome.located(problem))?;
    let mut response = Json(shown).into_response();
    locate(&mut response, upload);
    Ok(response)
}

async fn options(api: &Api, caller: &Caller, fill: &Fill) -> Result<ImportOptions, Problem> {
    let expires = match fill.expiration_date.clone() {
        None => None,
        Some(text) => Some(api.call(move |promoflow| expiry(&text, promoflow)).await?),
    };
    Ok(ImportOptions {
        upload: UploadOptions {
            format: Some(Format::Csv),
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

fn expiry(text: &str, promoflow: &crate::Promoflow) -> Result<Timestamp, Problem> {
    promoflow.calendar()?.parse_expiry(text).map_err(|error| {
        let detail = format!("expirationDate: {error}");
        Problem::new(Kind::InvalidRequest, detail).field("expirationDate")
    })
}
