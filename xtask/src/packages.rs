//! Packages the crates that users depend on, and builds a program from the packages alone.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo;

/// The program that is built from the packages. It runs both standard blocks.
const PROGRAM: &str = "example-embed";

/// A package's name and version.
type Package = (String, String);

/// Packages every crate that is published, and builds and runs a program that finds no other source
/// of them. It is compiled in the workspace's target folder with the workspace's settings, so that
/// it shares the dependencies.
pub(crate) fn check() -> Result<()> {
    let metadata = cargo::metadata()?;
    let published = packages(&metadata, |package| package["publish"].is_null());
    let program = packages(&metadata, |package| package["name"] == PROGRAM);
    let target = cargo::target_dir()?;

    let mut package = cargo::command();
    // Cargo would build each package by itself; the program below builds all of them together.
    package.args([
        "package",
        "--quiet",
        "--no-verify",
        "--allow-dirty",
        "--offline",
    ]);
    for (name, _) in published.iter().chain(&program) {
        package.args(["--package", name]);
    }
    cargo::succeed(&mut package)?;

    let unpacked = target.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked).context("target/unpacked")?;
    }
    fs::create_dir_all(&unpacked).context("target/unpacked")?;
    let mut patches = "\n[workspace]\n\n[patch.crates-io]\n".to_owned();
    let mut run = cargo::command();
    run.args(["run", "--quiet", "--release", "--offline"]);
    for package in &published {
        let folder = unpack(&target, package)?;
        let name = &package.0;
        ensure!(
            !folder.join("build.rs").exists(),
            "{name} has a build script, which could need more than a Rust compiler"
        );
        writeln!(patches, "{name}.path = {folder:?}")?;
        run.arg("--config");
        run.arg(format!("profile.release.package.{name}.opt-level=0"));
    }
    for package in &program {
        let folder = unpack(&target, package)?;
        let manifest = folder.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        fs::write(&manifest, text + &patches + &profiles()?)?;
        fs::copy(cargo::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
        run.arg("--target-dir").arg(&target);
        run.arg("--manifest-path").arg(manifest);
    }
    cargo::succeed(&mut run).context("a program that uses the packages")
}

/// Returns the packages of the workspace that a condition selects.
fn packages(metadata: &Value, is_selected: impl Fn(&Value) -> bool) -> Vec<Package> {
    let all = metadata["packages"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.filter(|package| is_selected(package))
        .map(|package| (text(&package["name"]), text(&package["version"])))
        .collect()
}

/// Unpacks a package and returns its folder.
fn unpack(target: &Path, (name, version): &Package) -> Result<PathBuf> {
    let folder = format!("{name}-{version}");
    let mut tar = Command::new("tar");
    tar.arg("-xzf");
    tar.arg(target.join("package").join(format!("{folder}.crate")));
    cargo::succeed(tar.arg("-C").arg(target.join("unpacked")))?;
    Ok(target.join("unpacked").join(folder))
}

/// Returns the part of the workspace's manifest that says how dependencies are compiled.
fn profiles() -> Result<String> {
    let manifest = fs::read_to_string(cargo::root().join("Cargo.toml"))?;
    let start = manifest.find("[profile.release]");
    let start = start.context("Cargo.toml has no release profile")?;
    Ok(format!("\n{}", &manifest[start..]))
}
