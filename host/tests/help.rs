//! The help of every command is a golden file, so that reviewers see changes of the command line.
//! `UPDATE_GOLDEN=1 cargo test --release -p promoflow --test help` rewrites it.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Returns the help of a command.
fn help(command: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_promoflow"))
        .args(command)
        .arg("--help")
        // These variables would change the width.
        .env_remove("COLUMNS")
        .env_remove("LINES")
        .output()
        .expect("cannot run the binary");
    assert!(output.status.success(), "{command:?} has no help");
    assert!(output.stderr.is_empty(), "{command:?}");
    String::from_utf8(output.stdout).expect("the help is UTF-8")
}

/// Returns the commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Continuation lines are indented further.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

fn collect(command: &[String], all: &mut Vec<(Vec<String>, String)>) {
    let text = help(command);
    let below = commands(&text);
    all.push((command.to_vec(), text));
    for name in below {
        collect(&[command, &[name]].concat(), all);
    }
}

#[test]
fn the_help_matches_the_golden_file() {
    let mut all = Vec::new();
    collect(&[], &mut all);
    let mut text = String::new();
    for (command, help) in &all {
        let name = [&["promoflow".to_owned()], &command[..]].concat().join(" ");
        assert!(help.contains("Example"), "{name} --help shows no example");
        writeln!(text, "===== {name} --help\n{}\n", help.trim_end()).unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&golden, &text).unwrap();
    }
    let reviewed = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        text == reviewed,
        "the help differs from {}; review the change and rewrite the file with UPDATE_GOLDEN=1",
        golden.display()
    );
}
