//! Third-party tools of the tests, installed in `target/test-tools`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo;

/// Installs the tools if they are missing or have other versions.
pub(crate) fn ensure() -> Result<()> {
    let wanted = cargo::root().join("tests/tools/requirements.txt");
    let folder = cargo::target_dir()?.join("test-tools");
    let installed = folder.join("requirements.txt");
    let text = fs::read_to_string(&wanted).context("tests/tools/requirements.txt")?;
    if fs::read_to_string(&installed).is_ok_and(|there| there == text) {
        return Ok(());
    }
    eprintln!("xtask: installing the test tools (tests/tools/requirements.txt)");
    let mut python = Command::new("python3");
    python.args(["-m", "venv", "--clear"]).arg(&folder);
    cargo::succeed(&mut python).context(
        "cannot create a Python environment for the test servers; install Python with its module \
         venv (Debian: apt-get install python3-venv)",
    )?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--requirement"])
        .arg(&wanted);
    cargo::succeed(&mut pip).context("cannot install the test tools from PyPI")?;
    Ok(fs::write(&installed, text)?)
}

/// Unpacks Debian's package of Postfix in `target/test-tools/postfix` if it is missing, for its
/// programs `smtp-sink` and `smtp-source`. Nothing is installed and no service starts.
pub(crate) fn ensure_postfix() -> Result<()> {
    let tools = cargo::target_dir()?.join("test-tools");
    let folder = tools.join("postfix");
    if folder.join("usr/sbin/smtp-sink").exists() {
        return Ok(());
    }
    eprintln!("xtask: unpacking Debian's package postfix for the mail benchmark");
    let download = tools.join("postfix-package");
    fs::create_dir_all(&download)?;
    let mut apt = Command::new("apt-get");
    apt.args(["--quiet", "download", "postfix"]);
    cargo::succeed(apt.current_dir(&download))
        .context("cannot download the package postfix; on another system measure other groups")?;
    let package = fs::read_dir(&download)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package")?;
    let mut unpack = Command::new("dpkg");
    unpack.arg("--extract").args([&package, &folder]);
    cargo::succeed(&mut unpack).context("cannot unpack the package postfix")
}
