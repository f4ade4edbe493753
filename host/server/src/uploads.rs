//! History of uploads.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::codes::RetiredCodes;
use super::pagination;
use super::problem::{ErrorDetail, Problem};
use super::request::{PathParams, QueryParams, parse_id};
use promoflow_model::pool::RowError;
use promoflow_store::{UploadId, UploadRow, UploadState};

/// Path of the uploads.
pub(super) const UPLOADS_PATH: &str = "/api/v1/uploads";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(retire))
}

/// An upload.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
#[serde(rename_all = "camelCase")]
pub(super) struct UploadJson {
    /// Id of the upload.
    upload: String,
    /// `running`, `completed`, or `interrupted`: the file or the connection ended early; committed
    /// batches remain imported.
    state: UploadStateName,
    /// Name of the upload, such as a file name.
    source: String,
    /// Id of the API key; null for the command line.
    key: Option<String>,
    /// Start time, RFC 3339.
    started_at: String,
    /// End time, RFC 3339.
    finished_at: Option<String>,
    /// Number of rows processed so far.
    rows: u64,
    /// Number of new codes.
    inserted: u64,
    /// Number of unused codes that were changed.
    updated: u64,
    /// Number of codes that were not changed.
    unchanged: u64,
    /// Number of rejected rows.
    rejected: u64,
    /// Errors of the first 1,000 rejected rows; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<ErrorDetail>>,
    /// Warnings that reject no row; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<String>>,
}

/// State of an upload.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum UploadStateName {
    Running,
    Completed,
    Interrupted,
}

impl UploadJson {
    /// Builds the JSON. `live`: rows processed by a running upload, if it runs in this process.
    pub(super) fn new(
        row: UploadRow,
        errors: Option<&[RowError]>,
        live: Option<u64>,
    ) -> UploadJson {
        let stored = row.inserted + row.updated + row.unchanged + row.rejected;
        UploadJson {
            upload: row.id.to_string(),
            state: match row.state {
                UploadState::Running => UploadStateName::Running,
                UploadState::Completed => UploadStateName::Completed,
                UploadState::Interrupted => UploadStateName::Interrupted,
            },
            source: row.source,
            key: row.key,
            started_at: row.started.to_string(),
            finished_at: row.finished.map(|at| at.to_string()),
            rows: live.map_or(stored, |live| live.max(stored)),
            inserted: row.inserted,
            updated: row.updated,
            unchanged: row.unchanged,
            rejected: row.rejected,
            warnings: errors.is_some().then_some(row.warnings),
            errors: errors.map(|errors| errors.iter().map(ErrorDetail::from).collect()),
        }
    }
}

impl Api {
    fn live(&self, upload: UploadId) -> Option<u64> {
        let all = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&upload).map(|rows| rows.load(Ordering::Relaxed))
    }
}

/// Query parameters of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Maximum number of uploads in a page (default: 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from the `Link` of the previous page.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// List uploads, newest first.
#[utoipa::path(get, path = "/api/v1/uploads", tag = "uploads", params(ListParams),
    responses((status = 200, description = "A page of uploads.", body = Vec<UploadJson>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let limit = pagination::parse_limit(params.limit)?;
    let before = pagination::parse_cursor(params.after.as_deref())?;
    let rows = api
        .run_blocking(move |promoflow| Ok(promoflow.uploads(before, limit + 1)?))
        .await?;
    let key = |row: &UploadRow| row.id.to_string();
    Ok(pagination::paginate(
        UPLOADS_PATH,
        &[pagination::limit_param(limit)],
        limit,
        rows,
        key,
        |row| {
            let live = api.live(row.id);
            UploadJson::new(row, None, live)
        },
    ))
}

/// Show an upload with its progress, results and rejected rows.
#[utoipa::path(get, path = "/api/v1/uploads/{upload}", tag = "uploads",
    params(("upload" = String, Path, description = "Id of the upload.")),
    responses((status = 200, description = "The upload.", body = UploadJson)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<UploadJson>, Problem> {
    let upload: UploadId = parse_id("upload", &id)?;
    let live = api.live(upload);
    api.run_blocking(move |promoflow| {
        let found = promoflow.upload(upload)?;
        let (row, errors) = found.ok_or_else(|| Problem::not_found("upload", &id))?;
        Ok(Json(UploadJson::new(row, Some(&errors), live)))
    })
    .await
}

/// Retire all unused codes that this upload was the last to set.
#[utoipa::path(post, path = "/api/v1/uploads/{upload}/retire", tag = "uploads",
    params(("upload" = String, Path, description = "Id of the upload.")),
    responses((status = 200, description = "Number of retired codes.", body = RetiredCodes)))]
async fn retire(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<RetiredCodes>, Problem> {
    let upload: UploadId = parse_id("upload", &id)?;
    api.run_blocking(move |promoflow| {
        if promoflow.upload(upload)?.is_none() {
            return Err(Problem::not_found("upload", &id));
        }
        Ok(Json(promoflow.retire_upload(upload)?.into()))
    })
    .await
}
