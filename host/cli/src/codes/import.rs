//! `promoflow codes import`: uploads of codes.

use clap::Args;
use promoflow_engine::import::ImportOptions;
use promoflow_installation::Promoflow;
use promoflow_model::pool::{DateFormat, Format, UploadOptions};

use crate::args::choice;
use crate::context::CliContext;
use crate::error::{CliError, CommandResult};
use crate::input;
use crate::input::Input;
use crate::output::Out;
use crate::upload::{CsvArgs, FORMATS, Upload, format_of};

/// Upload codes from a CSV or JSON file.
///
/// The first line of a CSV file names the columns; headings of many languages and shops are
/// recognised. A list of codes alone needs no header if its first line is clearly a code. An
/// ambiguous file is rejected, with the option that resolves it; docs/uploads.md has the rules.
///
/// Valid rows are imported and invalid ones are reported, each with its line and field; the exit
/// status is then 2. An existing code is updated while it is unused; uploading a file again changes
/// nothing.
#[derive(Args)]
#[command(after_help = "Examples:\n  promoflow codes import codes.csv\n  \
                  promoflow codes import codes.txt --type christmas --discount 15 --expires 2026-12-26\n  \
                  promoflow codes import export.csv --column code=Name --column ignore=Notes\n  \
                  promoflow codes import - --format json --dry-run < codes.json")]
pub(crate) struct Import {
    /// The file; `-` is standard input.
    file: String,
    /// The file's format. Default: by the file's extension, or else by its first character.
    #[arg(long, value_name = "FORMAT", value_parser = choice(FORMATS))]
    format: Option<Format>,
    /// Show what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// All or nothing: one invalid row rejects the whole file.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    csv: CsvArgs,
    /// Format of the dates, such as DD.MM.YYYY or MM/DD/YYYY. Default: every unambiguous format,
    /// such as 2026-12-31, 31.12.2026, 12/31/2026.
    #[arg(long, value_name = "FORMAT")]
    date_format: Option<DateFormat>,
    /// Type of the codes, if the file has no such column.
    #[arg(long = "type", value_name = "TYPE")]
    code_type: Option<String>,
    /// Discount of the codes, 0 to 99, if the file has no such column.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=99))]
    discount: Option<u8>,
    /// Expiry date of the codes, if the file has no such column: 2026-12-31 or 2026-12-31T23:59.
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Import the codes as retired, if the file has no such column: they are not sent.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    in_use: Option<bool>,
}

impl Import {
    pub(super) fn run(&self, context: &CliContext, out: &mut Out) -> CommandResult {
        // Opened before the database, so that a typo in the file's name does not create one.
        let input = input::open(&self.file)?;
        if self.dry_run {
            return self.import(&context.open_for_preview()?.promoflow, input, out);
        }
        self.import(&context.open_or_create()?, input, out)
    }

    fn import(&self, promoflow: &Promoflow, input: Input, out: &mut Out) -> CommandResult {
        let options = self.options(promoflow)?;
        let upload = Upload {
            strict: self.strict,
            dry_run: self.dry_run,
        };
        upload.run(input, out, |reader, progress| {
            promoflow.import(reader, &options, progress)
        })
    }

    fn options(&self, promoflow: &Promoflow) -> Result<ImportOptions, CliError> {
        let expires = match &self.expires {
            Some(text) => {
                let format = self.date_format.as_ref();
                let parsed = promoflow.calendar()?.parse_expiry_as(text, format);
                Some(
                    parsed
                        .map_err(|error| CliError::invalid_input(format!("--expires: {error}")))?,
                )
            }
            None => None,
        };
        Ok(ImportOptions {
            upload: UploadOptions {
                format: format_of(self.format, &self.file),
                csv: self.csv.options(),
                date_format: self.date_format.clone(),
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
}
