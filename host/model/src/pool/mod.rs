//! The pool: promo codes, what they are asked for by, and how they are uploaded.
//!
//! A [`NewCode`] is a row of an upload. A [`Selector`] is what a claim asks for; its
//! [`Lane`] names the queue of codes that it takes from, and its days skip within that queue.

mod calendar;
mod date_format;
mod export;
mod lane_doubt;
pub mod upload;

pub use calendar::{Calendar, ParseDateError};
pub use date_format::{DateFormat, ParseDateFormatError};
pub use export::{ExportRow, ExportWriter};
pub use lane_doubt::{LaneDoubt, lane_doubt};
pub use upload::{UploadOptions, UploadReader};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
pub use promoflow_tabular::{CsvOptions, Format, RowError, StatedColumn, UploadError};

/// A row of an upload of codes.
pub type Row = promoflow_tabular::Row<NewCode>;

/// The type of a code whose upload names none.
pub const DEFAULT_TYPE: &str = "General";

/// The greatest discount that a code may have.
pub const MAX_DISCOUNT: u8 = 99;

/// The longest code, in characters. Longer than any shop prints, short enough for every channel.
pub const MAX_CODE_CHARS: usize = 200;

/// The longest type, in characters.
pub const MAX_TYPE_CHARS: usize = 100;

/// The queue that a code stands in: its type and its discount. Within it the code that
/// expires first goes first, and among equals the one that was uploaded first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The type: any text, such as `birthday`.
    #[serde(rename = "type")]
    pub code_type: String,
    /// 0 to [`MAX_DISCOUNT`].
    pub discount: u8,
}

/// What a claim asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// Type and discount of the code.
    #[serde(flatten)]
    pub lane: Lane,
    /// The code stays valid for at least that many days after today; 0: it has not expired.
    pub days: u32,
}

/// A code as an upload states it. What is `None` was not stated: a new code gets the default,
/// a code that is known already keeps what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCode {
    /// The line of the upload that it stands on, counted from 1 (JSON: the line of its value).
    pub line: u64,
    /// The code.
    pub code: String,
    /// Type; [`DEFAULT_TYPE`] for a new code where not stated.
    pub code_type: Option<String>,
    /// 0 to [`MAX_DISCOUNT`]; 0 for a new code where not stated.
    pub discount: Option<u8>,
    /// The moment from which it is no longer valid, [`Timestamp::NEVER`] where the upload says
    /// that it has none; never for a new code where not stated.
    pub expires: Option<Timestamp>,
    /// True sets an unused code aside (retires it). False brings nothing back.
    pub in_use: Option<bool>,
}

/// Which codes a listing holds. `None` does not narrow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this type.
    pub code_type: Option<String>,
    /// Only of this discount.
    pub discount: Option<u8>,
    /// True: only claimed or retired ones; false: only unused ones.
    pub in_use: Option<bool>,
    /// Only those valid for the next so many days, counted from tomorrow.
    pub due_days: Option<u32>,
}
