//! Promo codes: uploads, listings and counts compatible with Yespo; retiring and reinstating.

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::pagination::Page;
use super::problem::{Kind, Problem};
use super::request::{QueryParams, parse_object, require_media_type};
use super::upload::{self, UploadParams};
use super::{Api, code_detail};
use promoflow_api_model::{CodeList, Count, Promocode, Promocodes, UploadForm};
use promoflow_model::pool::Filter;
use promoflow_store::{CodeRow, RetireResult};

/// Path of the promo codes.
pub(super) const PATH: &str = "/api/v1/promocodes";
/// Maximum number of codes in one request to retire or reinstate.
const MAX_CODES: usize = 10_000;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, upload_codes, code_detail::delete_all))
        .routes(routes!(count))
        .routes(routes!(retire))
        .routes(routes!(reinstate))
        .routes(routes!(code_detail::show, code_detail::delete))
}

/// Query parameters of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only codes of this type.
    #[serde(rename = "type")]
    code_type: Option<String>,
    /// True: only used or retired codes; false: only unused codes.
    in_use: Option<bool>,
    /// Only codes that are valid for at least this many more days, counted from tomorrow.
    #[serde(default, deserialize_with = "super::request::deserialize_days")]
    #[param(maximum = 36500)]
    active_due_days: Option<u32>,
    /// Only codes with this discount.
    #[serde(default, deserialize_with = "super::request::deserialize_discount")]
    #[param(maximum = 99)]
    discount: Option<u8>,
    /// Maximum number of codes in a page (default: 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Cursor from the `Link` of the previous page.
    after: Option<String>,
}

/// Query parameters of the count.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CountParams {
    /// Only codes of this type.
    #[serde(rename = "type")]
    code_type: Option<String>,
    /// Only codes that are valid for at least this many more days, counted from tomorrow.
    #[serde(default, deserialize_with = "super::request::deserialize_days")]
    #[param(maximum = 36500)]
    active_due_days: Option<u32>,
    /// Only codes with this discount.
    #[serde(default, deserialize_with = "super::request::deserialize_discount")]
    #[param(maximum = 99)]
    discount: Option<u8>,
}

/// List promo codes, sorted by code.
#[utoipa::path(get, path = "/api/v1/promocodes", tag = "promocodes", params(ListParams),
    responses((status = 200, description = "A page of codes.", body = Vec<Promocode>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let page = Page::new(PATH, params.limit)?
        .filter("type", params.code_type.as_ref())
        .filter("inUse", params.in_use)
        .filter("activeDueDays", params.active_due_days)
        .filter("discount", params.discount);
    let limit = page.rows();
    let filter = Filter {
        code_type: params.code_type,
        discount: params.discount,
        in_use: params.in_use,
        due_days: params.active_due_days,
    };
    let (rows, calendar) = api
        .run_blocking(move |promoflow| {
            let rows = promoflow.codes_after(&filter, params.after.as_deref(), limit)?;
            Ok((rows, promoflow.calendar()?))
        })
        .await?;
    let key = |row: &CodeRow| row.code.clone();
    Ok(page.respond(rows, key, |row| Promocode::new(row, calendar)))
}

/// Count promo codes.
#[utoipa::path(get, path = "/api/v1/promocodes/count", tag = "promocodes", params(CountParams),
    responses((status = 200, description = "The numbers.", body = Count)))]
async fn count(
    State(api): State<Api>,
    QueryParams(params): QueryParams<CountParams>,
) -> Result<Json<Count>, Problem> {
    let filter = Filter {
        code_type: params.code_type,
        discount: params.discount,
        in_use: None,
        due_days: params.active_due_days,
    };
    let counted = api
        .run_blocking(move |promoflow| Ok(promoflow.count(&filter)?))
        .await?;
    Ok(Json(counted.into()))
}

/// Retire unused promo codes.
#[utoipa::path(post, path = "/api/v1/promocodes/retire", tag = "promocodes", request_body = CodeList,
    responses((status = 200, description = "The result.", body = RetireResult)))]
async fn retire(State(api): State<Api>, request: Request) -> Result<Json<RetireResult>, Problem> {
    let codes = read_code_list(&api, request).await?;
    let done = api
        .run_blocking(move |promoflow| Ok(promoflow.retire(&codes)?))
        .await?;
    Ok(Json(done))
}

/// Reinstate retired promo codes.
#[utoipa::path(post, path = "/api/v1/promocodes/reinstate", tag = "promocodes",
    request_body = CodeList,
    responses((status = 200, description = "The result.", body = RetireResult)))]
async fn reinstate(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<RetireResult>, Problem> {
    let codes = read_code_list(&api, request).await?;
    let done = api
        .run_blocking(move |promoflow| Ok(promoflow.reinstate(&codes)?))
        .await?;
    Ok(Json(done))
}

async fn read_code_list(api: &Api, request: Request) -> Result<Vec<String>, Problem> {
    let (parts, body) = request.into_parts();
    require_media_type(&parts.headers, &["application/json"])?;
    let CodeList { promocodes } = parse_object(&api.read_body(body).await?)?;
    if promocodes.len() > MAX_CODES {
        let detail = format!("promocodes: at most {MAX_CODES} codes are allowed in one request");
        return Err(Problem::new(Kind::InvalidRequest, detail).field("promocodes"));
    }
    Ok(promocodes)
}

/// Upload promo codes.
///
/// A JSON upload is all or nothing, and the response repeats the body: a Yespo call, or an array of
/// objects with `code` and its attributes. A CSV upload, as the body or as the file of a form,
/// imports the valid rows and reports the others; `strict` makes it all or nothing. `Location` is
/// the upload.
#[utoipa::path(post, path = "/api/v1/promocodes", tag = "promocodes",
    params(UploadParams),
    request_body(content(
        (Promocodes = "application/json"),
        (String = "text/csv"),
        (UploadForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The request body (JSON), or the upload (CSV).",
        body = serde_json::Value,
        headers(("Location" = String, description = "URL of the upload.")))))]
async fn upload_codes(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    params: UploadParams,
    request: Request,
) -> Result<Response, Problem> {
    upload::handle(api, caller, params, request).await
}
