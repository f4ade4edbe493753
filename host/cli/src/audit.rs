//! `promoflow audit`: do the promises hold?

use clap::Args;
use promoflow_store::Audited;

use super::failure::{Done, Status, tell_error};
use super::output::Out;
use super::session::Session;
use super::table::Table;

/// Re-derive the promises from the stored rows.
///
/// P1: no code was claimed twice. P2: no committed step was done again. P5: an event was accepted
/// once and started what it had to. P6: no upload touched a used code. The exit status is 1, and
/// the offending rows are listed, where one of them is broken.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow audit --db shop.db")]
pub(super) struct Audit {}

impl Audit {
    pub(super) fn run(&self, session: &Session, out: &mut Out) -> Done {
        report(&session.open()?.audit()?, out)
    }
}

/// Shows what an audit found; the status tells whether all holds.
pub(super) fn report(audited: &[Audited], out: &mut Out) -> Done {
    if out.is_json() {
        for one in audited {
            out.json(one)?;
        }
    } else {
        let mut table = Table::new(["PROMISE", "HOLDS", "CHECKED", "WHAT IT SAYS"]);
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
        table.finish(out, "There was nothing to check.")?;
    }
    out.flush()?;
    for one in audited.iter().filter(|one| !one.holds) {
        for violation in &one.violations {
            tell_error(format_args!("{} is broken: {violation}", one.promise), None);
        }
    }
    match audited.iter().all(|one| one.holds) {
        true => Ok(Status::Done),
        false => Ok(Status::Failed),
    }
}

fn meaning(promise: &str) -> &'static str {
    match promise {
        "P1" => "a code is claimed at most once",
        "P2" => "a committed step is never done again",
        "P5" => "an event is accepted once and starts what it should",
        "P6" => "no upload touches a used code",
        _ => "",
    }
}
