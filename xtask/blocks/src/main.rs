//! Makes components of block crates: what `cargo xtask blocks` runs.
//!
//! A program of its own, so that the tools for components are compiled for those who make some.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use promoflow_block::build::{self, Component};
use serde_json::Value;

/// The blocks that the host carries.
const STANDARD: [&str; 2] = ["plugin-get-promocode", "plugin-send-message"];

/// Arguments: the workspace's manifest, its target folder, then what the person asked for.
fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let (Some(manifest), Some(target_dir)) = (args.next(), args.next()) else {
        bail!("start this program with `cargo xtask blocks`");
    };
    let (manifest, target_dir) = (PathBuf::from(manifest), PathBuf::from(target_dir));
    let asked = Asked::read(args)?;
    let guests = target_dir.join("guests");
    let mut components = Vec::new();
    if asked.paths.is_empty() {
        components.extend(build::components(&manifest, &STANDARD, &guests)?);
    }
    for path in &asked.paths {
        let manifest = manifest_in(path)?;
        let package = package_of(&manifest)?;
        components.extend(build::components(&manifest, &[&package], &guests)?);
    }
    let out = asked.out.unwrap_or_else(|| target_dir.join("blocks"));
    fs::create_dir_all(&out).with_context(|| format!("{} can't be made", out.display()))?;
    components
        .iter()
        .try_for_each(|component| keep(component, &out))
}

struct Asked {
    paths: Vec<PathBuf>,
    out: Option<PathBuf>,
}

impl Asked {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut asked = Self {
            paths: Vec::new(),
            out: None,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--out" => asked.out = Some(args.next().context("--out wants a folder")?.into()),
                option if option.starts_with('-') => bail!("there is no option {option}"),
                path => asked.paths.push(path.into()),
            }
        }
        Ok(asked)
    }
}

/// The manifest in a folder, as an absolute path.
fn manifest_in(folder: &Path) -> Result<PathBuf> {
    let manifest = folder.join("Cargo.toml");
    fs::canonicalize(&manifest)
        .with_context(|| format!("{} is no crate: it has no Cargo.toml", folder.display()))
}

/// The name of the package that a manifest describes.
fn package_of(manifest: &Path) -> Result<String> {
    let metadata = metadata(manifest)?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let package =
        packages.find(|package| package["manifest_path"].as_str().map(Path::new) == Some(manifest));
    let name = package.and_then(|package| package["name"].as_str());
    let name = name.with_context(|| format!("{} describes no package", manifest.display()))?;
    Ok(name.to_owned())
}

/// What cargo knows of a workspace.
fn metadata(manifest: &Path) -> Result<Value> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .context("cargo can't be started")?;
    ensure!(
        output.status.success(),
        "cargo can't read {}: {}",
        manifest.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("cargo's answer is no JSON")
}

/// Writes a component and says what it is.
fn keep(component: &Component, out: &Path) -> Result<()> {
    let name = &component.package;
    let file = out
        .join(name.strip_prefix("plugin-").unwrap_or(name))
        .with_extension("wasm");
    fs::write(&file, &component.bytes)
        .with_context(|| format!("{} can't be written", file.display()))?;
    println!("{}: {} bytes", file.display(), component.bytes.len());
    for import in build::imports(&component.bytes)? {
        println!("  imports {import}");
    }
    Ok(())
}
