//! Message and workflow files: reading them, and reporting the result.

use clap::Args;
use promoflow_document::Severity;
use promoflow_installation::AppliedFile;
use promoflow_store::Applied;
use serde_json::Value;

use super::error::{CliError, CommandResult, Status, count, print_diagnostics, print_error};
use super::input;
use super::output::Out;

/// Message or workflow files.
#[derive(Args)]
pub(super) struct Files {
    /// YAML or JSON files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

impl Files {
    /// Reads all files, with their names, before anything is changed.
    pub(super) fn read(&self, max_bytes: usize) -> Result<Vec<(String, Vec<u8>)>, CliError> {
        self.files
            .iter()
            .map(|name| {
                Ok((
                    input::display_name(name).to_owned(),
                    input::read(name, max_bytes)?,
                ))
            })
            .collect()
    }
}

/// Reports the result of a file: its diagnostics, or each stored item. With `--json`, the
/// diagnostics of a rejected file are also on standard output, where programs look for the result.
pub(super) fn applied_file<T>(
    file: &str,
    applied: &AppliedFile<T>,
    (one, many): (&str, &str),
    out: &mut Out,
    mut show: impl FnMut(&mut Out, &T, Applied) -> std::io::Result<()>,
) -> Result<Status, CliError> {
    print_diagnostics(&applied.diagnostics);
    let errors = applied.diagnostics.iter();
    let errors = errors.filter(|d| d.severity == Severity::Error).count();
    if errors > 0 {
        if out.is_json() {
            for diagnostic in &applied.diagnostics {
                out.json(diagnostic)?;
            }
        }
        let faults = count(errors as u64, "error", "errors");
        print_error(format_args!("{file}: {faults}; no {one} was stored"), None);
        return Ok(Status::InvalidInput);
    }
    for (item, done) in &applied.applied {
        show(out, item, *done)?;
    }
    if applied.applied.is_empty() {
        print_error(format_args!("{file}: contains no {many}"), None);
        return Ok(Status::InvalidInput);
    }
    Ok(Status::Success)
}

/// Prints a schema: as written, or on one line for `--json`.
pub(super) fn schema(schema: &str, out: &mut Out) -> CommandResult {
    if out.is_json() {
        let schema: Value = serde_json::from_str(schema)
            .map_err(|error| CliError::failed(format_args!("the schema: {error}")))?;
        out.json(&schema)?;
    } else {
        out.line(format_args!("{}", schema.trim_end()))?;
    }
    Ok(Status::Success)
}
