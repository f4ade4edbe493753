//! Checks of a change besides its tests.

use anyhow::Result;

use crate::wasm_target::TARGET;
use crate::{EVERYTHING, blocks, cargo, fuzz, notices, packages, wasm_target};

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
    let mut host = cargo::command();
    host.arg("clippy")
        .args(EVERYTHING)
        .args(["--all-targets", "--features", fuzz::FEATURES])
        .args(NO_WARNINGS)
        // Skips the compilation of libFuzzer. Nothing is linked, so the file need not exist.
        .env("CUSTOM_LIBFUZZER_PATH", "unlinked/fuzzer");
    cargo::succeed(&mut host)?;
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
