//! Shared parts of all uploads: progress, and the report about the rows.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use promoflow_engine::import::{ImportError, ImportReport};
use promoflow_tabular::{CsvOptions, Format, RowError, StatedColumn, UploadError};

use super::args::Choice;
use super::error::{CommandResult, Status, count, print_error, print_warning};
use super::input::Input;
use super::output::Out;

/// Maximum number of invalid rows that are printed one by one; `--json` lists a thousand.
const MAX_PRINTED_ERRORS: usize = 20;

/// The file formats, with their descriptions for `--help`.
pub(super) const FORMATS: [Choice<Format>; 2] = [
    (
        "csv",
        Format::Csv,
        "A table with a header line; a list of codes needs no header",
    ),
    (
        "json",
        Format::Json,
        "An array, objects one after another, or a request body such as `{\"promocodes\": […]}`",
    ),
];

/// Returns the format of a file; `None`: its first character decides.
pub(super) fn format_of(named: Option<Format>, file: &str) -> Option<Format> {
    named.or_else(|| Format::of_path(file.as_ref()))
}

/// Options of a CSV file.
#[derive(Args)]
pub(super) struct CsvArgs {
    /// CSV: the column separator: one character, or `tab`. Default: comma, semicolon or tab, as the
    /// first line shows.
    #[arg(long, value_name = "CHARACTER", value_parser = CsvOptions::parse_delimiter)]
    delimiter: Option<u8>,
    /// CSV: the first line is a row, not a header. Columns then have numbers, as in `--column
    /// code=1`.
    #[arg(long)]
    no_header: bool,
    /// CSV: maps the column with this heading to a field, as in `--column code='Coupon Code'`, or
    /// skips it, as in `--column ignore=Notes`; may be repeated.
    #[arg(long = "column", value_name = "FIELD=HEADING", value_parser = StatedColumn::parse)]
    columns: Vec<StatedColumn>,
}

impl CsvArgs {
    /// Returns the options for the import.
    pub(super) fn options(&self) -> CsvOptions {
        CsvOptions {
            delimiter: self.delimiter,
            no_header: self.no_header,
            columns: self.columns.clone(),
        }
    }
}

/// The options that all uploads share.
pub(super) struct Upload {
    /// All or nothing.
    pub(super) strict: bool,
    /// Changes nothing.
    pub(super) dry_run: bool,
}

impl Upload {
    /// Imports a file and reports the result. `import` gets the file, and a callback for the number
    /// of rows read so far.
    pub(super) fn run(
        &self,
        input: Input,
        out: &mut Out,
        import: impl FnOnce(
            Box<dyn Read + Send>,
            &mut dyn FnMut(u64),
        ) -> Result<ImportReport, ImportError>,
    ) -> CommandResult {
        let bar = progress_bar(input.size);
        // A file's bar counts bytes; a stream's counter counts rows.
        let reader: Box<dyn Read + Send> = match input.size {
            Some(_) => Box::new(bar.wrap_read(input.reader)),
            None => input.reader,
        };
        let imported = import(reader, &mut |rows| {
            bar.set_message(count(rows, "row", "rows"));
        });
        bar.finish_and_clear();
        let (report, refused) = match imported {
            Ok(report) => (report, None),
            Err(ImportError::File { error, report }) => (*report, Some(error)),
            Err(ImportError::Store(error)) => return Err(error.into()),
        };
        self.report(&input.name, report, refused.as_ref(), out)
    }

    fn report(
        &self,
        file: &str,
        mut report: ImportReport,
        refused: Option<&UploadError>,
        out: &mut Out,
    ) -> CommandResult {
        // Errors come from reading and from storing.
        report
            .errors
            .sort_by_key(|error| (error.line, error.column));
        if out.is_json() {
            report.errors.extend(refused.map(|error| RowError {
                line: error.line().unwrap_or_default(),
                field: error.field().to_owned(),
                message: error.to_string(),
                ..RowError::default()
            }));
            out.json(&report)?;
        } else {
            self.print_counts(file, &report, out)?;
            out.flush()?;
            print_row_errors(file, &report);
        }
        for warning in &report.warnings {
            print_warning(format_args!("{file}: {warning}"));
        }
        if self.strict && (report.rejected > 0 || refused.is_some()) {
            print_error(
                "no row was imported: with --strict every row must be valid",
                Some("correct the rows, or omit --strict"),
            );
        }
        match refused {
            Some(error) => {
                print_error(format_args!("{file}: {error}"), None);
                Ok(match error {
                    UploadError::Unreadable { .. }
                    | UploadError::RowBuffer(_)
                    | UploadError::UploadBuffer(_) => Status::Failed,
                    _ => Status::InvalidInput,
                })
            }
            None if report.rejected > 0 => Ok(Status::InvalidInput),
            None => Ok(Status::Success),
        }
    }

    fn print_counts(&self, file: &str, report: &ImportReport, out: &mut Out) -> io::Result<()> {
        let ImportReport {
            inserted,
            updated,
            unchanged,
            rejected,
            ..
        } = report;
        if inserted + updated + unchanged == 0 {
            let rows = count(*rejected, "row", "rows");
            return out.line(format_args!("{file}: nothing imported, {rows} rejected."));
        }
        let verb = match self.dry_run {
            true => "Would import",
            false => "Imported",
        };
        out.line(format_args!(
            "{verb} {file}: {inserted} inserted, {updated} updated, {unchanged} unchanged, \
             {rejected} rejected."
        ))
    }
}

fn print_row_errors(file: &str, report: &ImportReport) {
    for error in report.errors.iter().take(MAX_PRINTED_ERRORS) {
        let column = error.column.map_or(String::new(), |at| format!("{at}:"));
        let field = match error.path.as_deref().unwrap_or(&error.field) {
            "" => String::new(),
            field => format!("{field}: "),
        };
        print_error(
            format_args!("{file}:{}:{column} {field}{}", error.line, error.message),
            None,
        );
    }
    if report.errors.len() > MAX_PRINTED_ERRORS {
        let more = report.errors.len() - MAX_PRINTED_ERRORS;
        print_error(
            format_args!("and {}", count(more as u64, "error more", "errors more")),
            Some("--json lists the first thousand"),
        );
    }
}

/// Creates a bar for a file or a counter for a stream; hidden unless standard error is a terminal.
fn progress_bar(size: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:30} {percent:>3} %  {msg}, {eta} to go",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
