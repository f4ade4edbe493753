//! Uploads, and the results of imports.

use promoflow_engine::import::ImportReport;
use promoflow_store::{UploadRow, UploadState};
use promoflow_tabular::RowError;
use serde::Serialize;

use crate::ErrorDetail;

/// An upload.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Id of the upload.
    pub upload: String,
    /// `running`, `completed`, or `interrupted`: the file or the connection ended early; committed
    /// batches remain imported.
    pub state: UploadState,
    /// Name of the upload, such as a file name.
    pub source: String,
    /// Id of the API key; null for the command line.
    pub key: Option<String>,
    /// Start time, RFC 3339.
    pub started_at: String,
    /// End time, RFC 3339.
    pub finished_at: Option<String>,
    /// Number of rows processed so far.
    pub rows: u64,
    /// Number of new codes.
    pub inserted: u64,
    /// Number of unused codes that were changed.
    pub updated: u64,
    /// Number of codes that were not changed.
    pub unchanged: u64,
    /// Number of rejected rows.
    pub rejected: u64,
    /// Errors of the first 1,000 rejected rows; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<ErrorDetail>>,
    /// Warnings that reject no row; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
}

impl Upload {
    /// Creates an upload. `live`: rows processed by a running upload, if it runs in this process.
    pub fn new(row: UploadRow, errors: Option<&[RowError]>, live: Option<u64>) -> Upload {
        let stored = row.inserted + row.updated + row.unchanged + row.rejected;
        Upload {
            upload: row.id.to_string(),
            state: row.state,
            source: row.source,
            key: row.key,
            started_at: row.started.to_string(),
            finished_at: row.finished.map(|at| at.to_string()),
            rows: live.map_or(stored, |live| live.max(stored)),
            inserted: row.inserted,
            updated: row.updated,
            unchanged: row.unchanged,
            rejected: row.rejected,
            warnings: errors.is_some().then_some(row.warnings),
            errors: errors.map(|errors| errors.iter().map(ErrorDetail::from).collect()),
        }
    }
}

/// Result of an import or its dry run.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Imported {
    /// Number of new contacts.
    pub inserted: u64,
    /// Number of changed contacts.
    pub updated: u64,
    /// Number of unchanged contacts.
    pub unchanged: u64,
    /// Number of rejected rows.
    pub rejected: u64,
    /// Errors of the first 1,000 rejected rows.
    pub errors: Vec<ErrorDetail>,
    /// Warnings that reject no row.
    pub warnings: Vec<String>,
}

impl From<&ImportReport> for Imported {
    fn from(report: &ImportReport) -> Imported {
        Imported {
            inserted: report.inserted,
            updated: report.updated,
            unchanged: report.unchanged,
            rejected: report.rejected,
            errors: report.errors.iter().map(ErrorDetail::from).collect(),
            warnings: report.warnings.clone(),
        }
    }
}
