//! JSON uploads, which are held in memory because they are echoed.

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

/// Handles an upload of a Yespo call or a list of codes.
pub(super) async fn take(
    api: Api,
    caller: Caller,
    fill: Fill,
    incoming: &Incoming,
    once: Once,
) -> Result<Response, Problem> {
    let limit = Limit::Upload(api.limits.json_upload_bytes as u64);
    let (body, turn) = whole(&api, incoming, limit).await?;
    // After the body is complete, the response is stored even if the client disconnects.
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

/// Stores the codes and echoes the body. `large`: the request holds a file permit.
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
    // Both take time proportional to the body, which would block the event loop.
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
    // Small uploads queue behind small ones only, not behind files.
    let _call = match large {
        true => None,
        false => {
            let call = Arc::clone(&api.calls).acquire_owned();
            let Ok(Ok(call)) = tokio::time::timeout(api.limits.event_time, call).await else {
                let detail = "the codes were not stored in time; send the request again";
                return Err(Problem::unavailable(detail));
            };
            Some(call)
        }
    };
    let mut outcome = import(api, reader, options).await;
    outcome.whole()?;
    if outcome.report.rejected > 0 {
        return Err(rejected(&outcome.report, "no code was imported"));
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

/// Rejects a body that is not one JSON document. It is echoed, and the importer alone would also
/// accept JSON Lines.
fn check(body: &[u8]) -> Result<(), Problem> {
    match body.trim_ascii_start().first() {
        Some(b'{') => json::<Call>(body)?.checked(),
        _ => json::<IgnoredAny>(body).map(drop),
    }
}

/// Reads a whole body. A body larger than the limit of other requests requires a file permit, so
/// that only few of them are in memory.
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

/// Attributes that a Yespo call must set, because they apply to all of its codes. An object with
/// `code` may omit them.
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
            "{missing}: missing; a call with `promocodes` requires it; objects with `code` may \
             omit it"
        );
        Err(Problem::new(Kind::InvalidRequest, detail).field(missing))
    }
}
