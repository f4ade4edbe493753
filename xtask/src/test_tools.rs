//! What tests use that is not ours, in a folder of its own: `target/test-tools`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo;

/// Installs the tools where they are missing or others than are asked for.
pub(crate) fn ensure() -> Result<()> {
    let wanted = cargo::root().join("tests/tools/requirements.txt");
    let folder = cargo::target_dir()?.join("test-tools");
    let installed = folder.join("requirements.txt");
    let text = fs::read_to_string(&wanted).context("tests/tools/requirements.txt")?;
    if fs::read_to_string(&installed).is_ok_and(|there| there == text) {
        return Ok(());
    }
    eprintln!("xtask: installing what tests use (tests/tools/requirements.txt)");
    let mut python = Command::new("python3");
    python.args(["-m", "venv", "--clear"]).arg(&folder);
    cargo::succeed(&mut python).context(
        "tests talk to servers in Python: install it with its module venv (Debian: apt-get install \
         python3-venv)",
    )?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--requirement"])
        .arg(&wanted);
    cargo::succeed(&mut pip).context("the tools could not be installed from PyPI")?;
    Ok(fs::write(&installed, text)?)
}
