//! The pool: promo codes, the selectors of claims, and uploads.
//!
//! A [`NewCode`] is a row of an upload. A [`Selector`] is what a claim asks for: its [`CodeGroup`] names
//! the code group, and its days exclude codes within that group.

mod calendar;
mod code_group_warning;
mod date_format;
mod export;
pub mod upload;

pub use calendar::{Calendar, ParseDateError};
pub use code_group_warning::{CodeGroupWarning, code_group_warning};
pub use date_format::{DateFormat, ParseDateFormatError};
pub use export::{ExportRow, ExportWriter};
pub use upload::{UploadOptions, UploadReader};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
pub use promoflow_tabular::{CsvOptions, Format, RowError, StatedColumn, UploadError};

/// A row of an upload of codes.
pub type Row = promoflow_tabular::Row<NewCode>;

/// The type of a code whose upload names none.
pub const DEFAULT_TYPE: &str = "General";

/// The maximum discount of a code.
pub const MAX_DISCOUNT: u8 = 99;

/// The maximum length of a code, in characters: longer than any shop prints, short enough for every
/// channel.
pub const MAX_CODE_CHARS: usize = 200;

/// The maximum length of a type, in characters.
pub const MAX_TYPE_CHARS: usize = 100;

/// A code group: the codes of one type and discount. Claims get the code that expires first, and
/// among equals the one that was uploaded first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CodeGroup {
    /// The type: any text, such as `birthday`.
    #[serde(rename = "type")]
    pub code_type: String,
    /// 0 to [`MAX_DISCOUNT`].
    pub discount: u8,
}

/// The code that a claim asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// The code group.
    #[serde(flatten)]
    pub code_group: CodeGroup,
    /// The code must stay valid for at least this many days after today; for 0 it must not have
    /// expired.
    pub days: u32,
}

/// A code as an upload gives it. `None` means that the upload gives no value: a new code gets the
/// default, a known code keeps its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCode {
    /// The line in the upload, counted from 1 (JSON: the line where its value starts).
    pub line: u64,
    /// The code.
    pub code: String,
    /// The type; a new code defaults to [`DEFAULT_TYPE`].
    pub code_type: Option<String>,
    /// The discount, 0 to [`MAX_DISCOUNT`]; a new code defaults to 0.
    pub discount: Option<u8>,
    /// The moment from which the code is no longer valid; [`Timestamp::NEVER`] if the upload says
    /// that it has none. A new code defaults to never.
    pub expires: Option<Timestamp>,
    /// True retires an unused code. False does not reinstate a retired one.
    pub in_use: Option<bool>,
}

/// Filters for a listing of codes. `None` does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only codes of this type.
    pub code_type: Option<String>,
    /// Only codes of this discount.
    pub discount: Option<u8>,
    /// True: only claimed or retired codes; false: only unused ones.
    pub in_use: Option<bool>,
    /// Only codes that stay valid for this many days, counted from tomorrow.
    pub due_days: Option<u32>,
}
