//! Warnings for authors, from the real binary: unset values, codes that the pool does not have, and
//! the effects of JSON and YAML on pasted text.
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use promoflow_test_support::TestApp;

fn app() -> TestApp {
    TestApp::new(env!("CARGO_BIN_EXE_promoflow"))
}

const WORKFLOW: &str = "workflow: w
start: { event: e }
steps:
  - { id: sms, block: send-message, with: { channel: sms, message: m } }
";

#[test]
fn warns_about_unset_references_until_an_event_or_contact_has_them() {
    let app = app();
    app.file(
        "m.yaml",
        "message: m\nchannel: sms\ntext: Hi $firstNmae, ${order.total}!\n",
    );
    app.file("w.yaml", WORKFLOW);
    let (_, stderr) = app.succeed(&["message", "apply", "m.yaml"]);
    assert!(
        stderr.contains("m.yaml:3:10: warning: unknown value `$firstNmae`")
            && stderr.contains("m.yaml:3:22: warning: unknown value `${order.total}`"),
        "{stderr}"
    );
    // An event with `order` and a contact with `firstName` make more values known.
    app.file("c.csv", "contact,phone,firstName\nA-1,+380501234567,Ann\n");
    app.succeed(&["contact", "import", "c.csv"]);
    let event = r#"{"eventTypeKey":"e","keyValue":"A-1","params":{"order":{"total":5}}}"#;
    app.file("e.jsonl", event);
    app.succeed(&["event", "send", "--file", "e.jsonl"]);
    for args in [
        ["workflow", "check", "w.yaml"],
        ["workflow", "apply", "w.yaml"],
    ] {
        let (_, stderr) = app.succeed(&args);
        assert_eq!(
            stderr,
            "w.yaml:4:68: warning: message `m`: unknown value `$firstNmae`\n  \
             hint: did you mean `firstName`?\n"
        );
    }
    let (_, stderr) = app.succeed(&["message", "apply", "m.yaml"]);
    assert_eq!(
        stderr,
        "m.yaml:3:10: warning: unknown value `$firstNmae`: without a value it prints nothing\n  hint: did you mean `firstName`?\n"
    );
    // A test run reports values that were missing.
    let (printed, _) = app.succeed(&["event", "send", "--file", "e.jsonl", "--test"]);
    assert!(
        printed.contains(
            "warning: message `m`, text, 1:4: `$firstNmae` has no value; did you mean `firstName`?"
        ) && printed.contains("Hi , 5!"),
        "{printed}"
    );
    let stderr = app.json(&["event", "send", "--file", "e.jsonl", "--test"]);
    let note = &stderr["plan"][0]["steps"][0]["log"][0];
    assert!(note.as_str().unwrap().contains("$firstNmae"), "{stderr}");
    app.succeed(&["event", "send", "--file", "e.jsonl"]);
    assert_eq!(app.json(&["outbox", "list"])["text"], "Hi , 5!");
}

#[test]
fn warns_about_code_types_missing_from_the_pool() {
    let app = app();
    app.file("codes.csv", "code,discount,type\nA-1,10,Birthday\n");
    app.succeed(&["codes", "import", "codes.csv"]);
    app.file(
        "m.yaml",
        "message: m\nchannel: sms\ntext: '%PC_birthday_0_10% %PC_Birthday_0_10%'\n",
    );
    let (_, stderr) = app.succeed(&["message", "apply", "m.yaml"]);
    assert_eq!(
        stderr,
        "m.yaml:3:8: warning: `%PC_birthday_0_10%`: the pool has no codes of the type `birthday`\n  \
         hint: the pool has the type `Birthday`; case and spaces matter\n"
    );
    let step = "workflow: w\nstart: { event: e }\nsteps:\n  - id: code\n    block: get-promocode\n    \
                with: { type: TYPE, discount: 10, days: 0 }\n    ports: { exhausted: end }\n";
    for (code_type, expected) in [
        ("birthday", "hint: the pool has the type `Birthday`"),
        ("winter", "the pool has no codes of the type `winter`"),
    ] {
        app.file("w.yaml", &step.replace("TYPE", code_type));
        let (_, stderr) = app.succeed(&["workflow", "apply", "w.yaml"]);
        assert!(
            stderr.starts_with("w.yaml:6:19: warning: ") && stderr.contains(expected),
            "{stderr}"
        );
    }
    app.file("w.yaml", &step.replace("TYPE", "Birthday"));
    assert_eq!(app.succeed(&["workflow", "apply", "w.yaml"]).1, "");
}

#[test]
fn emoji_escapes_are_read_in_json_and_yaml() {
    let app = app();
    let escaped = r"\ud83c\udf89 Sale";
    app.file(
        "m.json",
        &format!(r#"{{"message":"m","channel":"sms","text":"{escaped}"}}"#),
    );
    app.file(
        "n.yaml",
        &format!("message: n\nchannel: sms\ntext: \"{escaped}\"\n"),
    );
    app.file("w.json", &format!(
        r#"{{"workflow":"w","name":"{escaped}","start":{{"event":"e"}},"steps":[{{"id":"a","block":"send-message","with":{{"channel":"sms","message":"m"}}}}]}}"#
    ));
    app.succeed(&["message", "apply", "m.json", "n.yaml"]);
    app.succeed(&["workflow", "apply", "w.json"]);
    let (printed, _) = app.succeed(&["message", "list", "--json"]);
    assert_eq!(printed.matches("\u{1f389} Sale").count(), 2, "{printed}");
    let (printed, _) = app.succeed(&["workflow", "show", "w"]);
    assert!(printed.contains("\u{1f389} Sale"), "{printed}");
    app.file(
        "bad.json",
        "{\"message\": \"m\",\n \"channel\": \"sms\",\n \"text\": \"t\",\n}",
    );
    let output = app.run(&["message", "apply", "bad.json"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("bad.json:4:1: error: invalid JSON: trailing comma\n  hint: remove"),
        "{stderr}"
    );
}

#[test]
fn warns_about_the_sign_of_etc_time_zones() {
    let app = app();
    for zone in ["Etc/GMT+03", "GMT+3", "UTC+03:00"] {
        let output = app.run(&["settings", "time-zone", zone]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains("for 3 hours ahead of UTC, use Etc/GMT-3"),
            "{stderr}"
        );
        assert!(!stderr.contains("GMT+0"), "{stderr}");
    }
    let (_, stderr) = app.succeed(&["settings", "time-zone", "Etc/GMT+3"]);
    assert!(
        stderr.contains("Etc/GMT+3 is 3 hours behind UTC"),
        "{stderr}"
    );
    app.file("c.csv", "contact,email,time zone\nA,a@example.com,UTC+3\n");
    let output = app.run(&["contact", "import", "c.csv"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("use Etc/GMT-3"), "{stderr}");
}

#[test]
fn warns_about_text_that_yaml_treats_as_a_comment() {
    let app = app();
    app.file(
        "m.yaml",
        "message: m\nchannel: email\nfrom: s@example.com\nsubject: You are our #1 fan\ntext: We are # 1\n",
    );
    let (_, stderr) = app.succeed(&["message", "apply", "m.yaml"]);
    assert!(
        stderr.starts_with("m.yaml:4:22: warning: the text after ` #` is cut off")
            && stderr.contains("m.yaml:5:14: warning: `text` ends before the `#`"),
        "{stderr}"
    );
    app.file(
        "p.yaml",
        "message: p\nchannel: sms\ntext: Hello\n  #1 fan\n",
    );
    let (_, stderr) = app.succeed(&["message", "apply", "p.yaml"]);
    assert!(
        stderr.starts_with("p.yaml:4:3: warning: `text` ends before the `#`"),
        "{stderr}"
    );
    app.file(
        "n.yaml",
        "message: n\nchannel: email\nsubject: #1 deal\ntext: x\n",
    );
    let output = app.run(&["message", "apply", "n.yaml"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("n.yaml:3:10: error: expected text for `subject`")
            && stderr.contains("put it in quotes"),
        "{stderr}"
    );
}
