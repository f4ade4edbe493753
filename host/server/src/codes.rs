//! Promo codes: uploads, listings and counts as Yespo has them, and setting codes aside.

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::gate::Caller;
use super::page;
use super::problem::{Kind, Problem};
use super::request::{Params, must_be, object};
use super::upload::{self, Fill};
use super::{Api, code};
use promoflow_model::pool::{Calendar, Filter};
use promoflow_store::{CodeRow, PoolCount, Retired};

/// Where the pool stands.
pub(super) const PATH: &str = "/api/v1/promocodes";
/// Codes that one request sets aside.
const MOST_NAMED: usize = 10_000;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, upload_codes, code::delete_all))
        .routes(routes!(count))
        .routes(routes!(retire))
        .routes(routes!(reinstate))
        .routes(routes!(code::one, code::delete))
}

/// Which codes.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Choice {
    /// Only codes of this type.
    #[serde(rename = "type")]
    code_type: Option<String>,
    /// True: only used or retired codes; false: only unused ones.
    in_use: Option<bool>,
    /// Only codes that are valid for the next so many days, counted from tomorrow.
    #[serde(default, deserialize_with = "super::request::days")]
    #[param(maximum = 36500)]
    active_due_days: Option<u32>,
    /// Only codes of this discount.
    #[serde(default, deserialize_with = "super::request::discount")]
    #[param(maximum = 99)]
    discount: Option<u8>,
    /// Codes of a page, 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The code after which the page begins, as the `Link` of the page before has it.
    after: Option<String>,
}

/// Which codes to count.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Counted {
    /// Only codes of this type.
    #[serde(rename = "type")]
    code_type: Option<String>,
    /// Only codes that are valid for the next so many days, counted from tomorrow.
    #[serde(default, deserialize_with = "super::request::days")]
    #[param(maximum = 36500)]
    active_due_days: Option<u32>,
    /// Only codes of this discount.
    #[serde(default, deserialize_with = "super::request::discount")]
    #[param(maximum = 99)]
    discount: Option<u8>,
}

/// A promo code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Promocode {
    /// The code.
    code: String,
    /// Until when it is valid, in the time zone of the installation; null: for ever.
    #[schema(example = "2026-12-31T23:59")]
    expiration_date: Option<String>,
    /// The discount that it stands for, in percent.
    #[schema(maximum = 99)]
    discount: u8,
    /// Its type.
    r#type: String,
    /// Whether it is used or retired.
    in_use: bool,
    /// Who got it; null: nobody.
    used_by: Option<UsedBy>,
}

/// Who got a code.
#[derive(Serialize, ToSchema)]
struct UsedBy {
    /// The run.
    run: String,
    /// The step of its workflow.
    step: String,
    /// The contact.
    contact: String,
    /// When, RFC 3339.
    at: String,
}

impl Promocode {
    pub(super) fn new(row: CodeRow, calendar: Calendar) -> Promocode {
        Promocode {
            code: row.code,
            expiration_date: calendar.format_expiry(row.expires),
            discount: row.lane.discount,
            r#type: row.lane.code_type,
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

/// List promo codes, in the order of their text.
#[utoipa::path(get, path = "/api/v1/promocodes", tag = "promocodes", params(Choice),
    responses((status = 200, description = "A page of codes.", body = Vec<Promocode>,
        headers(("Link" = String, description = "The next page, while there is one.")))))]
async fn list(State(api): State<Api>, Params(choice): Params<Choice>) -> Result<Response, Problem> {
    let limit = page::limit(choice.limit)?;
    let filter = Filter {
        code_type: choice.code_type.clone(),
        discount: choice.discount,
        in_use: choice.in_use,
        due_days: choice.active_due_days,
    };
    let after = choice.after.clone();
    let (rows, calendar) = api
        .call(move |promoflow| {
            let rows = promoflow.codes_after(&filter, after.as_deref(), limit + 1)?;
            Ok((rows, promoflow.calendar()?))
        })
        .await?;
    let query = [
        ("type", choice.code_type),
        ("inUse", choice.in_use.map(|yes| yes.to_string())),
        (
            "activeDueDays",
            choice.active_due_days.map(|days| days.to_string()),
        ),
        (
            "discount",
            choice.discount.map(|discount| discount.to_string()),
        ),
        page::asked(limit),
    ];
    let key = |row: &CodeRow| row.code.clone();
    Ok(page::page(PATH, &query, limit, rows, key, |row| {
        Promocode::new(row, calendar)
    }))
}

/// How many codes there are.
#[derive(Serialize, ToSchema)]
struct Count {
    /// The available ones, the same as `available`.
    count: u64,
    /// All: the sum of those below.
    total: u64,
    /// Unused, and not expired.
    available: u64,
    /// Used by a run.
    used: u64,
    /// Set aside.
    retired: u64,
    /// Unused, but expired.
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
#[utoipa::path(get, path = "/api/v1/promocodes/count", tag = "promocodes", params(Counted),
    responses((status = 200, description = "How many there are.", body = Count)))]
async fn count(
    State(api): State<Api>,
    Params(choice): Params<Counted>,
) -> Result<Json<Count>, Problem> {
    let filter = Filter {
        code_type: choice.code_type,
        discount: choice.discount,
        in_use: None,
        due_days: choice.active_due_days,
    };
    let counted = api
        .call(move |promoflow| Ok(promoflow.count(&filter)?))
        .await?;
    Ok(Json(counted.into()))
}

/// Promo codes by name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// The codes.
    #[schema(max_items = 10000)]
    promocodes: Vec<String>,
}

/// What became of codes that were to be set aside or brought back.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetiredCodes {
    /// How many changed.
    pub(super) retired: u64,
    /// Codes that the pool does not hold.
    pub(super) unknown: Vec<String>,
    /// Codes that a run has; they stay as they are.
    pub(super) already_used: Vec<String>,
}

impl From<Retired> for RetiredCodes {
    fn from(done: Retired) -> RetiredCodes {
        RetiredCodes {
            retired: done.retired,
            unknown: done.unknown,
            already_used: done.already_used,
        }
    }
}

/// Set unused promo codes aside, so that nobody gets them.
#[utoipa::path(post, path = "/api/v1/promocodes/retire", tag = "promocodes", request_body = Named,
    responses((status = 200, description = "What became of them.", body = RetiredCodes)))]
async fn retire(State(api): State<Api>, request: Request) -> Result<Json<RetiredCodes>, Problem> {
    let codes = named(&api, request).await?;
    let done = api
        .call(move |promoflow| Ok(promoflow.retire(&codes)?))
        .await?;
    Ok(Json(done.into()))
}

/// Bring retired promo codes back.
#[utoipa::path(post, path = "/api/v1/promocodes/reinstate", tag = "promocodes",
    request_body = Named,
    responses((status = 200, description = "What became of them.", body = RetiredCodes)))]
async fn reinstate(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<RetiredCodes>, Problem> {
    let codes = named(&api, request).await?;
    let done = api
        .call(move |promoflow| Ok(promoflow.reinstate(&codes)?))
        .await?;
    Ok(Json(done.into()))
}

async fn named(api: &Api, request: Request) -> Result<Vec<String>, Problem> {
    let (parts, body) = request.into_parts();
    must_be(&parts.headers, &["application/json"])?;
    let Named { promocodes } = object(&api.body(body).await?)?;
    if promocodes.len() > MOST_NAMED {
        let detail = format!("promocodes: at most {MOST_NAMED} at a time");
        return Err(Problem::new(Kind::InvalidRequest, detail).field("promocodes"));
    }
    Ok(promocodes)
}

/// A call of Yespo's shape, whose attributes hold for all of its codes.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what an upload reads")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PromocodesCall {
    /// The codes.
    promocodes: Vec<String>,
    /// `2026-12-31`, `2026-12-31T23:59` or `2026.12.31`.
    #[schema(example = "2026-12-31T23:59")]
    expiration_date: String,
    /// The discount.
    #[schema(maximum = 99)]
    discount: u8,
    /// The type; `General` where it is missing.
    r#type: Option<String>,
    /// True sets the codes aside.
    in_use: Option<bool>,
}

/// A code with attributes of its own.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what an upload reads")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PromocodeRow {
    /// The code.
    #[schema(min_length = 1)]
    code: String,
    /// `2026-12-31`, `2026-12-31T23:59` or `2026.12.31`; never where it is missing.
    #[schema(example = "2026-12-31T23:59")]
    expiration_date: Option<String>,
    /// The discount; 0 where it is missing.
    #[schema(maximum = 99)]
    discount: Option<u8>,
    /// The type; `General` where it is missing.
    r#type: Option<String>,
    /// True sets the code aside.
    in_use: Option<bool>,
}

/// Codes as JSON.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what an upload reads")]
#[serde(untagged)]
enum Promocodes {
    /// A call whose attributes hold for all of its codes.
    Call(PromocodesCall),
    /// Codes with attributes of their own.
    Rows(Vec<PromocodeRow>),
}

/// Upload promo codes.
///
/// JSON is all or nothing and is echoed: a call of Yespo's shape, or an array of objects with
/// `code` and the attributes. Of CSV, as the body or as the file of a form, good rows go in and
/// the answer tells the others; `strict` makes it all or nothing. `Location` is the upload.
#[utoipa::path(post, path = "/api/v1/promocodes", tag = "promocodes",
    params(Fill),
    request_body(content(
        (Promocodes = "application/json"),
        (String = "text/csv"),
        (upload::UploadForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The body as it came (JSON), or the upload (CSV).",
        body = serde_json::Value,
        headers(("Location" = String, description = "The upload.")))))]
async fn upload_codes(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    fill: Fill,
    request: Request,
) -> Result<Response, Problem> {
    upload::take(api, caller, fill, request).await
}
