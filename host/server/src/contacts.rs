//! Contacts.

use std::io::Cursor;

use axum::Json;
use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::pagination::Page;
use super::problem::{Kind, Problem};
use super::request::{PathParams, QueryParams, media_type, parse_json, require_media_type};
use super::upload::{
    IdempotencyContext, Limit, csv_options, file_problem, parse_with_columns, query_pairs,
    read_whole, rows_rejected,
};
use promoflow_api_model::{Channels, Contact, Imported};
use promoflow_engine::import::{ContactOptions, ImportError};
use promoflow_model::contact::{self, ContactKey};
use promoflow_model::message::ChannelKind;
use promoflow_tabular::Format;

/// Maximum size in bytes of an upload imported in one transaction, during which events wait.
const MAX_TRANSACTION_BYTES: u64 = 2 << 20;

/// Path of the contacts.
pub(super) const PATH: &str = "/api/v1/contacts";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, import))
        .routes(routes!(show))
        .routes(routes!(unsubscribe))
        .routes(routes!(subscribe))
}

/// Query parameters of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Maximum number of contacts in a page (default: 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from the `Link` of the previous page.
    after: Option<String>,
}

/// List contacts in order of creation.
#[utoipa::path(get, path = "/api/v1/contacts", tag = "contacts", params(ListParams),
    responses((status = 200, description = "A page of contacts.", body = Vec<Contact>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let page = Page::new(PATH, params.limit)?;
    let limit = page.rows();
    let rows = api
        .run_blocking(
            move |promoflow| Ok(promoflow.contacts_after(params.after.as_deref(), limit)?),
        )
        .await?;
    let key = |contact: &contact::Contact| contact.id.clone();
    Ok(page.respond(rows, key, Contact::from))
}

/// Parameters of an import.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportParams {
    /// All or nothing: if any row is invalid, no row is imported.
    strict: Option<bool>,
    /// Allow rows to resubscribe contacts that have unsubscribed; otherwise they stay unsubscribed.
    resubscribe: Option<bool>,
    /// Dry run: change nothing and report what would happen.
    dry_run: Option<bool>,
    /// CSV: column delimiter, one character or `tab`. By default, the first line determines whether
    /// it is comma, semicolon or tab.
    delimiter: Option<String>,
    /// CSV: column mapping: a field, `=` and the column's heading, such as `email=Mail`, or
    /// `ignore=Notes` for a column to skip. May be repeated.
    #[serde(default)]
    column: Vec<String>,
    /// CSV: true if the first line is a row, not a header. Columns are then numbered, as in
    /// `email=1`.
    no_header: Option<bool>,
}

impl<S: Sync> FromRequestParts<S> for ImportParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<ImportParams, Problem> {
        let (params, column) = parse_with_columns(query_pairs(parts), "query")?;
        Ok(ImportParams { column, ..params })
    }
}

/// Create and update contacts.
///
/// The body is an array of contacts as in the listing, `{"contacts": […]}`, or a CSV file. A row
/// updates the contact that its id, external id or address identifies, or creates one; omitted
/// values stay unchanged. Unknown keys become fields of the contact. Valid rows are imported, and
/// the response reports the others.
#[utoipa::path(post, path = "/api/v1/contacts", tag = "contacts", params(ImportParams),
    request_body(content((Value = "application/json"), (String = "text/csv"))),
    responses((status = 200, description = "The result.", body = Imported)))]
async fn import(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    params: ImportParams,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let idempotency = IdempotencyContext::begin(&api, &caller, &parts)?;
    require_media_type(&parts.headers, &["application/json", "text/csv"])?;
    let format = match media_type(&parts.headers).as_deref() {
        Some("text/csv") => Format::Csv,
        _ => Format::Json,
    };
    let options = ContactOptions {
        format: Some(format),
        csv: csv_options(
            params.delimiter.as_deref(),
            params.no_header,
            &params.column,
        )?,
        strict: params.strict.unwrap_or(false),
        resubscribe: params.resubscribe.unwrap_or(false),
        dry_run: params.dry_run.unwrap_or(false),
    };
    let limit = match options.strict || options.dry_run {
        true => Limit::AtOnce(MAX_TRANSACTION_BYTES.min(api.limits.json_upload_bytes as u64)),
        false => Limit::Upload(api.limits.json_upload_bytes as u64),
    };
    let (body, permit) = read_whole(&api, &parts.headers, body, limit).await?;
    // A client that loses its connection repeats the request and must find the response.
    let task = api.detached.spawn({
        let api = api.clone();
        async move {
            let _permit = permit;
            store(api, body, options, idempotency).await
        }
    });
    task.join().await
}

/// Stores contacts once, under the Idempotency-Key.
async fn store(
    api: Api,
    body: Vec<u8>,
    options: ContactOptions,
    idempotency: IdempotencyContext,
) -> Result<Response, Problem> {
    if body.trim_ascii().is_empty() {
        let detail = "the body is empty; expected contacts as CSV or JSON";
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let (body, (guard, fingerprint)) = api
        .run_blocking(move |_| {
            let mut idempotency = idempotency;
            idempotency.fingerprint.update(&body);
            Ok((body, idempotency.finish()))
        })
        .await?;
    let Some(guard) = guard else {
        return import_body(api, body, options).await;
    };
    let key = guard.reserve().await?;
    if let Some(answer) = key.replay(fingerprint, None)? {
        return Ok(answer);
    }
    let result = import_body(api, body, options).await;
    key.complete(Some(fingerprint), result, false).await
}

async fn import_body(
    api: Api,
    body: Vec<u8>,
    options: ContactOptions,
) -> Result<Response, Problem> {
    let report = api
        .run_blocking(move |promoflow| {
            let imported = promoflow.import_contacts(Cursor::new(body), options, &mut |_| ());
            imported.map_err(|error| match error {
                ImportError::File { error, .. } => file_problem(&error),
                ImportError::Store(error) => error.into(),
            })
        })
        .await?;
    if report.inserted + report.updated + report.unchanged == 0 && report.rejected > 0 {
        return Err(rows_rejected(&report, "no row was imported"));
    }
    Ok(Json(Imported::from(&report)).into_response())
}

/// Show a contact.
#[utoipa::path(get, path = "/api/v1/contacts/{contact}", tag = "contacts",
    params(("contact" = String, Path,
        description = "Id, external id, email address, phone number or token of the contact.")),
    responses((status = 200, description = "The contact.", body = Contact)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Contact>, Problem> {
    api.run_blocking(move |promoflow| Ok(Json(find(promoflow, &id)?.into())))
        .await
}

fn find(
    promoflow: &promoflow_installation::Promoflow,
    id: &str,
) -> Result<contact::Contact, Problem> {
    promoflow
        .contact(ContactKey::Any(id.to_owned()))?
        .ok_or_else(|| Problem::not_found("contact", id))
}

/// Unsubscribe a contact from channels.
///
/// Pending deliveries to the contact are cancelled when they are due.
#[utoipa::path(post, path = "/api/v1/contacts/{contact}/unsubscribe", tag = "contacts",
    params(("contact" = String, Path,
        description = "Id, external id, email address, phone number or token of the contact.")),
    request_body = Channels,
    responses((status = 200, description = "The updated contact.", body = Contact)))]
async fn unsubscribe(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
    request: Request,
) -> Result<Json<Contact>, Problem> {
    consent(api, id, request, false).await
}

/// Subscribe a contact to channels.
#[utoipa::path(post, path = "/api/v1/contacts/{contact}/subscribe", tag = "contacts",
    params(("contact" = String, Path,
        description = "Id, external id, email address, phone number or token of the contact.")),
    request_body = Channels,
    responses((status = 200, description = "The updated contact.", body = Contact)))]
async fn subscribe(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
    request: Request,
) -> Result<Json<Contact>, Problem> {
    consent(api, id, request, true).await
}

async fn consent(
    api: Api,
    id: String,
    request: Request,
    given: bool,
) -> Result<Json<Contact>, Problem> {
    let (parts, body) = request.into_parts();
    require_media_type(&parts.headers, &["application/json"])?;
    let Channels { channels } = parse_json(&api.read_body(body).await?)?;
    let channels: Vec<ChannelKind> = match channels {
        Some(names) if names.is_empty() => {
            let detail = "channels: the list is empty; omit it for all channels";
            return Err(Problem::new(Kind::InvalidRequest, detail).field("channels"));
        }
        Some(channels) => channels,
        None => ChannelKind::ALL.to_vec(),
    };
    api.run_blocking(move |promoflow| {
        let known = find(promoflow, &id)?.id;
        let contact = match given {
            true => promoflow.subscribe(&known, &channels)?,
            false => promoflow.unsubscribe(&known, &channels)?,
        };
        let contact = contact.ok_or_else(|| Problem::not_found("contact", &id))?;
        Ok(Json(contact.into()))
    })
    .await
}
