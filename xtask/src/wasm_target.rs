//! Installs the WebAssembly target, which blocks need.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo;

/// The target of blocks.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Installs the WebAssembly target if it is missing.
pub(crate) fn ensure() -> Result<()> {
    if target_is_installed() {
        return Ok(());
    }
    if Command::new("rustup").arg("--version").output().is_err() {
        bail!(
            "blocks are compiled for {TARGET}, which this Rust lacks, and rustup is not installed. \
             Install rustup from https://rustup.rs (Debian and Ubuntu: apt-get install rustup), \
             then run:\n\n    rustup default stable\n    rustup target add {TARGET}\n\nOr install \
             the target for your system's own Rust: the folder that `rustc --print target-libdir \
             --target {TARGET}` prints must exist (Fedora: dnf install rust-std-static-{TARGET})."
        );
    }
    eprintln!("xtask: adding the Rust target {TARGET} for blocks");
    let mut rustup = Command::new("rustup");
    rustup
        .args(["target", "add", TARGET])
        .current_dir(cargo::root());
    cargo::succeed(&mut rustup).with_context(|| {
        format!("cannot add {TARGET}; this needs a connection to static.rust-lang.org once")
    })?;
    ensure!(
        target_is_installed(),
        "rustup added {TARGET}, but `rustc` (or the program in RUSTC) is not rustup's"
    );
    Ok(())
}

/// Returns true also if the compiler cannot be run: cargo then reports the reason.
fn target_is_installed() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
        }
        _ => true,
    }
}
