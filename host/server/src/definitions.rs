//! Request bodies and responses shared by messages and workflows.

use std::ops::Deref;

use axum::extract::Request;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::problem::{Kind, Problem, error_details};
use super::request::{media_type, require_media_type};
use promoflow_api_model::{CheckResult, ErrorDetail};
use promoflow_document as document;
use promoflow_document::{Diagnostic, Diagnostics, Severity};
use promoflow_installation::AppliedFile;

/// Names of the file in diagnostics, for YAML and for JSON.
const YAML_NAME: &str = "body";
const JSON_NAME: &str = "body.json";

/// Accepted media types for YAML and JSON.
const MEDIA_TYPES: [&str; 5] = [
    "application/yaml",
    "application/json",
    "application/x-yaml",
    "text/yaml",
    "text/x-yaml",
];

/// The bytes of a YAML or JSON file, with the permit to parse it.
pub(super) struct DefinitionSource {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for DefinitionSource {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a YAML or JSON file. Returns its name, whose extension determines the format, and its
/// bytes.
pub(super) async fn read_definition(
    api: &Api,
    request: Request,
) -> Result<(&'static str, DefinitionSource), Problem> {
    let (parts, body) = request.into_parts();
    require_media_type(&parts.headers, &MEDIA_TYPES)?;
    let name = match media_type(&parts.headers).as_deref() {
        Some("application/json") => JSON_NAME,
        _ => YAML_NAME,
    };
    let bytes = api.read_body(body).await?;
    // Acquired after reading the body, so that slow clients hold no permit.
    let permit = api.acquire_document_permit().await?;
    Ok((
        name,
        DefinitionSource {
            bytes,
            _permit: permit,
        },
    ))
}

/// Rejects a file with errors.
pub(super) fn reject_errors<T>(file: &AppliedFile<T>, what: &str) -> Result<(), Problem> {
    let errors = error_details(&file.diagnostics);
    if errors.is_empty() && !file.applied.is_empty() {
        return Ok(());
    }
    let detail = match errors.as_slice() {
        [] => format!("the body contains no {what}"),
        [one] => one.detail.clone(),
        _ => "the body has errors; nothing was stored".to_owned(),
    };
    Err(Problem::new(Kind::InvalidContent, detail).errors(errors))
}

/// Returns the warnings of a stored file for each of its documents.
pub(super) fn warnings(
    name: &str,
    source: &[u8],
    diagnostics: &[Diagnostic],
) -> Vec<Vec<ErrorDetail>> {
    let documents = document::read(source, &mut Diagnostics::new(name));
    let mut warnings: Vec<Vec<ErrorDetail>> = vec![Vec::new(); documents.len()];
    for one in diagnostics {
        let begun =
            |node: &document::Node| (node.at.line, node.at.column) <= (one.line, one.column);
        let number = documents.iter().rposition(begun).unwrap_or_default();
        if let Some(of_document) = warnings.get_mut(number) {
            of_document.push(one.into());
        }
    }
    warnings
}

/// Separates errors and warnings.
pub(super) fn check_result(diagnostics: &[Diagnostic]) -> CheckResult {
    let warnings = diagnostics
        .iter()
        .filter(|one| one.severity == Severity::Warning);
    let warnings = warnings.map(ErrorDetail::from).collect();
    let errors = error_details(diagnostics);
    CheckResult {
        valid: errors.is_empty(),
        errors,
        warnings,
    }
}
