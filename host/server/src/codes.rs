//! Promo codes: uploads, listings and counts compatible with Yespo; retiring and reinstating.

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::pagination;
use super::problem::{Kind, Problem};
use super::request::{QueryParams, parse_object, require_media_type};
use super::upload::{self, UploadParams};
use super::{Api, code_detail};
use promoflow_model::pool::{Calendar, Filter};
use promoflow_store::{CodeRow, PoolCount, RetireResult};

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

/// A promo code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Promocode {
    /// The code.
    code: String,
    /// Expiration date in the installation's time zone; null if the code never expires.
    #[schema(example = "2026-12-31T23:59")]
    expiration_date: Option<String>,
    /// Discount in percent.
    #[schema(maximum = 99)]
    discount: u8,
    /// Type of the code.
    r#type: String,
    /// True if the code is used or retired.
    in_use: bool,
    /// The run and contact that use the code; null if there are none.
    used_by: Option<UsedBy>,
}

/// The use of a promo code.
#[derive(Serialize, ToSchema)]
struct UsedBy {
    /// Id of the run.
    run: String,
    /// Id of the workflow's step.
    step: String,
    /// Id of the contact.
    contact: String,
    /// Time of the claim, RFC 3339.
    at: String,
}

impl Promocode {
    pub(super) fn new(row: CodeRow, calendar: Calendar) -> Promocode {
        Promocode {
            code: row.code,
            expiration_date: calendar.format_expiry(row.expires),
            discount: row.code_group.discount,
            r#type: row.code_group.code_type,
            in_use: row.in_use,
            used_by: row.used_by.map(|used| UsedBy {
                run: used.run,
                step: used.step,
                contact: used.contact,
                at: used.at,
            }),
        }
    }
}

/// List promo codes, sorted by code.
#[utoipa::path(get, path = "/api/v1/promocodes", tag = "promocodes", params(ListParams),
    responses((status = 200, description = "A page of codes.", body = Vec<Promocode>,
        headers(("Link" = String, description = "The next page, if there is one.")))))]
async fn list(
    State(api): State<Api>,
    QueryParams(params): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let limit = pagination::parse_limit(params.limit)?;
    let filter = Filter {
        code_type: params.code_type.clone(),
        discount: params.discount,
        in_use: params.in_use,
        due_days: params.active_due_days,
    };
    let after = params.after.clone();
    let (rows, calendar) = api
        .run_blocking(move |promoflow| {
            let rows = promoflow.codes_after(&filter, after.as_deref(), limit + 1)?;
            Ok((rows, promoflow.calendar()?))
        })
        .await?;
    let query = [
        ("type", params.code_type),
        ("inUse", params.in_use.map(|yes| yes.to_string())),
        (
            "activeDueDays",
            params.active_due_days.map(|days| days.to_string()),
        ),
        (
            "discount",
            params.discount.map(|discount| discount.to_string()),
        ),
        pagination::limit_param(limit),
    ];
    let key = |row: &CodeRow| row.code.clone();
    Ok(pagination::paginate(
        PATH,
        &query,
        limit,
        rows,
        key,
        |row| Promocode::new(row, calendar),
    ))
}

/// Number of codes by state.
#[derive(Serialize, ToSchema)]
struct Count {
    /// Same as `available`.
    count: u64,
    /// Sum of the four numbers below.
    total: u64,
    /// Unused codes that have not expired.
    available: u64,
    /// Codes used by a run.
    used: u64,
    /// Retired codes.
    retired: u64,
    /// Unused codes that have expired.
    expired: u64,
}

impl From<PoolCount> for Count {
    fn from(count: PoolCount) -> Count {
        Count {
            count: count.available,
            total: count.total,
            available: count.available,
            used: count.used,
            retired: count.retired,
            expired: count.expired,
        }
    }
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

/// A list of promo codes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CodeList {
    /// The codes.
    #[schema(max_items = 10000)]
    promocodes: Vec<String>,
}

/// Result of retiring or reinstating codes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetiredCodes {
    /// Number of codes that changed.
    pub(super) retired: u64,
    /// Codes that are not in the pool.
    pub(super) unknown: Vec<String>,
    /// Codes used by a run; they stay unchanged.
    pub(super) already_used: Vec<String>,
}

impl From<RetireResult> for RetiredCodes {
    fn from(done: RetireResult) -> RetiredCodes {
        RetiredCodes {
            retired: done.retired,
            unknown: done.unknown,
            already_used: done.already_used,
        }
    }
}

/// Retire unused promo codes.
#[utoipa::path(post, path = "/api/v1/promocodes/retire", tag = "promocodes", request_body = CodeList,
    responses((status = 200, description = "The result.", body = RetiredCodes)))]
async fn retire(State(api): State<Api>, request: Request) -> Result<Json<RetiredCodes>, Problem> {
    let codes = read_code_list(&api, request).await?;
    let done = api
        .run_blocking(move |promoflow| Ok(promoflow.retire(&codes)?))
        .await?;
    Ok(Json(done.into()))
}

/// Reinstate retired promo codes.
#[utoipa::path(post, path = "/api/v1/promocodes/reinstate", tag = "promocodes",
    request_body = CodeList,
    responses((status = 200, description = "The result.", body = RetiredCodes)))]
async fn reinstate(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<RetiredCodes>, Problem> {
    let codes = read_code_list(&api, request).await?;
    let done = api
        .run_blocking(move |promoflow| Ok(promoflow.reinstate(&codes)?))
        .await?;
    Ok(Json(done.into()))
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

/// A Yespo call, whose attributes apply to all of its codes.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the format of uploads")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PromocodesCall {
    /// The codes.
    promocodes: Vec<String>,
    /// `2026-12-31`, `2026-12-31T23:59` or `2026.12.31`.
    #[schema(example = "2026-12-31T23:59")]
    expiration_date: String,
    /// Discount in percent.
    #[schema(maximum = 99)]
    discount: u8,
    /// Type (default: `General`).
    r#type: Option<String>,
    /// True retires the codes.
    in_use: Option<bool>,
}

/// A code with its own attributes.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the format of uploads")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PromocodeRow {
    /// The code.
    #[schema(min_length = 1)]
    code: String,
    /// `2026-12-31`, `2026-12-31T23:59` or `2026.12.31`; if absent, the code never expires.
    #[schema(example = "2026-12-31T23:59")]
    expiration_date: Option<String>,
    /// Discount in percent (default: 0).
    #[schema(maximum = 99)]
    discount: Option<u8>,
    /// Type (default: `General`).
    r#type: Option<String>,
    /// True retires the code.
    in_use: Option<bool>,
}

/// Promo codes as JSON.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the format of uploads")]
#[serde(untagged)]
enum Promocodes {
    /// A call whose attributes apply to all of its codes.
    Call(PromocodesCall),
    /// Codes with their own attributes.
    Rows(Vec<PromocodeRow>),
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
        (upload::UploadForm = "multipart/form-data"),
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
