//! Compiles block crates to WebAssembly modules.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::Result;
use super::environment::{TARGET, cargo, cargo_home, target_is_installed};

/// Build profile for small modules in which a panic is a trap. Passed on the command line instead
/// of a manifest, so that it applies to block crates of any workspace.
const PROFILE: [&str; 8] = [
    "inherits='release'",
    "opt-level='s'",
    "lto=true",
    "codegen-units=1",
    "incremental=false",
    "panic='abort'",
    "debug=0",
    "strip=true",
];

/// The default stack of one megabyte would have to be cleared for every step of every run. The
/// stack is at the lowest addresses, where an overflow traps.
const STACK: &str = "link-arg=-zstack-size=16384";

/// Compiles the packages, and returns the path of each module.
pub(super) fn modules(
    manifest: &Path,
    packages: &[&str],
    target_dir: &Path,
) -> Result<Vec<PathBuf>> {
    ensure!(
        target_is_installed(),
        "the compiler target {TARGET} for blocks is not installed. Run:\n\n    \
         rustup target add {TARGET}\n\n\
         `cargo xtask blocks` installs it, or says what to install without rustup."
    );
    let mut flags = vec!["-C".to_owned(), STACK.to_owned()];
    if let Some(home) = cargo_home() {
        // The bytes do not depend on where the sources of dependencies are.
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    // A JSON array of strings is one of TOML too.
    let flags = serde_json::to_string(&flags)?;
    let mut cargo = cargo();
    cargo
        .args(["build", "--lib", "--profile", "block", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--config")
        .arg(format!("target.{TARGET}.rustflags={flags}"))
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_dir)
        .stderr(Stdio::inherit());
    for setting in PROFILE {
        cargo
            .arg("--config")
            .arg(format!("profile.block.{setting}"));
    }
    for package in packages {
        cargo.args(["--package", package]);
    }
    let output = cargo.output().context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "cargo could not compile {} ({}); see its output above",
        packages.join(", "),
        output.status
    );
    let messages = String::from_utf8(output.stdout).context("cargo's messages are not UTF-8")?;
    packages
        .iter()
        .map(|package| module_of(package, &messages))
        .collect()
}

/// Returns the module that cargo built from a package, according to cargo's messages.
fn module_of(package: &str, messages: &str) -> Result<PathBuf> {
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("cargo's messages are not JSON")?;
        if message["reason"] != "compiler-artifact" || name_of(&message["package_id"]) != package {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten();
        let module = files
            .filter_map(Value::as_str)
            .find(|file| file.ends_with(".wasm"));
        if let Some(module) = module {
            return Ok(module.into());
        }
    }
    bail!("{package} is not a block: its [lib] lacks crate-type = [\"cdylib\"]")
}

/// Returns the package's name from an id such as `path+file:///folder/name#0.1.0` or
/// `path+file:///folder#name@0.1.0`.
fn name_of(id: &Value) -> &str {
    let id = id.as_str().unwrap_or_default();
    let (place, version) = id.rsplit_once('#').unwrap_or((id, ""));
    match version.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_module_of_a_package() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/sdk#promoflow-block@0.1.0","filenames":["/t/libsdk.rlib"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/my-block#0.1.0","filenames":["/t/libmy_block.rlib","/t/my_block.wasm"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            module_of("my-block", messages).ok(),
            Some(PathBuf::from("/t/my_block.wasm"))
        );
        let none = module_of("promoflow-block", messages).map_err(|error| error.to_string());
        assert!(none.is_err_and(|error| error.contains("cdylib")));
    }
}
