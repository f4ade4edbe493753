//! What the service keeps: the history of uploads, and answers to ask for again.

use serde::{Deserialize, Serialize};

use super::*;
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::RowError;

/// How an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UploadState {
    /// On its way.
    Running,
    /// Read to its end.
    Completed,
    /// The file or the connection broke off; what its committed batches took stays.
    Interrupted,
}

/// How an upload ends.
#[derive(Clone, Debug)]
pub struct UploadEnd {
    /// When.
    pub at: Timestamp,
    /// Whether it was read to its end.
    pub whole: bool,
    /// Rows that were refused.
    pub rejected: u64,
    /// Why, for the first of them.
    pub rejections: Vec<RowError>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

impl UploadEnd {
    /// Read to its end, with so many rows refused.
    pub fn whole(rejected: u64, at: Timestamp) -> UploadEnd {
        UploadEnd {
            at,
            whole: true,
            rejected,
            rejections: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// An upload as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    /// Its number.
    pub id: UploadId,
    /// Where it came from: a file's name, or `-`.
    pub source: String,
    /// The id of the API key that uploaded; `None`: not by the service.
    pub key: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How it stands.
    pub state: UploadState,
    /// Codes that were new.
    pub inserted: u64,
    /// Unused codes of which something changed.
    pub updated: u64,
    /// Codes that stayed as they were.
    pub unchanged: u64,
    /// Rows that were refused.
    pub rejected: u64,
    /// What its author should know; not in listings.
    pub warnings: Vec<String>,
}

/// What was answered under an Idempotency-Key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}
