//! Multipart uploads: parameters, followed by the file.

use axum::http::request::Parts;
use axum::response::Response;

use super::body::{Limit, UploadBody};
use super::csv::CsvUpload;
use super::multipart::{FormError, FormParser, PartHeaders, TooLong, boundary};
use super::{IdempotencyContext, UploadParams};
use crate::Api;
use crate::auth::Caller;
use crate::problem::{Kind, Problem};
use promoflow_tabular::shorten;

/// Maximum size of a form field's value, in bytes.
const MAX_VALUE_BYTES: usize = 1_000;

/// Handles an upload whose file is the last part of a form.
pub(super) async fn handle(
    api: Api,
    caller: Caller,
    params: UploadParams,
    parts: Parts,
    upload_body: &UploadBody,
    mut idempotency: IdempotencyContext,
) -> Result<Response, Problem> {
    upload_body.set_next_limit(Limit::BeforeFile(api.limits.body_bytes as u64));
    let mut form = FormParser::new(boundary(&parts.headers)?);
    let mut fields = Vec::new();
    let file = loop {
        let Some(next) = form.next_part()? else {
            read_more(&mut form, upload_body).await?;
            continue;
        };
        let Some(part) = next else {
            let detail = "the form: `file` is missing; expected a file of codes";
            return Err(Problem::new(Kind::InvalidRequest, detail).field("file"));
        };
        if part.file_name.is_some() || part.name.as_deref() == Some("file") {
            break part;
        }
        let (name, value) = read_field(part, &mut form, upload_body).await?;
        // The same file with other parameters is a different request.
        idempotency
            .fingerprint
            .update(format!("{name}={value}\n").as_bytes());
        // An empty field of a form is not set.
        if !value.is_empty() {
            fields.push((name, value));
        }
    };
    let mut params = params.with_form(&fields)?;
    params.source = params.source.or(file.file_name);
    let csv_upload = CsvUpload::begin(
        &api,
        &caller,
        &params,
        upload_body,
        idempotency,
        Some(form.into_rest()),
    )
    .await?;
    csv_upload.stream_body(upload_body).await
}

/// Waits for the next chunk before the file.
async fn read_more(form: &mut FormParser, upload_body: &UploadBody) -> Result<(), Problem> {
    match upload_body.next_chunk().await? {
        Some(chunk) => form.push(&chunk),
        None => return Err(FormError::ended().into()),
    }
    Ok(())
}

/// Reads the value of a field before the file.
async fn read_field(
    part: PartHeaders,
    form: &mut FormParser,
    upload_body: &UploadBody,
) -> Result<(String, String), Problem> {
    let name = match part.name {
        Some(name) if UploadParams::NAMES.contains(&name.as_str()) => name,
        _ => return Err(unexpected(&part, "is not a known field").into()),
    };
    let wrong = |expected: String| {
        let detail = format!("the form: {name}: expected {expected}");
        Problem::new(Kind::InvalidRequest, detail).field(&name)
    };
    let bytes = loop {
        match form.value(MAX_VALUE_BYTES) {
            None => read_more(form, upload_body).await?,
            Some(Ok(bytes)) => break bytes,
            Some(Err(TooLong)) => return Err(wrong(format!("at most {MAX_VALUE_BYTES} bytes"))),
        }
    };
    match String::from_utf8(bytes) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(wrong("UTF-8 text".to_owned())),
    }
}

/// Returns the error for a part after the file.
pub(super) fn part_after_file(part: &PartHeaders) -> FormError {
    unexpected(part, "comes after the file")
}

fn unexpected(part: &PartHeaders, what: &str) -> FormError {
    let name = shorten(part.name.as_deref().unwrap_or_default());
    let names = UploadParams::NAMES
        .map(|name| format!("`{name}`"))
        .join(", ");
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
