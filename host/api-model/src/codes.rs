//! Promo codes.

use promoflow_model::pool::Calendar;
use promoflow_store::{CodeRow, DeliveryRow, DeliveryState, PoolCount, UsedBy};
use serde::{Deserialize, Serialize};

/// A promo code.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Promocode {
    /// The code.
    pub code: String,
    /// Expiration date in the installation's time zone; null if the code never expires.
    #[cfg_attr(feature = "schema", schema(example = "2026-12-31T23:59"))]
    pub expiration_date: Option<String>,
    /// Discount in percent.
    #[cfg_attr(feature = "schema", schema(maximum = 99))]
    pub discount: u8,
    /// Type of the code.
    pub r#type: String,
    /// True if the code is used or retired.
    pub in_use: bool,
    /// The run and contact that use the code; null if there are none.
    pub used_by: Option<UsedBy>,
}

impl Promocode {
    /// Creates a code; `calendar` is that of the installation.
    pub fn new(row: CodeRow, calendar: Calendar) -> Promocode {
        Promocode {
            code: row.code,
            expiration_date: calendar.format_expiry(row.expires),
            discount: row.code_group.discount,
            r#type: row.code_group.code_type,
            in_use: row.in_use,
            used_by: row.used_by,
        }
    }
}

/// Number of codes by state.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Count {
    /// Same as `available`.
    pub count: u64,
    /// Sum of the four numbers below.
    pub total: u64,
    /// Unused codes that have not expired.
    pub available: u64,
    /// Codes used by a run.
    pub used: u64,
    /// Retired codes.
    pub retired: u64,
    /// Unused codes that have expired.
    pub expired: u64,
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

/// A list of promo codes.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CodeList {
    /// The codes.
    #[cfg_attr(feature = "schema", schema(max_items = 10000))]
    pub promocodes: Vec<String>,
}

/// A Yespo call, whose attributes apply to all of its codes.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromocodesCall {
    /// The codes.
    pub promocodes: Vec<String>,
    /// `2026-12-31`, `2026-12-31T23:59` or `2026.12.31`.
    #[cfg_attr(feature = "schema", schema(example = "2026-12-31T23:59"))]
    pub expiration_date: String,
    /// Discount in percent.
    #[cfg_attr(feature = "schema", schema(maximum = 99))]
    pub discount: u8,
    /// Type (default: `General`).
    pub r#type: Option<String>,
    /// True retires the codes.
    pub in_use: Option<bool>,
}

/// A code with its own attributes.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromocodeRow {
    /// The code.
    #[cfg_attr(feature = "schema", schema(min_length = 1))]
    pub code: String,
    /// `2026-12-31`, `2026-12-31T23:59` or `2026.12.31`; if absent, the code never expires.
    #[cfg_attr(feature = "schema", schema(example = "2026-12-31T23:59"))]
    pub expiration_date: Option<String>,
    /// Discount in percent (default: 0).
    #[cfg_attr(feature = "schema", schema(maximum = 99))]
    pub discount: Option<u8>,
    /// Type (default: `General`).
    pub r#type: Option<String>,
    /// True retires the code.
    pub in_use: Option<bool>,
}

/// Promo codes as JSON.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Promocodes {
    /// A call whose attributes apply to all of its codes.
    Call(PromocodesCall),
    /// Codes with their own attributes.
    Rows(Vec<PromocodeRow>),
}

/// A promo code and the delivery that carries it.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = PromocodeShown))]
pub struct PromocodeWithDelivery {
    /// The code.
    #[serde(flatten)]
    pub code: Promocode,
    /// The last delivery that carries the code; null if there is none.
    pub delivery: Option<CodeDelivery>,
}

/// A delivery that carries a promo code.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CodeDelivery {
    /// Id of the delivery.
    pub id: String,
    /// State of the delivery.
    pub state: DeliveryState,
    /// Channel.
    #[cfg_attr(feature = "schema", schema(example = "email"))]
    pub channel: String,
    /// Address.
    pub address: String,
    /// Id of the message.
    pub message: String,
}

impl From<&DeliveryRow> for CodeDelivery {
    fn from(row: &DeliveryRow) -> CodeDelivery {
        CodeDelivery {
            id: row.id.to_string(),
            state: row.state,
            channel: row.channel.to_string(),
            address: row.address.clone(),
            message: row.message.clone(),
        }
    }
}

impl PromocodeWithDelivery {
    /// Creates a code with the last of these deliveries.
    pub fn new(
        row: CodeRow,
        deliveries: &[DeliveryRow],
        calendar: Calendar,
    ) -> PromocodeWithDelivery {
        PromocodeWithDelivery {
            code: Promocode::new(row, calendar),
            delivery: deliveries.last().map(CodeDelivery::from),
        }
    }
}

/// A form with a file of codes. The other fields come before the file and correspond to the query
/// parameters; empty ones are ignored.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UploadForm {
    /// Type of the codes if the file has no such column.
    #[serde(rename = "type")]
    pub code_type: Option<String>,
    /// Discount of the codes if the file has no such column.
    #[cfg_attr(feature = "schema", schema(maximum = 99))]
    pub discount: Option<u8>,
    /// Expiration date of the codes if the file has no such column.
    pub expiration_date: Option<String>,
    /// True retires the codes if the file has no such column.
    pub in_use: Option<bool>,
    /// Column delimiter: one character or `tab`.
    pub delimiter: Option<String>,
    /// True if the first line is a row, not a header.
    pub no_header: Option<bool>,
    /// Column mapping, such as `code=Coupon Code` or `ignore=Notes`. May be repeated.
    pub column: Option<Vec<String>>,
    /// Date format, such as `DD.MM.YYYY`.
    pub date_format: Option<String>,
    /// All or nothing: if any row is invalid, no row is imported.
    pub strict: Option<bool>,
    /// Dry run: change nothing and report what would happen.
    pub dry_run: Option<bool>,
    /// Name of the upload in the history; defaults to the file's name.
    pub source: Option<String>,
    /// The CSV file; must be the last field.
    #[cfg_attr(feature = "schema", schema(content_media_type = "text/csv"))]
    pub file: String,
}
