//! Third-party tools of the tests, installed in `target/test-tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use promoflow_test_postgres::Programs;

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
    unpack(&download, &folder)
}

/// Unpacks Debian's package `libfaketime` in `target/test-tools/libfaketime` if it is missing: tests
/// give hosts wrong clocks with it. Nothing is installed.
pub(crate) fn ensure_faketime() -> Result<()> {
    let tools = cargo::target_dir()?.join("test-tools");
    let folder = tools.join("libfaketime");
    if cfg!(not(target_os = "linux")) || folder.exists() {
        return Ok(());
    }
    eprintln!("xtask: unpacking Debian's package libfaketime for tests");
    let download = tools.join("libfaketime-package");
    fs::create_dir_all(&download)?;
    let mut apt = Command::new("apt-get");
    apt.args(["--quiet", "download", "libfaketime"]);
    cargo::succeed(apt.current_dir(&download)).context(
        "cannot download the package libfaketime; run apt-get update first, or install it",
    )?;
    unpack(&download, &folder)
}

/// Unpacks Debian's packages of PostgreSQL and of the libraries that it needs in
/// `target/test-tools/postgresql` if it is not installed. Nothing is installed and no server starts.
pub(crate) fn ensure_postgresql() -> Result<()> {
    if Programs::find().is_ok() {
        return Ok(());
    }
    eprintln!("xtask: unpacking Debian's package postgresql for tests");
    let tools = cargo::target_dir()?.join("test-tools");
    let download = tools.join("postgresql-packages");
    fs::create_dir_all(download.join("partial"))?;
    let mut apt = Command::new("apt-get");
    apt.args(["--quiet", "--yes", "--download-only"])
        .args(["--no-install-recommends", "install", "postgresql"])
        .arg("--option")
        .arg(format!("Dir::Cache::Archives={}", download.display()))
        // Only root may lock the database of packages, which is not changed.
        .args(["--option", "Debug::NoLocking=true"]);
    cargo::succeed(&mut apt).context(
        "cannot download the package postgresql; run apt-get update first, or install PostgreSQL, \
         which tests need",
    )?;
    unpack(&download, &tools.join("postgresql"))?;
    Programs::find()?;
    Ok(())
}

/// Unpacks all packages of a folder.
fn unpack(packages: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(packages)?.flatten().map(|entry| entry.path());
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let packages: Vec<PathBuf> = entries.filter(is_package).collect();
    ensure!(!packages.is_empty(), "apt-get downloaded no package");
    for package in packages {
        let mut unpack = Command::new("dpkg");
        unpack.arg("--extract").args([package.as_path(), to]);
        cargo::succeed(&mut unpack)
            .with_context(|| format!("cannot unpack {}", package.display()))?;
    }
    Ok(())
}
