//! Runs cargo and other commands and passes on their exit status.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A command failed; it has printed the reason.
#[derive(Debug)]
pub(crate) struct Ended {
    command: String,
    /// Exit status; 1 if a signal ended the command.
    pub(crate) status: u8,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status } = self;
        write!(
            f,
            "`{command}` failed (exit status {status}); see its output above"
        )
    }
}

impl std::error::Error for Ended {}

/// Runs a command, which must succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Err(Ended {
        command: shown,
        status: code.unwrap_or(1),
    }
    .into())
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or_default().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}

/// Returns a command of the cargo that runs this program, in the repository's root.
pub(crate) fn command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` sets these variables for xtask; they are wrong for other packages.
    for (name, _) in env::vars_os() {
        let given = name.to_string_lossy();
        if given.starts_with("CARGO_PKG_") || given.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(root());
    cargo
}

/// Runs a cargo command.
pub(crate) fn run<A: AsRef<OsStr>, B: AsRef<OsStr>>(
    name: &str,
    first: impl IntoIterator<Item = A>,
    then: impl IntoIterator<Item = B>,
) -> Result<()> {
    succeed(command().arg(name).args(first).args(then))
}

/// Returns the folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Returns cargo's metadata of the workspace, without dependencies.
pub(crate) fn metadata() -> Result<Value> {
    let output = command()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "cargo cannot read the workspace: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("cargo's output is not JSON")
}

/// Returns the workspace's target folder.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str();
    Ok(folder.context("cargo names no target folder")?.into())
}
