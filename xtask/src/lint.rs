//! Checks of a change besides its tests.

use anyhow::Result;

use crate::wasm_target::TARGET;
use crate::{EVERYTHING, blocks, cargo, notices, packages, wasm_target};

/// Packages with code that is only compiled for WebAssembly.
const GUESTS: [&str; 10] = [
    "-p",
    "promoflow-block",
    "-p",
    "plugin-get-promocode",
    "-p",
    "plugin-send-message",
    "-p",
    "test-guest",
    "-p",
    "example-discount-by-total",
];

const NO_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

pub(crate) fn run() -> Result<()> {
    wasm_target::ensure()?;
    notices::check_file()?;
    cargo::run("fmt", ["--all"], ["--check"])?;
    // The fuzzers are separate workspaces; the tests compile the code they share.
    for manifest in ["host/fuzz/Cargo.toml", "velocity/fuzz/Cargo.toml"] {
        cargo::run("fmt", ["--manifest-path", manifest], ["--check"])?;
    }
    let mut host = EVERYTHING.to_vec();
    host.push("--all-targets");
    cargo::run("clippy", host, NO_WARNINGS)?;
    // Alone, since other packages turn the optional features of the facade on.
    cargo::run(
        "clippy",
        ["--release", "-p", "example-embed-minimal"],
        NO_WARNINGS,
    )?;
    let mut guests = vec!["--release", "--target", TARGET];
    guests.extend(GUESTS);
    cargo::run("clippy", guests, NO_WARNINGS)?;
    let mut doc = cargo::command();
    doc.env("RUSTDOCFLAGS", "-D warnings");
    cargo::succeed(doc.arg("doc").args(EVERYTHING).arg("--no-deps"))?;
    blocks::check()?;
    packages::check()
}
