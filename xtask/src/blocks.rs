//! Makes components of block crates.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use promoflow_block::build::{self, Component};

use crate::{cargo, wasm_target};

/// The blocks that the host carries.
const STANDARD: [&str; 2] = ["plugin-get-promocode", "plugin-send-message"];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let target_dir = cargo::target_dir()?;
    let asked = Asked::read(args)?;
    wasm_target::ensure()?;
    let guests = target_dir.join("guests");
    let mut components = Vec::new();
    if asked.paths.is_empty() {
        let manifest = cargo::root().join("Cargo.toml");
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
    fn read(args: &[String]) -> Result<Self> {
        let mut asked = Self {
            paths: Vec::new(),
            out: None,
        };
        let mut args = args.iter();
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
    let metadata = cargo::metadata(manifest)?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let package =
        packages.find(|package| package["manifest_path"].as_str().map(Path::new) == Some(manifest));
    let name = package.and_then(|package| package["name"].as_str());
    let name = name.with_context(|| format!("{} describes no package", manifest.display()))?;
    Ok(name.to_owned())
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
