//! History of uploads.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::pagination::{Page, parse_cursor};
use super::problem::Problem;
use super::request::{PathParams, QueryParams, parse_id};
use promoflow_api_model::Upload;
use promoflow_store::{RetireResult, UploadId, UploadRow};

/// Path of the uploads.
pub(super) const UPLOADS_PATH: &str = "/api/v1/uploads";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(retire))
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
    responses((status = 200, description = "A page of uploads.", body = Vec<Upload>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let page = Page::new(UPLOADS_PATH, params.limit)?;
    let before = parse_cursor(params.after.as_deref())?;
    let limit = page.rows();
    let rows = api
        .run_blocking(move |promoflow| Ok(promoflow.uploads(before, limit)?))
        .await?;
    let key = |row: &UploadRow| row.id.to_string();
    Ok(page.respond(rows, key, |row| {
        let live = api.live(row.id);
        Upload::new(row, None, live)
    }))
}

/// Show an upload with its progress, results and rejected rows.
#[utoipa::path(get, path = "/api/v1/uploads/{upload}", tag = "uploads",
    params(("upload" = String, Path, description = "Id of the upload.")),
    responses((status = 200, description = "The upload.", body = Upload)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Upload>, Problem> {
    let upload: UploadId = parse_id("upload", &id)?;
    let live = api.live(upload);
    api.run_blocking(move |promoflow| {
        let found = promoflow.upload(upload)?;
        let (row, errors) = found.ok_or_else(|| Problem::not_found("upload", &id))?;
        Ok(Json(Upload::new(row, Some(&errors), live)))
    })
    .await
}

/// Retire all unused codes that this upload was the last to set.
#[utoipa::path(post, path = "/api/v1/uploads/{upload}/retire", tag = "uploads",
    params(("upload" = String, Path, description = "Id of the upload.")),
    responses((status = 200, description = "Number of retired codes.", body = RetireResult)))]
async fn retire(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<RetireResult>, Problem> {
    let upload: UploadId = parse_id("upload", &id)?;
    api.run_blocking(move |promoflow| {
        if promoflow.upload(upload)?.is_none() {
            return Err(Problem::not_found("upload", &id));
        }
        Ok(Json(promoflow.retire_upload(upload)?))
    })
    .await
}
