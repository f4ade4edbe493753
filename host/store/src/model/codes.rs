//! The pool: uploads, codes and their states.

use serde::Serialize;

use crate::UploadId;
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;

/// The data of an upload that is known when it begins.
#[derive(Clone, Debug)]
pub struct UploadHead {
    /// The origin: a file's name, or `-`.
    pub source: String,
    /// The id of the API key that uploads; `None` if not uploaded through the service.
    pub key: Option<String>,
    /// How much of it is committed at once.
    pub atomicity: Atomicity,
}

/// How much of an upload is committed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// Each batch by itself.
    Batches,
    /// All or nothing, in one transaction, which blocks other writers until it ends. For a few rows
    /// that are already in memory.
    OneTransaction,
    /// All or nothing: checked apart from the pool, accepted as a whole, then added in slices.
    /// Other writers continue meanwhile.
    Staged,
}

/// The result of an upload that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadSummary {
    /// The upload's number; `None` if it changed nothing.
    pub upload: Option<UploadId>,
    /// New codes.
    pub inserted: u64,
    /// Codes of which something changed.
    pub updated: u64,
    /// Rows that changed nothing.
    pub unchanged: u64,
}

/// The outcome of a row of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// The code is new.
    Inserted,
    /// The code was known and unused, and something of it changed.
    Updated,
    /// Nothing changed: the row is as stored, or the code is used.
    Unchanged,
    /// An earlier line of the same upload gave the code other attributes.
    Conflict {
        /// The first field that differs, named as in an upload.
        field: &'static str,
        /// The value on the earlier line.
        earlier: String,
    },
}

/// The position of a code in its code group. Codes are claimed in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The expiry.
    pub expires: Timestamp,
    /// The code's number, assigned in the order of upload.
    pub id: i64,
}

/// A code that is neither claimed nor retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailableCode {
    /// Its position in its code group.
    pub position: Position,
    /// The code.
    pub code: String,
}

/// Codes that a process has leased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leased {
    /// The codes, in the order of claiming.
    pub codes: Vec<AvailableCode>,
    /// True if the code group has no further code that this process may lease.
    pub end: bool,
    /// True if other processes have leased codes of the code group, which may still come back.
    pub others: bool,
}

/// The use of a promo code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UsedBy {
    /// Id of the run.
    pub run: String,
    /// Id of the workflow's step.
    pub step: String,
    /// Id of the contact: the event key.
    pub contact: String,
    /// Time of the claim, RFC 3339.
    pub at: String,
}

/// A code in listings.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeRow {
    /// The code.
    pub code: String,
    /// Its type and discount.
    pub code_group: CodeGroup,
    /// The expiry.
    pub expires: Timestamp,
    /// Claimed or retired.
    pub in_use: bool,
    /// The claim; `None` for unused and retired codes.
    pub used_by: Option<UsedBy>,
}

/// The number of codes by state. `total` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolCount {
    /// All matching codes.
    pub total: u64,
    /// Unclaimed and not expired.
    pub available: u64,
    /// Claimed.
    pub used: u64,
    /// Retired.
    pub retired: u64,
    /// Unclaimed and expired.
    pub expired: u64,
}

/// Result of retiring or reinstating codes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RetiredCodes))]
#[serde(rename_all = "camelCase")]
pub struct RetireResult {
    /// Number of codes that changed.
    pub retired: u64,
    /// Codes that are not in the pool.
    pub unknown: Vec<String>,
    /// Codes used by a run; they stay unchanged.
    pub already_used: Vec<String>,
}
