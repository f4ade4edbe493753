//! Sees to it that blocks can be compiled.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use promoflow_block::build::{TARGET, target_is_installed};

use crate::cargo;

/// Adds the target for WebAssembly where it is missing.
pub(crate) fn ensure() -> Result<()> {
    if target_is_installed() {
        return Ok(());
    }
    if Command::new("rustup").arg("--version").output().is_err() {
        bail!(
            "blocks are compiled for {TARGET}, which this Rust lacks, and there is no rustup to \
             add it with. Install rustup from https://rustup.rs (Debian and Ubuntu: apt-get \
             install rustup), then run:\n\n    rustup default stable\n    rustup target add \
             {TARGET}\n\nOr have your system's own Rust bring the target: the folder that `rustc \
             --print target-libdir --target {TARGET}` prints must exist (Fedora: dnf install \
             rust-std-static-{TARGET})."
        );
    }
    eprintln!("xtask: adding the Rust target {TARGET}, which blocks are compiled for");
    let mut rustup = Command::new("rustup");
    rustup
        .args(["target", "add", TARGET])
        .current_dir(cargo::root());
    cargo::succeed(&mut rustup).with_context(|| {
        format!("{TARGET} could not be added; it takes a connection to static.rust-lang.org once")
    })?;
    ensure!(
        target_is_installed(),
        "rustup added {TARGET}, but not to the Rust in use: is `rustc` (or what RUSTC names) \
         another than rustup's?"
    );
    Ok(())
}
