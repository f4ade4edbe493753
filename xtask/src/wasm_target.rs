//! Sees to it that blocks can be compiled.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo;

/// The target that blocks are built for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

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

/// Where the compiler itself can't be asked, the answer is yes: cargo then says what is wrong.
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
