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

use super::body::{Limit, UploadBody};
use super::import_task::import;
use super::{IdempotencyContext, UploadParams, add_location, rows_rejected};
use crate::Api;
use crate::auth::Caller;
use crate::problem::{Kind, Problem};
use crate::request::parse_json;
use promoflow_api_model::Imported;
use promoflow_engine::import::ImportOptions;
use promoflow_model::pool::{Format, UploadOptions};

/// Handles an upload of a Yespo call or a list of codes.
pub(super) async fn handle(
    api: Api,
    caller: Caller,
    params: UploadParams,
    upload_body: &UploadBody,
    idempotency: IdempotencyContext,
) -> Result<Response, Problem> {
    let limit = Limit::Upload(api.limits.json_upload_bytes as u64);
    let (body, permit) = read_whole(&api, upload_body, limit).await?;
    // After the body is complete, the response is stored even if the client disconnects.
    let task = api.detached.spawn({
        let api = api.clone();
        async move {
            let has_file_permit = permit.is_some();
            let _permit = permit;
            store(api, caller, &params, body, idempotency, has_file_permit).await
        }
    });
    task.join().await
}

/// Stores the codes and echoes the body. `has_file_permit`: the request holds a file permit.
async fn store(
    api: Api,
    caller: Caller,
    params: &UploadParams,
    body: Vec<u8>,
    idempotency: IdempotencyContext,
    has_file_permit: bool,
) -> Result<Response, Problem> {
    let IdempotencyContext {
        guard,
        mut fingerprint,
    } = idempotency;
    // Both take time proportional to the body, which would block the event loop.
    let (body, fingerprint, checked) = api
        .run_blocking(move |_| {
            fingerprint.update(&body);
            let checked = check(&body);
            Ok((body, fingerprint.finish(), checked))
        })
        .await?;
    let Some(guard) = guard else {
        checked?;
        let imported = import_body(api, caller, params, body, has_file_permit).await?;
        return Ok(imported.response);
    };
    let key = guard.reserve().await?;
    if let Some(answer) = key.replay(fingerprint, Some(&body))? {
        return Ok(answer);
    }
    let imported = match checked {
        Ok(()) => import_body(api, caller, params, body, has_file_permit).await,
        Err(problem) => Err(problem),
    };
    let is_echo = imported.as_ref().is_ok_and(|imported| imported.is_echo);
    let result = imported.map(|imported| imported.response);
    let fingerprint = is_echo.then_some(fingerprint);
    key.complete(fingerprint, result, is_echo).await
}

/// The response to a body whose codes are valid.
struct ImportedBody {
    response: Response,
    /// True if it repeats the body; false for the report of a dry run.
    is_echo: bool,
}

async fn import_body(
    api: Api,
    caller: Caller,
    params: &UploadParams,
    body: Vec<u8>,
    has_file_permit: bool,
) -> Result<ImportedBody, Problem> {
    let body = Bytes::from(body);
    let options = ImportOptions {
        upload: UploadOptions {
            format: Some(Format::Json),
            date_format: params.date_format()?,
            ..UploadOptions::default()
        },
        source: params.source(),
        key: Some(caller.0.id.clone()),
        strict: true,
        dry_run: params.dry_run(),
    };
    let reader = io::Cursor::new(body.clone());
    // Small uploads queue behind small ones only, not behind files.
    let _call = match has_file_permit {
        true => None,
        false => {
            let call = Arc::clone(&api.small_uploads).acquire_owned();
            let Ok(Ok(call)) = tokio::time::timeout(api.limits.event_time, call).await else {
                let detail = "the codes were not stored in time; send the request again";
                return Err(Problem::unavailable(detail));
            };
            Some(call)
        }
    };
    let mut outcome = import(api, reader, options).await;
    outcome.check_complete()?;
    if outcome.report.rejected > 0 {
        return Err(rows_rejected(&outcome.report, "no code was imported"));
    }
    let Some(upload) = outcome.upload else {
        return Ok(ImportedBody {
            response: Json(Imported::from(&outcome.report)).into_response(),
            is_echo: false,
        });
    };
    let json = HeaderValue::from_static("application/json");
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, json)], body).into_response();
    add_location(&mut response, upload);
    Ok(ImportedBody {
        response,
        is_echo: true,
    })
}

/// Rejects a body that is not one JSON document. It is echoed, and the importer alone would also
/// accept JSON Lines.
fn check(body: &[u8]) -> Result<(), Problem> {
    match body.trim_ascii_start().first() {
        Some(b'{') => parse_json::<YespoCall>(body)?.checked(),
        _ => parse_json::<IgnoredAny>(body).map(drop),
    }
}

/// Reads a whole body. A body larger than the limit of other requests requires a file permit, so
/// that only few of them are in memory.
pub(super) async fn read_whole(
    api: &Api,
    upload_body: &UploadBody,
    limit: Limit,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    upload_body.set_limit(limit)?;
    let mut permit = None;
    let mut body = Vec::new();
    loop {
        if permit.is_none() && upload_body.min_size() > api.limits.body_bytes as u64 {
            permit = Some(super::acquire_upload_permit(api)?);
        }
        match upload_body.next_chunk().await? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => return Ok((body, permit)),
        }
    }
}

/// Attributes that a Yespo call must set, because they apply to all of its codes. An object with
/// `code` may omit them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct YespoCall {
    promocodes: Option<IgnoredAny>,
    expiration_date: Option<IgnoredAny>,
    discount: Option<IgnoredAny>,
}

impl YespoCall {
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
