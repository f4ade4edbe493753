//! `promoflow audit`: checks the promises.

use clap::Args;
use promoflow_store::PromiseReport;

use super::context::CliContext;
use super::error::{CommandResult, Status, print_error};
use super::output::Out;
use super::table::Table;

/// Check the promises against the stored rows.
///
/// P1: no code was claimed twice. P2: no committed step was repeated. P5: each event was accepted
/// once and started the right workflows. P6: no upload changed a used code. If a promise is broken,
/// the exit status is 1 and the offending rows are listed.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow audit --db shop.db")]
pub(super) struct Audit {}

impl Audit {
    pub(super) fn run(&self, context: &CliContext, out: &mut Out) -> CommandResult {
        report(&context.open()?.audit()?, out)
    }
}

/// Prints the result of an audit; the status says if all promises hold.
pub(super) fn report(audited: &[PromiseReport], out: &mut Out) -> CommandResult {
    if out.is_json() {
        for one in audited {
            out.json(one)?;
        }
    } else {
        let mut table = Table::new(["PROMISE", "HOLDS", "CHECKED", "MEANING"]);
        for one in audited {
            let holds = if one.holds { "yes" } else { "NO" };
            let cells = [
                one.promise.clone(),
                holds.to_owned(),
                one.checked.to_string(),
                meaning(&one.promise).to_owned(),
            ];
            table.row(out, cells)?;
        }
        table.finish(out, "Nothing to check.")?;
    }
    out.flush()?;
    for one in audited.iter().filter(|one| !one.holds) {
        for violation in &one.violations {
            print_error(format_args!("{} is broken: {violation}", one.promise), None);
        }
    }
    match audited.iter().all(|one| one.holds) {
        true => Ok(Status::Success),
        false => Ok(Status::Failed),
    }
}

fn meaning(promise: &str) -> &'static str {
    match promise {
        "P1" => "a code is claimed at most once",
        "P2" => "a committed step is never repeated",
        "P5" => "an event is accepted once and starts the right workflows",
        "P6" => "no upload changes a used code",
        _ => "",
    }
}
