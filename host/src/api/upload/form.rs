//! An upload as a form: what it states, and then its file.

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::request::Parts;
use axum::response::Response;

use super::file::Feed;
use super::incoming::{Incoming, Limit};
use super::{Fill, Once};
use crate::api::Api;
use crate::api::gate::Caller;
use crate::api::problem::{Kind, Problem};
use crate::upload::shorten;

/// Bytes of what a field states, at the most.
const MOST_BYTES: usize = 1_000;

/// Takes the file of a form.
pub(super) async fn take(
    api: Api,
    caller: Caller,
    fill: Fill,
    parts: Parts,
    incoming: &Incoming,
    mut once: Once,
) -> Result<Response, Problem> {
    incoming.bound_next(Limit::BeforeFile(api.limits.body_bytes as u64));
    let request = Request::from_parts(parts, incoming.body());
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| Problem::new(Kind::InvalidRequest, error.body_text()))?;
    let broken = |error: MultipartError| {
        incoming.fault().unwrap_or_else(|| {
            let detail = format!("the form: {}", error.body_text());
            Problem::new(Kind::InvalidRequest, detail)
        })
    };
    let mut fields = Vec::new();
    let mut file = loop {
        let Some(field) = form.next_field().await.map_err(broken)? else {
            let detail = "the form has no field `file` with a file of codes";
            return Err(Problem::new(Kind::InvalidRequest, detail).field("file"));
        };
        if field.file_name().is_some() || field.name() == Some("file") {
            break field;
        }
        let (name, value) = attribute(field, broken).await?;
        // A file under the same Idempotency-Key that is to be taken otherwise is another request.
        once.fingerprint
            .update(format!("{name}={value}\n").as_bytes());
        // What a person leaves blank in a form states nothing.
        if !value.is_empty() {
            fields.push((name, value));
        }
    };
    let mut fill = fill.with_form(&fields)?;
    fill.source = fill.source.or(file.file_name().map(str::to_owned));
    let mut feed = Feed::begin(&api, &caller, &fill, incoming, once).await?;
    let mut fed = Ok(true);
    while let Ok(true) = fed {
        fed = match file.chunk().await.map_err(broken) {
            Ok(Some(piece)) => Ok(feed.push(piece).await),
            Ok(None) => break,
            Err(problem) => Err(problem),
        };
    }
    drop(file);
    if let Ok(true) = fed {
        fed = match form.next_field().await.map_err(broken) {
            Ok(None) => Ok(true),
            Ok(Some(field)) => Err(unexpected(&field, "stands after the file")),
            Err(problem) => Err(problem),
        };
    }
    feed.end(fed.map(drop)).await
}

/// What a field before the file states.
async fn attribute(
    mut field: Field<'_>,
    broken: impl Fn(MultipartError) -> Problem,
) -> Result<(String, String), Problem> {
    let name = field.name().unwrap_or_default().to_owned();
    if !Fill::NAMES.contains(&name.as_str()) {
        return Err(unexpected(&field, "is not known here"));
    }
    let wrong = |expected: String| {
        let detail = format!("the form: {name}: expected {expected}");
        Problem::new(Kind::InvalidRequest, detail).field(&name)
    };
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(&broken)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MOST_BYTES {
            return Err(wrong(format!("at most {MOST_BYTES} bytes")));
        }
    }
    match String::from_utf8(bytes) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(wrong("a text in UTF-8".to_owned())),
    }
}

fn unexpected(field: &Field<'_>, what: &str) -> Problem {
    let name = shorten(field.name().unwrap_or_default());
    let names = Fill::NAMES.map(|name| format!("`{name}`")).join(", ");
    let detail = format!("the form: `{name}` {what}; expected {names}, and last of all `file`");
    Problem::new(Kind::InvalidRequest, detail).field(name)
}
