//! The pool: uploads, codes, and what became of them.

use serde::Serialize;

use crate::UploadId;
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::Lane;

/// What is known of an upload as it begins.
#[derive(Clone, Debug)]
pub struct UploadHead {
    /// Where it came from: a file's name, or `-`.
    pub source: String,
    /// The id of the API key that uploads; `None`: not by the service.
    pub key: Option<String>,
    /// How much of it goes in at once.
    pub atomicity: Atomicity,
}

/// How much of an upload goes in at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// Each batch by itself.
    Batches,
    /// All or nothing, in one transaction, which holds up other writers until it ends: for few
    /// rows that are there.
    OneTransaction,
    /// All or nothing: judged beside the pool, decided on as a whole, and then brought in slice by
    /// slice. Other writers go on meanwhile.
    Staged,
}

/// What became of an upload that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishedUpload {
    /// Its number; `None`: it changed nothing.
    pub upload: Option<UploadId>,
    /// Codes that are new.
    pub inserted: u64,
    /// Codes of which something changed.
    pub updated: u64,
    /// Rows that changed nothing.
    pub unchanged: u64,
}

/// What became of a row of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// The code is new.
    Inserted,
    /// The code was known and unused, and something of it changed.
    Updated,
    /// Nothing changed: the row says what is stored, or the code is used.
    Unchanged,
    /// The same upload gave the code other attributes on an earlier line.
    Contradicts {
        /// The first field that differs, named as in an upload.
        field: &'static str,
        /// What the earlier line gave.
        earlier: String,
    },
}

/// Where a code stands in its lane. Codes are taken in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When it expires.
    pub expires: Timestamp,
    /// Its number, given in the order of upload.
    pub id: i64,
}

/// A code that nobody has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeCode {
    /// Where it stands in its lane.
    pub position: Position,
    /// The code.
    pub code: String,
}

/// Who got a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsedBy {
    /// The run, as text.
    pub run: String,
    /// The step's id.
    pub step: String,
    /// The contact: the event's key.
    pub contact: String,
    /// When it was claimed, RFC 3339.
    pub at: String,
}

/// A code as listings show it.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeRow {
    /// The code.
    pub code: String,
    /// Its type and discount.
    pub lane: Lane,
    /// When it expires.
    pub expires: Timestamp,
    /// Claimed or retired.
    pub in_use: bool,
    /// Who got it; `None` for unused and retired ones.
    pub used_by: Option<UsedBy>,
}

/// How many codes there are. `total` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolCount {
    /// All that pass.
    pub total: u64,
    /// Free, and not expired.
    pub available: u64,
    /// Claimed.
    pub used: u64,
    /// Set aside.
    pub retired: u64,
    /// Free, but expired.
    pub expired: u64,
}

/// What became of codes that were to be retired or reinstated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// How many changed.
    pub retired: u64,
    /// Codes that the pool does not hold.
    pub unknown: Vec<String>,
    /// Codes that a run has: they stay as they are.
    pub already_used: Vec<String>,
}
