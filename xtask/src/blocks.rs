//! Builds components of block crates, and keeps those that are checked in up to date.
//!
//! The standard blocks and the block of the tests are checked in, so that nobody needs the
//! WebAssembly target to build or test the rest. The linters rebuild them and compare the bytes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{EVERYTHING, cargo, wasm_target};

/// Folders of block crates, the names of their components, and the files they are checked in as.
const CHECKED_IN: [(&str, &str, &str); 3] = [
    (
        "plugin-get-promocode",
        "get-promocode.wasm",
        "host/blocks/components/get-promocode.wasm",
    ),
    (
        "plugin-send-message",
        "send-message.wasm",
        "host/blocks/components/send-message.wasm",
    ),
    (
        "tests/guest",
        "test-guest.wasm",
        "tests/fixtures/mischief.wasm",
    ),
];

/// The compiler that built the checked-in components. Another one may produce other bytes.
const COMPILER: &str = "host/blocks/components/rustc.txt";

/// Builds components of the crates in these folders.
pub(crate) fn build(folders: &[PathBuf], out: Option<&Path>) -> Result<()> {
    wasm_target::ensure()?;
    cargo::run("build", EVERYTHING, ["--bin", "xtask-blocks"])?;
    let target = cargo::target_dir()?;
    let out = out.map_or_else(|| target.join("blocks"), Path::to_owned);
    let mut blocks = Command::new(target.join("release/xtask-blocks"));
    blocks.arg(target.join("guests")).arg(out).args(folders);
    cargo::succeed(&mut blocks)
}

/// Builds and replaces the checked-in components.
pub(crate) fn refresh() -> Result<()> {
    let root = cargo::root();
    for (component, file) in build_checked_in()? {
        let to = root.join(file);
        fs::copy(&component, &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    fs::write(root.join(COMPILER), compiler()?).with_context(|| format!("cannot write {COMPILER}"))
}

/// Fails if a checked-in component differs from what its source compiles to.
pub(crate) fn check() -> Result<()> {
    let root = cargo::root();
    let built_by = fs::read_to_string(root.join(COMPILER)).context(COMPILER)?;
    let compiler = compiler()?;
    if built_by != compiler {
        let (built_by, compiler) = (built_by.trim(), compiler.trim());
        let difference = format!(
            "the checked-in components were built by {built_by}, this is {compiler}; \
             `cargo xtask blocks` builds them again"
        );
        ensure!(env::var_os("CI").is_none(), "{difference}");
        eprintln!("xtask: the checked-in components were not compared: {difference}");
        return Ok(());
    }
    for (component, file) in build_checked_in()? {
        let same = fs::read(&component)? == fs::read(root.join(file)).context(file)?;
        ensure!(
            same,
            "{file} differs from its source; run `cargo xtask blocks` and commit the file"
        );
    }
    Ok(())
}

/// Builds the components again, and returns the path of each with that of the checked-in file.
fn build_checked_in() -> Result<Vec<(PathBuf, &'static str)>> {
    let root = cargo::root();
    let folders = CHECKED_IN.map(|(folder, ..)| root.join(folder));
    let out = cargo::target_dir()?.join("blocks");
    build(&folders, Some(&out))?;
    let files = CHECKED_IN.map(|(_, component, file)| (out.join(component), file));
    Ok(files.into())
}

/// Returns what the compiler calls itself.
fn compiler() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let output = output.context("cannot start rustc")?;
    String::from_utf8(output.stdout).context("rustc's version is not UTF-8")
}
