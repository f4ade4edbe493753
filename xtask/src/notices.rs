//! The licences of everything compiled into the program, in one file that ships with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cargo;

const FILE: &str = "packaging/THIRD-PARTY-NOTICES.txt";
/// Shipped packages: the program and the blocks inside it.
const SHIPPED: [&str; 3] = ["promoflow", "plugin-get-promocode", "plugin-send-message"];
/// Shipped targets; the last is the target of blocks.
const PLATFORMS: [&str; 3] = [
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "wasm32-unknown-unknown",
];
/// Depth to which a package is searched for licences of its bundled code.
const DEPTH: usize = 3;
const RULE_CHARS: usize = 80;

/// Writes the file.
pub(crate) fn write_file() -> Result<()> {
    fs::write(FILE, notices()?).with_context(|| format!("cannot write {FILE}"))?;
    println!("wrote {FILE}");
    Ok(())
}

/// Fails if the file differs from the licences of the current dependencies.
pub(crate) fn check_file() -> Result<()> {
    let present = fs::read_to_string(FILE).unwrap_or_default();
    ensure!(
        present == notices()?,
        "{FILE} is out of date; run `cargo xtask notices`"
    );
    Ok(())
}

fn notices() -> Result<String> {
    let packages = packages()?;
    let mut by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list = String::new();
    for (name, package) in &packages {
        let license = package["license"].as_str().unwrap_or("see its file");
        writeln!(list, "{name}: {license}")?;
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().context("the manifest has no folder")?;
        let mut files = Vec::new();
        find(folder, DEPTH, &mut files)?;
        if files.is_empty() {
            by_text
                .entry(stated(license, package)?)
                .or_default()
                .insert(name.clone());
        }
        for file in files {
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
            let text = lines.join("\n").trim_matches('\n').to_owned();
            by_text.entry(text).or_default().insert(name.clone());
        }
    }
    let rule = "=".repeat(RULE_CHARS);
    let mut notices = format!(
        "promoflow is made with the software below, whose licences follow.\n\
         `cargo xtask notices` writes this file.\n\n{list}"
    );
    // Each text once, sorted by the packages that have it.
    let mut texts: Vec<(Vec<String>, String)> = by_text
        .into_iter()
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, names)| (names.into_iter().collect(), text))
        .collect();
    texts.sort();
    for (names, text) in texts {
        write!(
            notices,
            "\n{rule}\n{}\n{rule}\n\n{text}\n",
            names.join(", ")
        )?;
    }
    Ok(notices)
}

/// Returns the licence text of a package without a licence file.
fn stated(license: &str, package: &Value) -> Result<String> {
    let authors: Vec<&str> = package["authors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let whose = match authors.is_empty() {
        true => format!(
            "the authors of {}",
            package["name"].as_str().unwrap_or_default()
        ),
        false => authors.join(", "),
    };
    let own = match license {
        text if text.contains("MIT") => "LICENSE-MIT",
        text if text.contains("Apache-2.0") => "LICENSE-APACHE",
        _ => bail!("{}: no file with its licence {license}", package["name"]),
    };
    let text = fs::read_to_string(own).with_context(|| format!("cannot read {own}"))?;
    // The standard text, with other copyright holders.
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("Copyright (c)"))
        .collect();
    Ok(format!(
        "Copyright (c) {whose}\n\n{}",
        lines.join("\n").trim_matches('\n')
    ))
}

/// Returns the third-party packages that are compiled in, by name and version.
fn packages() -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for platform in PLATFORMS {
        let output = cargo::command()
            .args([
                "metadata",
                "--locked",
                "--format-version",
                "1",
                "--filter-platform",
                platform,
            ])
            .output()
            .context("cannot start cargo")?;
        ensure!(
            output.status.success(),
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let packages: BTreeMap<String, Value> = list(&metadata["packages"])
            .into_iter()
            .map(|package| (text(&package["id"]), package))
            .collect();
        let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"])
            .into_iter()
            .map(|node| (text(&node["id"]), node))
            .collect();
        let mut left: Vec<String> = packages
            .values()
            .filter(|package| SHIPPED.iter().any(|name| package["name"] == *name))
            .map(|package| text(&package["id"]))
            .collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = left.pop() {
            let Some(package) = packages.get(&id).filter(|_| seen.insert(id.clone())) else {
                continue;
            };
            // Procedural macros run in the compiler and are not part of the program.
            if list(&package["targets"]).iter().any(is_macro) {
                continue;
            }
            if !package["source"].is_null() {
                let name = format!("{} {}", text(&package["name"]), text(&package["version"]));
                found.insert(name, package.clone());
            }
            for dependency in list(&nodes[&id]["deps"]) {
                let kinds = list(&dependency["dep_kinds"]);
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    left.push(text(&dependency["pkg"]));
                }
            }
        }
    }
    Ok(found)
}

fn is_macro(target: &Value) -> bool {
    target["kind"]
        .as_array()
        .is_some_and(|kinds| kinds.contains(&Value::from("proc-macro")))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Finds files with licences, sorted by name.
fn find(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut entries: Vec<PathBuf> = read
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if path.is_dir() {
            if depth > 0 && !matches!(&*name, "target" | ".git" | "tests" | "benches" | "examples")
            {
                find(&path, depth - 1, found)?;
            }
            continue;
        }
        let begins = [
            "license",
            "licence",
            "copying",
            "notice",
            "unlicense",
            "copyright",
        ];
        let stem = name.split(['.', '-', '_']).next().unwrap_or_default();
        let is_text = !matches!(
            name.rsplit_once('.').map(|(_, extension)| extension),
            Some("rs" | "c" | "h" | "toml" | "py" | "json" | "js" | "html" | "yml" | "yaml")
        );
        if begins.contains(&stem) && is_text {
            found.push(path);
        }
    }
    Ok(())
}
