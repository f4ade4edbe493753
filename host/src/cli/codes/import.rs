//! `promoflow codes import`: uploads.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use promoflow::Promoflow;
use promoflow::pool::{
    Format, ImportError, ImportOptions, ImportReport, RowError, UploadError, UploadOptions,
};

use crate::cli::failure::{Done, Failure, Status, count, tell_error};
use crate::cli::input::{self, Input};
use crate::cli::output::Out;
use crate::cli::session::Session;

/// Faulty rows that are told one by one; `--json` lists a thousand.
const MOST_TOLD: usize = 20;

/// Upload codes from a CSV or JSON file.
///
/// Good rows go in and bad ones are reported, each with its line and field; the exit status is 2
/// then. A code that is known already is updated while it is unused; uploading a file again
/// changes nothing.
#[derive(Args)]
#[command(after_help = "Examples:\n  promoflow codes import codes.csv\n  \
                  promoflow codes import codes.txt --type christmas --discount 15 --expires 2026-12-26\n  \
                  promoflow codes import - --format json --dry-run < codes.json")]
pub(in crate::cli) struct Import {
    /// The file; `-` is standard input.
    file: String,
    /// The file's format. Without it the file's extension tells, or else its first character.
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatName>,
    /// Say what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// All or nothing: with one bad row, no row goes in.
    #[arg(long)]
    strict: bool,
    /// The type of the codes, where the file has no such column.
    #[arg(long = "type", value_name = "TYPE")]
    code_type: Option<String>,
    /// The discount of the codes, 0 to 99, where the file has no such column.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=99))]
    discount: Option<u8>,
    /// When the codes expire, where the file has no such column: 2026-12-31 or 2026-12-31T23:59.
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Set the codes aside, where the file has no such column: nobody gets them.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    in_use: Option<bool>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// A table with a header line, or codes alone, one a line.
    Csv,
    /// An array, a call `{"promocodes": […], …}`, or objects one after another.
    Json,
}

impl Import {
    pub(super) fn run(&self, session: &Session, out: &mut Out) -> Done {
        // Before the database, which a slip in the file's name must not make.
        let input = input::open(&self.file)?;
        if self.dry_run {
            return self.import(&session.rehearse()?.promoflow, input, out);
        }
        self.import(&session.open_or_make()?, input, out)
    }

    fn import(&self, promoflow: &Promoflow, input: Input, out: &mut Out) -> Done {
        let options = self.options(promoflow)?;
        let bar = progress_bar(input.size);
        // The bytes move the bar of a file, the rows that of a stream.
        let reader: Box<dyn Read + Send> = match input.size {
            Some(_) => Box::new(bar.wrap_read(input.reader)),
            None => input.reader,
        };
        let imported = promoflow.import(reader, &options, &mut |rows| {
            bar.set_message(count(rows, "row", "rows"));
        });
        bar.finish_and_clear();
        let (report, refused) = match imported {
            Ok(report) => (report, None),
            Err(ImportError::File { error, report }) => (*report, Some(error)),
            Err(ImportError::Store(error)) => return Err(error.into()),
        };
        self.tell(&input.name, report, refused.as_ref(), out)
    }

    fn options(&self, promoflow: &Promoflow) -> Result<ImportOptions, Failure> {
        let expires = match &self.expires {
            Some(text) => {
                let parsed = promoflow.calendar()?.parse_expiry(text);
                Some(parsed.map_err(|error| Failure::refused(format!("--expires: {error}")))?)
            }
            None => None,
        };
        let format = match self.format {
            Some(FormatName::Csv) => Some(Format::Csv),
            Some(FormatName::Json) => Some(Format::Json),
            None => Format::of_path(self.file.as_ref()),
        };
        Ok(ImportOptions {
            upload: UploadOptions {
                format,
                code_type: self.code_type.clone(),
                discount: self.discount,
                expires,
                in_use: self.in_use,
            },
            source: self.file.clone(),
            key: None,
            strict: self.strict,
            dry_run: self.dry_run,
        })
    }

    fn tell(
        &self,
        file: &str,
        mut report: ImportReport,
        refused: Option<&UploadError>,
        out: &mut Out,
    ) -> Done {
        // Some are found while reading, others while storing.
        report.errors.sort_by_key(|error| error.line);
        if out.is_json() {
            report.errors.extend(refused.map(|error| RowError {
                line: error.line().unwrap_or_default(),
                field: error.field().to_owned(),
                message: error.to_string(),
            }));
            out.json(&report)?;
        } else {
            self.tell_counts(file, &report, out)?;
            out.flush()?;
            tell_rows(file, &report);
        }
        if self.strict && (report.rejected > 0 || refused.is_some()) {
            tell_error(
                "nothing went in: with --strict every row must be good",
                Some("correct the rows, or leave --strict out"),
            );
        }
        match refused {
            Some(error) => {
                tell_error(format_args!("{file}: {error}"), None);
                Ok(match error {
                    UploadError::Unreadable { .. } | UploadError::Spool(_) => Status::Failed,
                    _ => Status::Refused,
                })
            }
            None if report.rejected > 0 => Ok(Status::Refused),
            None => Ok(Status::Done),
        }
    }

    fn tell_counts(&self, file: &str, report: &ImportReport, out: &mut Out) -> io::Result<()> {
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

fn tell_rows(file: &str, report: &ImportReport) {
    for error in report.errors.iter().take(MOST_TOLD) {
        let field = match error.field.as_str() {
            "" => String::new(),
            field => format!("{field}: "),
        };
        tell_error(
            format_args!("{file}:{}: {field}{}", error.line, error.message),
            None,
        );
    }
    if report.errors.len() > MOST_TOLD {
        let more = report.errors.len() - MOST_TOLD;
        tell_error(
            format_args!("and {}", count(more as u64, "error more", "errors more")),
            Some("--json lists the first thousand"),
        );
    }
}

/// A bar for a file, a counter for a stream; neither where nobody watches.
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
