//! Builds components from block crates, for `cargo xtask blocks`.
//!
//! A separate program, so that other tasks do not compile the component tools.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use promoflow_block::build::{self, Component};
use serde_json::Value;

/// Arguments, as `cargo xtask blocks` passes them: the target folder of the builds, the folder for
/// the components, and the folders of block crates.
fn main() -> Result<()> {
    let args: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [target, out, crates @ ..] = args.as_slice() else {
        bail!("start this program with `cargo xtask blocks`");
    };
    let mut components = Vec::new();
    for folder in crates {
        let manifest = manifest_in(folder)?;
        let package = package_of(&manifest)?;
        components.extend(build::components(&manifest, &[&package], target)?);
    }
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    components
        .iter()
        .try_for_each(|component| write(component, out))
}

/// Returns the absolute path of the manifest in a folder.
fn manifest_in(folder: &Path) -> Result<PathBuf> {
    let manifest = folder.join("Cargo.toml");
    fs::canonicalize(&manifest)
        .with_context(|| format!("{}: not a crate: no Cargo.toml", folder.display()))
}

/// Returns the name of the package in a manifest.
fn package_of(manifest: &Path) -> Result<String> {
    let metadata = metadata(manifest)?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let package =
        packages.find(|package| package["manifest_path"].as_str().map(Path::new) == Some(manifest));
    let name = package.and_then(|package| package["name"].as_str());
    let name = name.with_context(|| format!("{}: no package", manifest.display()))?;
    Ok(name.to_owned())
}

/// Returns cargo's metadata of a workspace.
fn metadata(manifest: &Path) -> Result<Value> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "{}: cargo cannot read it: {}",
        manifest.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("cargo's output is not JSON")
}

/// Writes a component and prints its size and imports.
fn write(component: &Component, out: &Path) -> Result<()> {
    let name = &component.package;
    let file = out
        .join(name.strip_prefix("plugin-").unwrap_or(name))
        .with_extension("wasm");
    fs::write(&file, &component.bytes)
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("{}: {} bytes", file.display(), component.bytes.len());
    for import in build::imports(&component.bytes)? {
        println!("  imports {import}");
    }
    Ok(())
}
