//! `promoflow codes`: the pool of promo codes.

mod import;
mod show;

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use clap::{Args, Subcommand};
use promoflow_api_model::Promocode;
use promoflow_installation::Promoflow;
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{ExportRow, ExportWriter, Filter};
use promoflow_store::{CodeRow, RetireResult};

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status, count, print_error};
use super::output::Out;
use super::table::Table;
use import::Import;
use show::show;

/// The pool of promo codes: upload, list, count, retire.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow codes import codes.csv")]
pub(super) enum Codes {
    Import(Import),
    /// List codes, and who got each.
    #[command(
        after_help = "Example, birthday codes that are valid for the next week:\n  \
                      promoflow codes list --type birthday --in-use false --due-days 7"
    )]
    List(CodeSelection),
    /// Write codes as CSV that can be imported again.
    #[command(
        after_help = "Example:\n  promoflow codes export --type birthday > birthday.csv\n  \
                            promoflow codes export --for-spreadsheet > codes.csv"
    )]
    Export {
        #[command(flatten)]
        selection: CodeSelection,
        /// Write a quote (') before each code and type that a spreadsheet would read as a formula:
        /// those that begin with = + - or @. An import removes it again.
        #[arg(long)]
        for_spreadsheet: bool,
    },
    /// Count codes.
    #[command(after_help = "Example:\n  promoflow codes count --type birthday --discount 10")]
    Count(CodeSelection),
    /// Retire unused codes, so that they are not sent.
    #[command(after_help = "Example:\n  promoflow codes retire BDAY-LH2D-7APP BDAY-VHV9-LWZB")]
    Retire(CodesArgs),
    /// Make retired codes available again.
    #[command(after_help = "Example:\n  promoflow codes reinstate BDAY-LH2D-7APP")]
    Reinstate(CodesArgs),
    /// Show a code and who got it: run, contact, message and delivery.
    #[command(after_help = "Example:\n  promoflow codes show BDAY-LH2D-7APP")]
    Show {
        /// The code.
        code: String,
    },
}

/// The codes to select.
#[derive(Args)]
pub(super) struct CodeSelection {
    /// Only codes of this type.
    #[arg(long = "type", value_name = "TYPE")]
    code_type: Option<String>,
    /// Only codes with this discount, 0 to 99.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=99))]
    discount: Option<u8>,
    /// true: only codes that are used or retired; false: only unused ones.
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    in_use: Option<bool>,
    /// Only codes that are valid for the next N days, counted from tomorrow.
    #[arg(long, value_name = "N")]
    due_days: Option<u32>,
}

/// Codes given by name.
#[derive(Args)]
pub(super) struct CodesArgs {
    /// The codes.
    #[arg(required = true, value_name = "CODE")]
    codes: Vec<String>,
}

impl CodeSelection {
    fn filter(&self) -> Filter {
        Filter {
            code_type: self.code_type.clone(),
            discount: self.discount,
            in_use: self.in_use,
            due_days: self.due_days,
        }
    }
}

impl Codes {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            Codes::Import(import) => import.run(context, out),
            Codes::List(selection) => list(&context.open()?, &selection.filter(), out),
            Codes::Export {
                selection,
                for_spreadsheet,
            } => export(&context.open()?, &selection.filter(), for_spreadsheet, out),
            Codes::Count(selection) => show_count(&context.open()?, &selection.filter(), out),
            Codes::Retire(named) => {
                let done = context.open()?.retire(&named.codes)?;
                print_retired(&done, "retired", out)
            }
            Codes::Reinstate(named) => {
                let done = context.open()?.reinstate(&named.codes)?;
                print_retired(&done, "reinstated", out)
            }
            Codes::Show { code } => show(&context.open()?, &code, out),
        }
    }
}

/// Returns the state: `available`, `used`, `retired` or `expired`.
fn state(row: &CodeRow, now: Timestamp) -> &'static str {
    match (&row.used_by, row.in_use) {
        (Some(_), _) => "used",
        (None, true) => "retired",
        (None, false) if row.expires <= now => "expired",
        (None, false) => "available",
    }
}

/// Calls `write` with each code until the reader is gone.
fn for_each_code(
    promoflow: &Promoflow,
    filter: &Filter,
    mut write: impl FnMut(CodeRow) -> io::Result<bool>,
) -> Result<(), CliError> {
    let mut written = Ok(());
    promoflow.codes(filter, |row| match write(row) {
        Ok(true) => ControlFlow::Continue(()),
        Ok(false) => ControlFlow::Break(()),
        Err(error) => {
            written = Err(error);
            ControlFlow::Break(())
        }
    })?;
    Ok(written?)
}

fn list(promoflow: &Promoflow, filter: &Filter, out: &mut Out) -> CommandResult {
    let calendar = promoflow.calendar()?;
    if out.is_json() {
        for_each_code(promoflow, filter, |row| {
            out.json(&Promocode::new(row, calendar))?;
            Ok(!out.is_closed())
        })?;
        return Ok(Status::Success);
    }
    let now = promoflow.now();
    let mut table = Table::new(["CODE", "TYPE", "DISCOUNT", "EXPIRES", "STATE", "CONTACT"]);
    for_each_code(promoflow, filter, |row| {
        let state = state(&row, now).to_owned();
        let expires = calendar.format_expiry(row.expires);
        let cells = [
            row.code,
            row.code_group.code_type,
            row.code_group.discount.to_string(),
            expires.unwrap_or_else(|| "never".to_owned()),
            state,
            row.used_by.map_or(String::new(), |used| used.contact),
        ];
        table.row(out, cells)?;
        Ok(!out.is_closed())
    })?;
    table.finish(out, "No matching codes.")?;
    Ok(Status::Success)
}

fn export(
    promoflow: &Promoflow,
    filter: &Filter,
    for_spreadsheet: bool,
    out: &mut Out,
) -> CommandResult {
    if out.is_json() {
        return list(promoflow, filter, out);
    }
    let gone = out.closed_flag();
    let mut writer = ExportWriter::new(&mut *out, promoflow.calendar()?)?;
    writer = writer.for_spreadsheet(for_spreadsheet);
    for_each_code(promoflow, filter, |row| {
        writer.write(&ExportRow {
            code: &row.code,
            expires: row.expires,
            discount: row.code_group.discount,
            code_type: &row.code_group.code_type,
            in_use: row.in_use,
        })?;
        Ok(!gone.load(Ordering::Relaxed))
    })?;
    writer.finish()?;
    Ok(Status::Success)
}

fn show_count(promoflow: &Promoflow, filter: &Filter, out: &mut Out) -> CommandResult {
    let counted = promoflow.count(filter)?;
    if out.is_json() {
        out.json(&counted)?;
        return Ok(Status::Success);
    }
    for (number, what) in [
        (counted.available, "available"),
        (counted.used, "used"),
        (counted.retired, "retired"),
        (counted.expired, "expired"),
        (counted.total, "total"),
    ] {
        out.line(format_args!("{number:>10} {what}"))?;
    }
    Ok(Status::Success)
}

fn print_retired(done: &RetireResult, verb: &str, out: &mut Out) -> CommandResult {
    if out.is_json() {
        out.json(done)?;
    } else {
        let codes = count(done.retired, "code", "codes");
        out.line(format_args!("{codes} {verb}."))?;
        out.flush()?;
    }
    for code in &done.unknown {
        print_error(format_args!("no code `{code}` in the pool"), None);
    }
    for code in &done.already_used {
        let hint = format!("run `promoflow codes show {code}` to see who got it");
        let message = format!("code `{code}` is used; it was not changed");
        print_error(message, Some(&hint));
    }
    match done.unknown.is_empty() && done.already_used.is_empty() {
        true => Ok(Status::Success),
        false => Ok(Status::InvalidInput),
    }
}
