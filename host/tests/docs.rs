//! Checks that the README and docs/ match the programs: the demo's output, commands and options,
//! figures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a document")
}

/// Returns the README, the pages of docs/ and of the examples, each with its path.
fn documents() -> Vec<(String, String)> {
    let mut paths = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/decisions", "packaging"] {
        for entry in fs::read_dir(root().join(folder)).expect("a readable folder") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("a UTF-8 file name");
            if name.ends_with(".md") {
                paths.push(format!("{folder}/{name}"));
            }
        }
    }
    paths
        .into_iter()
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// Returns the commands that a document shows, in code blocks and inline.
fn commands<'d>(document: &'d str, program: &str) -> Vec<&'d str> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let line = line.trim_start().trim_start_matches("$ ");
            found.extend(line.strip_prefix(program));
        } else {
            let code = line.split('`').skip(1).step_by(2);
            found.extend(code.filter_map(|code| code.strip_prefix(program)));
        }
    }
    found.retain(|rest| rest.starts_with(' '));
    // A comment, a pipe or a redirection ends a command.
    let ends = [" #", " |", " >", " <", " &&", "; ", "\\"];
    for rest in &mut found {
        let end = ends.iter().filter_map(|end| rest.find(end)).min();
        *rest = &rest[..end.unwrap_or(rest.len())];
    }
    found
}

/// Returns the `--help` texts by command.
fn helps() -> BTreeMap<String, String> {
    let golden = read("host/tests/golden/help.txt");
    let mut helps = BTreeMap::new();
    for part in golden.split("===== ").skip(1) {
        let (command, help) = part.split_once(" --help\n").expect("a command's help");
        helps.insert(command.to_owned(), help.to_owned());
    }
    helps
}

/// Returns true if a help text lists an option.
fn lists(help: &str, option: &str) -> bool {
    let words = help.split(|sign: char| sign.is_whitespace() || ",=[]<>".contains(sign));
    words.into_iter().any(|word| word == option)
}

#[test]
fn the_readme_shows_the_demo_s_output() {
    let readme = read("README.md");
    let (_, after) = readme
        .split_once("```\ncargo xtask demo\n```")
        .expect("the command");
    let shown = after
        .split("```")
        .nth(1)
        .expect("no block of output")
        .trim();
    let (first, last) = shown
        .split_once("[five more messages, each with its own code]")
        .expect("no mark of the omitted output");

    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_promoflow"))
        .args(["demo", "--dir", "demo"])
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .output()
        .expect("the demo failed");
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).expect("text");
    let (_, rest) = output
        .split_once(first.trim())
        .unwrap_or_else(|| panic!("{output}\ndoes not contain\n{first}"));
    let (between, _) = rest
        .split_once(last.trim())
        .unwrap_or_else(|| panic!("{output}\ndoes not contain\n{last}"));
    assert_eq!(between.matches("\nTo: ").count(), 5, "{between}");
}

#[test]
fn documented_commands_and_options_exist() {
    let helps = helps();
    let mut seen = 0;
    for (path, document) in documents() {
        for rest in commands(&document, "promoflow") {
            let mut command = "promoflow".to_owned();
            for word in rest.split_whitespace() {
                let below = format!("{command} {word}");
                if helps.contains_key(&below) {
                    command = below;
                }
            }
            let name = rest
                .split_whitespace()
                .find(|word| word.starts_with(|sign: char| sign.is_ascii_lowercase()));
            let takes_options_alone = rest.split_whitespace().all(|word| word.starts_with('-'));
            assert!(
                command != "promoflow" || takes_options_alone,
                "{path} shows `promoflow{rest}`: no command {name:?}"
            );
            let has_commands = helps[&command].contains("\nCommands:\n");
            assert!(
                !has_commands || command == "promoflow" || rest.trim() == &command[10..],
                "{path} shows `promoflow{rest}`: `{command}` has no such subcommand"
            );
            for word in rest
                .split_whitespace()
                .filter(|word| word.starts_with("--"))
            {
                let option = word.split(['=', '.', ',', ':', ')']).next().unwrap_or(word);
                let listed = [&helps[&command], &helps["promoflow"]];
                assert!(
                    option == "--" || listed.iter().any(|help| lists(help, option)),
                    "{path} shows `promoflow{rest}`: `{command}` has no option {option}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} commands were found");
}

/// Within a page, commands also appear without the program name: `run list`.
#[test]
fn documented_command_names_exist() {
    let helps = helps();
    let groups: Vec<&str> = helps
        .iter()
        .filter(|(command, help)| command.contains(' ') && help.contains("\nCommands:\n"))
        .map(|(command, _)| &command["promoflow ".len()..])
        .collect();
    let mut seen = 0;
    for (path, document) in documents() {
        let prose: Vec<&str> = document.split("```").step_by(2).collect();
        let prose = prose.concat();
        for code in prose
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2))
        {
            let mut words = code.split_whitespace();
            let (Some(group), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase());
            if !groups.contains(&group) || !is_name {
                continue;
            }
            assert!(
                helps.contains_key(&format!("promoflow {group} {name}")),
                "{path} names `{code}`: no such command"
            );
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} commands were found");
}

#[test]
fn the_readme_and_docs_figures_agree() {
    let cells = |line: &str| -> Vec<String> {
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let (readme, figures) = (read("README.md"), read("docs/benchmarks.md"));
    let shown = readme
        .lines()
        .find(|line| line.starts_with("| rows of an upload a second"))
        .map(cells)
        .expect("no figure of uploads");
    let measured = figures
        .lines()
        .find(|line| line.starts_with("| `import_rows_per_s`"))
        .map(cells)
        .expect("no figure of uploads");
    assert_eq!(format!("{} rows/s", shown[2]), measured[2]);
    assert_eq!(shown[3..5], measured[3..5]);
}

/// Returns the anchors of the headings of a page, as GitHub derives them.
fn anchors(document: &str) -> Vec<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
                _ => None,
            });
            kept.collect()
        })
        .collect()
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut pages = documents();
    pages.push(("CONTRIBUTING.md".to_owned(), read("CONTRIBUTING.md")));
    let mut seen = 0;
    for (path, document) in pages {
        let page = root().join(&path);
        let folder = page.parent().expect("a folder");
        let prose: Vec<&str> = document.split("```").step_by(2).collect();
        for link in prose.concat().split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => folder.join(file),
            };
            assert!(target.exists(), "{path} links to {link}: no such file");
            if !anchor.is_empty() {
                let target = fs::read_to_string(&target).expect("a page with headings");
                let found = anchors(&target).iter().any(|one| one == anchor);
                assert!(found, "{path} links to {link}: no such heading");
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} links were found");
}

#[test]
fn the_index_lists_every_page() {
    let index = read("docs/README.md");
    for (path, _) in documents() {
        let Some(page) = path.strip_prefix("docs/") else {
            continue;
        };
        let is_listed = page.starts_with("decisions/") || index.contains(&format!("({page})"));
        assert!(
            is_listed || page == "README.md",
            "docs/README.md does not list {page}"
        );
    }
}

#[test]
fn the_architecture_lists_every_crate_of_the_host() {
    let architecture = read("docs/architecture.md");
    for entry in fs::read_dir(root().join("host")).expect("a readable folder") {
        let folder = entry.expect("an entry").path();
        if folder.join("Cargo.toml").exists() {
            let name = folder.file_name().and_then(|name| name.to_str());
            let name = format!("`host/{}`", name.expect("a UTF-8 file name"));
            assert!(
                architecture.contains(&name),
                "docs/architecture.md does not list {name}"
            );
        }
    }
}

#[test]
fn a_program_without_optional_features_builds_none_of_their_packages() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "example-embed-minimal",
        ])
        .args(["-e", "normal", "--prefix", "none", "--no-dedupe"])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).expect("UTF-8");
    let packages: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(packages.contains("wasmtime"), "{packages:?}");
    for optional in [
        "axum",
        "clap",
        "hyper",
        "lettre",
        "opentelemetry",
        "prometheus",
        "reqwest",
        "ring",
        "rustls",
        "tokio",
        "tracing-subscriber",
        "utoipa",
    ] {
        assert!(!packages.contains(optional), "{optional}");
    }
    let lines: BTreeSet<&str> = tree.lines().collect();
    // As docs/embedding.md says.
    assert!((200..=215).contains(&lines.len()), "{}", lines.len());
}

#[test]
fn the_facade_exports_what_embedders_need() {
    // The names after `pub use`, other than those of the model.
    let source = read("host/src/lib.rs");
    let mut exported = 0;
    for statement in source.split("pub use ").skip(1) {
        let statement = statement.split(';').next().expect("the end of a statement");
        let (package, names) = statement.split_once("::").expect("a path");
        if package == "promoflow_model" {
            continue;
        }
        let names = names.rsplit("::").next().expect("names");
        assert!(!names.contains('*'), "{statement}: export names one by one");
        let names = names.trim_matches(['{', '}']).split(',');
        exported += names.filter(|name| !name.trim().is_empty()).count();
    }
    assert!((50..150).contains(&exported), "{exported} names");
}
