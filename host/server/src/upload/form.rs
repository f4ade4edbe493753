//! Multipart uploads: parameters, followed by the file.

use axum::http::request::Parts;
use axum::response::Response;

use super::file::Feed;
use super::incoming::{Incoming, Limit};
use super::parts::{FormError, FormHead, PartHead, TooLong, boundary};
use super::{Fill, Once};
use crate::Api;
use crate::gate::Caller;
use crate::problem::{Kind, Problem};
use promoflow_tabular::shorten;

/// Maximum size of a form field's value, in bytes.
const MOST_BYTES: usize = 1_000;

/// Handles an upload whose file is the last part of a form.
pub(super) async fn take(
    api: Api,
    caller: Caller,
    fill: Fill,
    parts: Parts,
    incoming: &Incoming,
    mut once: Once,
) -> Result<Response, Problem> {
    incoming.bound_next(Limit::BeforeFile(api.limits.body_bytes as u64));
    let mut form = FormHead::new(boundary(&parts.headers)?);
    let mut fields = Vec::new();
    let file = loop {
        let Some(next) = form.next_part()? else {
            more(&mut form, incoming).await?;
            continue;
        };
        let Some(part) = next else {
            let detail = "the form: `file` is missing; expected a file of codes";
            return Err(Problem::new(Kind::InvalidRequest, detail).field("file"));
        };
        if part.file_name.is_some() || part.name.as_deref() == Some("file") {
            break part;
        }
        let (name, value) = attribute(part, &mut form, incoming).await?;
        // The same file with other parameters is a different request.
        once.fingerprint
            .update(format!("{name}={value}\n").as_bytes());
        // An empty field of a form is not set.
        if !value.is_empty() {
            fields.push((name, value));
        }
    };
    let mut fill = fill.with_form(&fields)?;
    fill.source = fill.source.or(file.file_name);
    let feed = Feed::begin(&api, &caller, &fill, incoming, once, Some(form.into_rest())).await?;
    feed.all_of(incoming).await
}

/// Waits for the next chunk before the file.
async fn more(form: &mut FormHead, incoming: &Incoming) -> Result<(), Problem> {
    match incoming.next().await? {
        Some(piece) => form.push(&piece),
        None => return Err(FormError::ended().into()),
    }
    Ok(())
}

/// Reads the value of a field before the file.
async fn attribute(
    part: PartHead,
    form: &mut FormHead,
    incoming: &Incoming,
) -> Result<(String, String), Problem> {
    let name = match part.name {
        Some(name) if Fill::NAMES.contains(&name.as_str()) => name,
        _ => return Err(unexpected(&part, "is not a known field").into()),
    };
    let wrong = |expected: String| {
        let detail = format!("the form: {name}: expected {expected}");
        Problem::new(Kind::InvalidRequest, detail).field(&name)
    };
    let bytes = loop {
        match form.value(MOST_BYTES) {
            None => more(form, incoming).await?,
            Some(Ok(bytes)) => break bytes,
            Some(Err(TooLong)) => return Err(wrong(format!("at most {MOST_BYTES} bytes"))),
        }
    };
    match String::from_utf8(bytes) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(wrong("UTF-8 text".to_owned())),
    }
}

/// Returns the error for a part after the file.
pub(super) fn behind_the_file(part: &PartHead) -> FormError {
    unexpected(part, "comes after the file")
}

fn unexpected(part: &PartHead, what: &str) -> FormError {
    let name = shorten(part.name.as_deref().unwrap_or_default());
    let names = Fill::NAMES.map(|name| format!("`{name}`")).join(", ");
    FormError {
        detail: format!("the form: `{name}` {what}; expected {names}, and `file` last"),
        field: Some(name.to_string()),
    }
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Problem {
        Problem::from(&error)
    }
}

impl From<&FormError> for Problem {
    fn from(error: &FormError) -> Problem {
        let problem = Problem::new(Kind::InvalidRequest, error.detail.clone());
        match &error.field {
            Some(field) => problem.field(field),
            None => problem,
        }
    }
}
