//! `build_…`: processor time of a build from nothing, and of what an edit of one line causes to be
//! compiled again. Measured only on request: the build from nothing takes minutes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::goal::Goal;
use crate::report::{Report, Rounds};

const ROUNDS: usize = 3;
/// Crates that change often, with the file that is edited.
const EDITED: [(&str, &str); 3] = [
    ("promoflow-engine", "host/engine/src/lib.rs"),
    ("promoflow-store-sqlite", "host/store-sqlite/src/lib.rs"),
    ("promoflow-server", "host/server/src/lib.rs"),
];
const BINARY: [&str; 5] = ["build", "--release", "--workspace", "--bin", "promoflow"];

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut copy = Command::new("git");
    copy.args(["clone", "--quiet", "--shared"]).arg(&root);
    succeed(copy.arg(folder.path()))?;

    let nothing = cargo(folder.path(), &BINARY)?;
    report.add_single(
        "build_from_nothing",
        "s CPU",
        None,
        "`cargo build` of the program without a target folder",
        &[nothing],
    );
    for (name, file) in EDITED {
        let tests = ["test", "--release", "--package", name, "--lib"];
        // Features of dependencies may differ from those of the whole workspace.
        cargo(folder.path(), &tests)?;
        let (mut builds, mut tested) = (Rounds::default(), Rounds::default());
        for round in 0..ROUNDS {
            edit(&folder.path().join(file), round)?;
            builds.add(cargo(folder.path(), &BINARY)?, nothing);
            tested.add(cargo(folder.path(), &tests)?, nothing);
        }
        report.add_compared(
            &format!("build_after_edit_{name}"),
            "s CPU",
            Some(Goal::ratio_at_most(0.08)),
            "`cargo build` of the program after one more public function; baseline: from nothing",
            &builds,
        );
        report.add_compared(
            &format!("tests_after_edit_{name}"),
            "s CPU",
            Some(Goal::ratio_at_most(0.05)),
            "`cargo test` of the crate after that, including the run; baseline: from nothing",
            &tested,
        );
    }
    Ok(())
}

/// Adds a function to a source file.
fn edit(file: &Path, round: usize) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let line =
        format!("\n/// Added by a benchmark.\npub fn edited_{round}() -> usize {{ {round} }}\n");
    Ok(fs::write(file, text + &line)?)
}

/// Runs cargo in a copy of the repository, and returns the processor seconds that it used.
fn cargo(root: &Path, args: &[&str]) -> Result<f64> {
    let before = children_seconds()?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(args).current_dir(root);
    succeed(cargo.env("CARGO_TARGET_DIR", root.join("target")))?;
    Ok(children_seconds()? - before)
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {printed}");
    Ok(())
}

/// Returns the processor time of all processes that this one has waited for, and of theirs.
fn children_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}
