//! Runs cargo and other commands, and passes on how they end.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A command ended with something else than success; it has said why itself.
#[derive(Debug)]
pub(crate) struct Ended {
    command: String,
    /// Its exit status; that of a command that a signal ended is 1.
    pub(crate) status: u8,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status } = self;
        write!(
            f,
            "`{command}` failed (exit status {status}); its own words stand above"
        )
    }
}

impl std::error::Error for Ended {}

/// Runs a command to its end.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command
        .status()
        .with_context(|| format!("`{shown}` can't be started"))?;
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

/// The cargo that runs this program, in the repository's root.
pub(crate) fn command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` says of xtask holds for no other package.
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

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The workspace's target folder.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let output = command()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cargo can't be started")?;
    ensure!(
        output.status.success(),
        "cargo can't read the workspace: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo's answer is no JSON")?;
    let folder = metadata["target_directory"].as_str();
    Ok(folder.context("cargo names no target folder")?.into())
}
