//! Audits the databases that measurements leave behind: a rate counts only if the promises hold.

use std::path::Path;

use anyhow::{Result, ensure};
use promoflow::Promoflow;

use crate::fixture;
use crate::goal::Goal;
use crate::report::Report;

/// Audits the databases of a group and reports the number of violating rows, which must be 0.
pub(crate) fn databases(report: &mut Report, name: &str, files: &[&Path]) -> Result<()> {
    let mut found = (0, 0);
    for file in files {
        let one = audit(&fixture::builder(file).open()?)?;
        found = (found.0 + one.0, found.1 + one.1);
    }
    add_violations(report, name, found);
    Ok(())
}

/// Audits an open installation in the same way.
pub(crate) fn installation(
    report: &mut Report,
    name: &str,
    installation: &Promoflow,
) -> Result<()> {
    let found = audit(installation)?;
    add_violations(report, name, found);
    Ok(())
}

/// Returns the number of rows checked and the number of rows that break a promise.
fn audit(installation: &Promoflow) -> Result<(u64, u64)> {
    let (mut checked, mut broken) = (0, 0);
    for promise in installation.audit()? {
        checked += promise.checked;
        let violations = promise.violations.len() as u64;
        broken += violations.max(u64::from(!promise.holds));
        for violation in promise.violations {
            eprintln!("{} is broken: {violation}", promise.promise);
        }
    }
    ensure!(checked > 0, "the audit had nothing to check");
    Ok((checked, broken))
}

fn add_violations(report: &mut Report, name: &str, (checked, broken): (u64, u64)) {
    report.add_single(
        &format!("audit_{name}"),
        "rows",
        Some(Goal::value_at_most(0.0)),
        &format!("rows that break P1, P2, P5 or P6, of {checked} checked"),
        &[broken as f64],
    );
}
