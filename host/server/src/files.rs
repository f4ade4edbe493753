//! What authors write: the shapes that messages and workflows share.

use std::ops::Deref;

use axum::extract::Request;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::Api;
use super::problem::{Fault, Kind, Problem, faults};
use super::request::{media_type, must_be};
use promoflow_document as document;
use promoflow_document::{Diagnostic, Diagnostics, Severity};
use promoflow_installation::AppliedFile;

/// The file's name in diagnostics, and that of one that is sent as JSON.
const NAME: &str = "body";
const JSON_NAME: &str = "body.json";

/// The media types of YAML and JSON.
const MEDIA: [&str; 5] = [
    "application/yaml",
    "application/json",
    "application/x-yaml",
    "text/yaml",
    "text/x-yaml",
];

/// The bytes of a file in YAML or JSON, and the turn of reading them.
pub(super) struct Source {
    bytes: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

impl Deref for Source {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A file in YAML or JSON: its name, of which the ending says whether it must be JSON, and its bytes.
pub(super) async fn read(api: &Api, request: Request) -> Result<(&'static str, Source), Problem> {
    let (parts, body) = request.into_parts();
    must_be(&parts.headers, &MEDIA)?;
    let name = match media_type(&parts.headers).as_deref() {
        Some("application/json") => JSON_NAME,
        _ => NAME,
    };
    let bytes = api.body(body).await?;
    // Not before it is there: nobody waits for a slow client.
    let turn = api.document_turn().await?;
    Ok((name, Source { bytes, _turn: turn }))
}

/// Refuses a file with a fault.
pub(super) fn sound<T>(file: &AppliedFile<T>, what: &str) -> Result<(), Problem> {
    let faults = faults(&file.diagnostics);
    if faults.is_empty() && !file.applied.is_empty() {
        return Ok(());
    }
    let detail = match faults.as_slice() {
        [] => format!("the body holds no {what}"),
        [one] => one.detail.clone(),
        _ => "the body has faults, and nothing of it was stored".to_owned(),
    };
    Err(Problem::new(Kind::RefusedContent, detail).errors(faults))
}

/// The warnings of a file that was taken, of each of its documents in order.
pub(super) fn warnings(name: &str, source: &[u8], diagnostics: &[Diagnostic]) -> Vec<Vec<Fault>> {
    let documents = document::read(source, &mut Diagnostics::new(name));
    let mut warnings: Vec<Vec<Fault>> = vec![Vec::new(); documents.len()];
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

/// What a check of a file found.
#[derive(Serialize, ToSchema)]
pub(super) struct Checked {
    /// Whether it would be taken.
    pub(super) valid: bool,
    /// What is wrong with it, with line and column.
    pub(super) errors: Vec<Fault>,
    /// What is odd.
    pub(super) warnings: Vec<Fault>,
}

impl Checked {
    /// Sorts what was found.
    pub(super) fn new(diagnostics: &[Diagnostic]) -> Checked {
        let warnings = diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Warning);
        let warnings = warnings.map(Fault::from).collect();
        let errors = faults(diagnostics);
        Checked {
            valid: errors.is_empty(),
            errors,
            warnings,
        }
    }
}
