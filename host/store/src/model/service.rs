//! The history of uploads, and responses stored under Idempotency-Keys.

use serde::{Deserialize, Serialize};

use super::*;
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::RowError;

/// State of an upload.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum UploadState {
    /// In progress.
    Running,
    /// Read to its end.
    Completed,
    /// The file or the connection broke off; the committed batches stay.
    Interrupted,
}

/// The end of an upload.
#[derive(Clone, Debug)]
pub struct UploadEnd {
    /// The time.
    pub at: Timestamp,
    /// True if it was read to its end.
    pub is_complete: bool,
    /// The number of rejected rows.
    pub rejected: u64,
    /// The errors of the first rejected rows.
    pub rejections: Vec<RowError>,
    /// Warnings for the uploader.
    pub warnings: Vec<String>,
}

impl UploadEnd {
    /// Creates the end of an upload that was read completely, with this number of rejected rows.
    pub fn completed(rejected: u64, at: Timestamp) -> UploadEnd {
        UploadEnd {
            at,
            is_complete: true,
            rejected,
            rejections: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// An upload in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    /// Its number.
    pub id: UploadId,
    /// The origin: a file's name, or `-`.
    pub source: String,
    /// The id of the API key that uploaded it; `None` if not uploaded through the service.
    pub key: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// The state.
    pub state: UploadState,
    /// New codes.
    pub inserted: u64,
    /// Unused codes of which something changed.
    pub updated: u64,
    /// Codes that stayed unchanged.
    pub unchanged: u64,
    /// Rejected rows.
    pub rejected: u64,
    /// Warnings for the uploader; empty in listings.
    pub warnings: Vec<String>,
}

/// The response to a request with an Idempotency-Key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
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

/// The reservation of an Idempotency-Key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The key is reserved for this process, which must store a response or give the key up.
    Reserved,
    /// Another process has reserved it and still runs.
    InProgress,
    /// This response is stored under it.
    Stored(StoredResponse),
}
