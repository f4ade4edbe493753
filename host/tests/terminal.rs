//! Text from outside never reaches a terminal unescaped, from whichever command.
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use promoflow_document::is_unsafe;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::json;

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_promoflow"))
        .args(args)
        .current_dir(folder)
        .env("PROMOFLOW_CACHE", cache())
        .env_remove("PROMOFLOW_DB")
        .env_remove("PROMOFLOW_CONFIG")
        .output()
        .unwrap()
}

/// Blocks are compiled once for all tests.
fn cache() -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("terminal-cache");
    fs::create_dir_all(&folder).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    folder
}

/// Returns the output of a command as text and as JSON.
fn shows(folder: &Path, args: &[&str]) -> Result<String, TestCaseError> {
    let mut all = String::new();
    for json in [false, true] {
        let mut args = args.to_vec();
        args.extend(json.then_some("--json"));
        let output = run(folder, &args);
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let text = std::str::from_utf8(bytes)
                .map_err(|error| TestCaseError::fail(format!("{args:?}: {error}")))?;
            let shown: String = text.chars().filter(|c| !matches!(c, '\n' | '\t')).collect();
            prop_assert!(!shown.contains(is_unsafe), "{args:?} {name}: {text:?}");
            if json && name == "stdout" {
                for line in text.lines() {
                    let read = serde_json::from_str::<serde_json::Value>(line);
                    prop_assert!(read.is_ok(), "{args:?}: {line}");
                }
            }
            all += text;
        }
    }
    Ok(all)
}

/// Texts that control terminals, reorder neighbouring text, or are invisible.
fn hostile() -> impl Strategy<Value = String> {
    let trick = prop::sample::select(vec![
        "\u{1b}[2J",
        "\u{1b}]0;x\u{7}",
        "\u{1b}[8m",
        "\u{9b}31m",
        "\u{8}",
        "\u{7f}",
        "\r",
        "\u{85}",
        "\u{202e}",
        "\u{2066}",
        "\u{200f}",
        "\u{61c}",
        "\u{2028}",
        "\u{ad}",
        "\u{feff}",
        "\u{e0041}",
    ]);
    prop::collection::vec(trick, 1..4).prop_map(|tricks| format!("a{}z", tricks.join("b")))
}

fn attack(evil: &str) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let put = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    let codes = format!("{evil}.csv");
    put(
        &codes,
        format!("code,type,discount\n\"{evil}1\",\"{evil}\",5\nGOOD-1,\"{evil}\",\"{evil}\"\n"),
    );
    let rows = json!([{ "code": format!("{evil}2"), "type": evil }, { "code": "G-2", evil: evil }]);
    put("codes.json", rows.to_string());
    put(
        "good.csv",
        "code,type\nGOOD-2,spring\nGOOD-3,spring\n".into(),
    );
    let contacts = json!([{
        "contact": evil, "externalId": evil, "email": format!("{evil}@example.com"), evil: evil,
        "phone": evil, "tokens": { "telegram": evil, evil: evil }, "languages": [evil],
    }, { "externalId": "x-1", "email": "ann@example.com", "name": evil }]);
    put("contacts.json", contacts.to_string());
    put("message.json", json!({ "message": "hello", "channel": "sms", "text": format!("{evil} $!data.get('promocode') $!data.get('name')") }).to_string());
    put(
        "bad.json",
        json!({ "message": evil, "channel": evil, evil: evil, "text": format!("#if({evil}") })
            .to_string(),
    );
    let workflow = |id: &str, name: &str| {
        json!({
            "workflow": id, "name": name, "start": { "event": "birthday" },
            "steps": [
                { "id": "code", "block": "get-promocode", "with": { "type": "spring", "discount": 0, "days": 1 } },
                { "id": "sms", "block": "send-message", "with": { "channel": "sms", "message": "hello", "to": "$!data.get('Phone')" } },
            ],
        })
    };
    put("workflow.json", workflow("birthday", evil).to_string());
    put("bad-workflow.json", workflow(evil, evil).to_string());
    let events = json!({
        "eventTypeKey": "birthday", "keyValue": evil, "id": evil,
        "params": { "Phone": "+380501234567", "name": evil, evil: evil },
    });
    put(
        "events.jsonl",
        format!("{events}\n{{\"{evil}\": 1}}\n{evil}\n"),
    );
    put("data.json", json!({ "name": evil, evil: evil }).to_string());
    put(
        "evil.toml",
        format!("\"{}\" = 1\n[serve]\nlisten = 5", evil.escape_unicode()),
    );

    let shown = [
        &["codes", "import", codes.as_str()][..],
        &["codes", "import", "codes.json"],
        &["codes", "import", "codes.json", "--strict", "--type", evil],
        &["codes", "import", "good.csv"],
        &["codes", "import", evil],
        &["codes", "list"],
        &["codes", "list", "--type", evil],
        &["codes", "show", evil],
        &["codes", "retire", evil, "GOOD-3"],
        &["contact", "import", "contacts.json"],
        &["contact", "list"],
        &["contact", "show", "x-1"],
        &["contact", "show", evil],
        &["message", "apply", "message.json"],
        &["message", "apply", "bad.json", evil],
        &["message", "list"],
        &["message", "render", "hello", "--data", "data.json"],
        &["message", "render", evil, "--data", evil],
        &["workflow", "apply", "workflow.json"],
        &["workflow", "check", "bad-workflow.json"],
        &["workflow", "list"],
        &["workflow", "show", "birthday"],
        &["workflow", "show", evil],
        &[
            "event",
            "send",
            "--type",
            "birthday",
            "--key",
            evil,
            "--param",
            &format!("name={evil}"),
            "--param",
            "Phone=+380501234567",
        ],
        &["event", "send", "--file", "events.jsonl"],
        &[
            "event",
            "send",
            "--test",
            "--type",
            "birthday",
            "--key",
            evil,
            "--param",
            &format!("{evil}={evil}"),
        ],
        &["run", "list"],
        &["run", "show", "1"],
        &["run", "show", evil],
        &["run", "list", "--state", evil],
        &["outbox", "list"],
        &["outbox", "show", "1"],
        &["block", "info", evil],
        &["block", "check", codes.as_str()],
        &["key", "revoke", evil],
        &["key", "create", "--scopes", evil],
        &["settings", "time-zone", evil],
        &["config", "check", "evil.toml"],
        &["--config", "evil.toml", "codes", "count"],
        &["--db", evil, "codes", "count"],
        &["--db", codes.as_str(), "codes", "count"],
        &["backup", &format!("{evil}/{evil}")],
        &["restore", evil],
        &["audit"],
        &[evil],
    ];
    let mut all = String::new();
    for args in shown {
        all += &shows(folder, args)?;
    }
    // The attack was complete enough to be visible.
    prop_assert!(all.contains('\u{fffd}') && all.contains("\\u"), "{all}");
    prop_assert!(all.contains("GOOD-2"), "{all}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 8, ..ProptestConfig::default() })]

    #[test]
    fn no_command_prints_terminal_control_characters(evil in hostile()) {
        attack(&evil)?;
    }
}

#[test]
fn an_export_guarded_against_formulas_imports_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = ["=1+1", "+A", "-B", "@C", "'=D", "''+E", "'F", "G"];
    let json = rows.map(|code| json!({ "code": code, "type": code, "discount": 5 }));
    fs::write(folder.join("codes.json"), json!(json).to_string()).unwrap();
    let done = |args: &[&str]| {
        let output = run(folder, args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    done(&["--db", "one.db", "codes", "import", "codes.json"]);
    let before = done(&["--db", "one.db", "codes", "list", "--json"]);
    for options in [&["--for-spreadsheet"][..], &[]] {
        let export = [&["--db", "one.db", "codes", "export"], options].concat();
        let csv = done(&export);
        let guarded = !csv.contains("\n=1+1") && !csv.contains("\n+A") && !csv.contains("\n@C");
        assert_eq!(guarded, !options.is_empty(), "{csv}");
        fs::write(folder.join("codes.csv"), &csv).unwrap();
        let again = done(&["--db", "one.db", "codes", "import", "--json", "codes.csv"]);
        let again: serde_json::Value = serde_json::from_str(&again).unwrap();
        assert_eq!(again["unchanged"], 8, "{again}");
        fs::remove_file(folder.join("two.db")).ok();
        done(&["--db", "two.db", "codes", "import", "codes.csv"]);
        assert_eq!(done(&["--db", "two.db", "codes", "list", "--json"]), before);
    }
}
