//! An upload as JSON, which is held as a whole: it is echoed.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::OwnedSemaphorePermit;

use super::importing::import;
use super::incoming::{Incoming, Limit};
use super::{Fill, Once, locate, rejected};
use crate::Api;
use crate::contacts::Imported;
use crate::gate::Caller;
use crate::problem::{Kind, Problem};
use crate::request::json;
use promoflow_engine::import::ImportOptions;
use promoflow_model::pool::{Format, UploadOptions};

/// Takes a call, or a list of codes.
pub(super) async fn take(
    api: Api,
    caller: Caller,
    fill: Fill,
    incoming: &Incoming,
    once: Once,
) -> Result<Response, Problem> {
    let limit = Limit::Upload(api.limits.json_upload_bytes as u64);
    let (body, turn) = whole(&api, incoming, limit).await?;
    // Of a body that is whole the answer is remembered, whether or not the client waits.
    let taking = api.lasting.begin({
        let api = api.clone();
        async move {
            let large = turn.is_some();
            let _turn = turn;
            store(api, caller, &fill, body, once, large).await
        }
    });
    taking.end().await
}

/// Stores the codes, and echoes the body. `large`: it has the turn of a file.
async fn store(
    api: Api,
    caller: Caller,
    fill: &Fill,
    body: Vec<u8>,
    once: Once,
    large: bool,
) -> Result<Response, Problem> {
    let Once {
        ticket,
        mut fingerprint,
    } = once;
    // Both take as long as the body is, which no thread of the event loop has.
    let (body, fingerprint, checked) = api
        .call(move |_| {
            fingerprint.update(&body);
            let checked = check(&body);
            Ok((body, fingerprint.finish(), checked))
        })
        .await?;
    if let Some(ticket) = &ticket
        && let Some(answer) = ticket.again(fingerprint, Some(&body))?
    {
        return Ok(answer);
    }
    checked?;
    let body = Bytes::from(body);
    let options = ImportOptions {
        upload: UploadOptions {
            format: Some(Format::Json),
            date_format: fill.date_format()?,
            ..UploadOptions::default()
        },
        source: fill.source(),
        key: Some(caller.0.id.clone()),
        strict: true,
        dry_run: fill.dry_run(),
    };
    let reader = io::Cursor::new(body.clone());
    // Few codes wait for few codes, and not for a file of them.
    let _call = match large {
        true => None,
        false => {
            let call = Arc::clone(&api.calls).acquire_owned();
            let Ok(Ok(call)) = tokio::time::timeout(api.limits.event_time, call).await else {
                let detail = "the codes were not stored in time; send them again";
                return Err(Problem::unavailable(detail));
            };
            Some(call)
        }
    };
    let mut outcome = import(api, reader, options).await;
    outcome.whole()?;
    if outcome.report.rejected > 0 {
        return Err(rejected(&outcome.report, "nothing of the call was taken"));
    }
    let Some(upload) = outcome.upload else {
        return Ok(Json(Imported::from(&outcome.report)).into_response());
    };
    let json = HeaderValue::from_static("application/json");
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, json)], body).into_response();
    locate(&mut response, upload);
    Ok(match ticket {
        Some(ticket) => ticket.remember(fingerprint, response, true).await,
        None => response,
    })
}

/// Refuses what is no JSON as a whole: it is echoed, and the importer alone would take lines of it.
fn check(body: &[u8]) -> Result<(), Problem> {
    match body.trim_ascii_start().first() {
        Some(b'{') => json::<Call>(body)?.checked(),
        _ => json::<IgnoredAny>(body).map(drop),
    }
}

/// The whole body. One that is longer than other requests may be needs the turn of a file, so that
/// few are held at one time.
pub(super) async fn whole(
    api: &Api,
    incoming: &Incoming,
    limit: Limit,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    incoming.bound(limit)?;
    let mut turn = None;
    let mut body = Vec::new();
    loop {
        if turn.is_none() && incoming.at_least() > api.limits.body_bytes as u64 {
            turn = Some(super::turn(api)?);
        }
        match incoming.next().await? {
            Some(piece) => body.extend_from_slice(&piece),
            None => return Ok((body, turn)),
        }
    }
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
