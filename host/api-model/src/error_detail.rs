//! Errors in files and request bodies.

use promoflow_document::Diagnostic;
use promoflow_tabular::RowError;
use serde::Serialize;

/// An error in a request body.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ErrorDetail {
    /// Name of the field, as in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "keyValue"))]
    pub field: Option<String>,
    /// Path of the field within the body: `promocodes[2]`, `[1].discount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "[1].discount"))]
    pub path: Option<String>,
    /// Line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// Description of the error, and what is expected.
    pub detail: String,
    /// Hint for a fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Diagnostic> for ErrorDetail {
    fn from(one: &Diagnostic) -> ErrorDetail {
        ErrorDetail {
            field: None,
            path: None,
            line: Some(one.line.into()),
            column: Some(one.column.into()),
            detail: one.message.clone(),
            hint: one.hint.clone(),
        }
    }
}

impl From<&RowError> for ErrorDetail {
    fn from(one: &RowError) -> ErrorDetail {
        ErrorDetail {
            field: (!one.field.is_empty()).then(|| one.field.clone()),
            path: one.path.clone(),
            line: Some(one.line),
            column: one.column,
            detail: one.message.clone(),
            ..ErrorDetail::default()
        }
    }
}
