//! Tests that the tasks in README and docs/ exist.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;

use crate::{Arguments, cargo};

/// Returns the paths of README and of the pages of docs/.
fn pages() -> Vec<PathBuf> {
    let root = cargo::root();
    let docs = fs::read_dir(root.join("docs")).expect("docs/ is readable");
    let mut pages: Vec<PathBuf> = docs
        .map(|entry| entry.expect("docs/ is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.extend([root.join("README.md"), root.join("velocity/README.md")]);
    pages
}

#[test]
fn documented_tasks_and_options_exist() {
    let mut xtask = Arguments::command();
    xtask.build();
    let mut seen = 0;
    for path in pages() {
        let page = fs::read_to_string(&path).expect("a readable page");
        for rest in page.split("cargo xtask ").skip(1) {
            // A command ends with its line, its inline code, or a comment.
            let line = rest.split(['\n', '`']).next().unwrap_or_default();
            let line = line.split(" #").next().unwrap_or_default();
            let mut words = line.split(|sign: char| sign.is_whitespace() || "[]".contains(sign));
            let name = words.next().unwrap_or_default();
            let task = xtask.find_subcommand(name);
            let task = task.unwrap_or_else(|| panic!("{}: no task {name:?}", path.display()));
            for option in words.filter_map(|word| word.strip_prefix("--")) {
                let option = option.split('=').next().unwrap_or_default();
                let is_known = task
                    .get_arguments()
                    .any(|arg| arg.get_long() == Some(option));
                let is_passed_on = matches!(name, "demo" | "test");
                assert!(
                    is_known || is_passed_on,
                    "{}: `{name}` has no option --{option}",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} tasks were found");
}
