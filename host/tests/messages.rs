//! Errors and warnings for authors of messages, from the real binary.
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use promoflow_test_support::TestApp;
use serde_json::{Value, json};

fn app() -> TestApp {
    TestApp::new(env!("CARGO_BIN_EXE_promoflow"))
}

/// Creates an installation whose pool has the codes that these messages and steps use.
fn app_with_codes() -> TestApp {
    let app = app();
    app.file("codes.csv", "code,discount,type\nA-1,1,a\nN-1,7,New_Year\n");
    app.succeed(&["codes", "import", "codes.csv"]);
    app
}

const MESSAGES: &str = "\
message: coded
channel: sms
text: $!data.get('name'), your code $!data.get('promocode')
---
message: slip
channel: sms
text: $promocod
---
message: tagged
channel: sms
language: en
text: '%NAME|friend%: %PC_New_Year_1_7%'
languages:
  uk: { text: '%NAME|друже%: %PC_New_Year_1_7|ВІТАЄМО%' }
";

fn workflow(steps: &str) -> String {
    format!("workflow: w\nstart: {{ event: e }}\nsteps:\n{steps}")
}

const CODE: &str = "  - { id: code, block: get-promocode, with: { type: a, discount: 1, days: 0 }, \
                    ports: { exhausted: sorry } }\n";

fn send(step: &str, message: &str) -> String {
    format!(
        "  - id: {step}\n    block: send-message\n    with: {{ channel: sms, message: {message} }}\n"
    )
}

#[test]
fn warns_about_a_code_that_no_earlier_step_sets() {
    let app = app_with_codes();
    app.file("m.yaml", MESSAGES);
    app.succeed(&["message", "apply", "m.yaml"]);
    let stderr = |steps: String| {
        app.file("w.yaml", &workflow(&steps));
        let (_, checked) = app.succeed(&["workflow", "check", "w.yaml"]);
        let (_, applied) = app.succeed(&["workflow", "apply", "w.yaml"]);
        assert_eq!(checked, applied);
        applied
    };
    let reads = "warning: the message `coded` reads `promocode`, and no step before";
    assert_eq!(
        stderr(send("mail", "coded")),
        format!(
            "w.yaml:6:36: {reads} `mail` sets it\n  hint: place `get-promocode` before it, or take \
             the code by a tag such as %PC_NewYear_1_7%\n"
        )
    );
    // A code sets the value; without an available code it stays unset.
    let both = [CODE, &send("mail", "coded"), &send("sorry", "tagged")].concat();
    assert_eq!(stderr(both), "");
    let sorry = [
        CODE,
        &send("mail", "tagged").replace("    with", "    ports: { next: end }\n    with"),
        &send("sorry", "coded"),
    ];
    assert_eq!(
        stderr(sorry.concat()),
        format!(
            "w.yaml:11:36: {reads} `sorry` sets it\n  hint: `code` sets it, but no path leads from \
             there with the value\n"
        )
    );
    let typo = [CODE, &send("mail", "slip"), &send("sorry", "tagged")].concat();
    let stderr = stderr(typo);
    assert!(
        stderr.contains("`slip` reads `promocod`, and no step before"),
        "{stderr}"
    );
    assert!(
        stderr.contains("hint: did you mean `promocode`?"),
        "{stderr}"
    );
}

#[test]
fn applying_a_message_checks_the_workflows_that_send_it() {
    let app = app_with_codes();
    app.file("m.yaml", MESSAGES);
    app.succeed(&["message", "apply", "m.yaml"]);
    app.file("w.yaml", &workflow(&send("mail", "tagged")));
    app.succeed(&["workflow", "apply", "w.yaml"]);
    let (_, stderr) = app.succeed(&["message", "apply", "m.yaml"]);
    let typo = "m.yaml:7:7: warning: unknown value `$promocod`: without a value it prints \
                nothing\n  hint: did you mean `promocode`?\n";
    assert_eq!(stderr, typo);
    app.file(
        "again.yaml",
        "message: tagged\nchannel: sms\ntext: |\n  Dear $name,\n  it is $promocode\n",
    );
    let (printed, stderr) = app.succeed(&["message", "apply", "again.yaml"]);
    assert!(printed.contains("stored, version 2"), "{printed}");
    assert!(
        stderr.contains(
            "again.yaml:5:9: warning: the message reads `promocode`, but in workflow `w` no step \
             before `mail` sets it\n  hint: "
        ),
        "{stderr}"
    );
}

#[test]
fn alternatives_are_checked_too() {
    let app = app_with_codes();
    app.file("m.yaml", MESSAGES);
    let step = "  - id: tell
    block: send-message
    with:
      channel: sms
      message: tagged
      otherwise:
        - { channel: sms, message: coded }
        - { channel: sms, message: $which }
        - { channel: sms, message: tagged }
";
    app.file("w.yaml", &workflow(step));
    let check = ["workflow", "check", "w.yaml", "--messages", "m.yaml"];
    let (printed, stderr) = app.succeed(&check);
    let reads = "w.yaml:10:36: warning: the message `coded` reads `promocode`, and no step before \
                 `tell` sets it\n";
    assert!(stderr.starts_with(reads), "{stderr}");
    let takes = "claims a code of type New_Year, discount 7, valid for 1 more day";
    assert_eq!(
        printed,
        format!(
            "w.yaml: no errors in w\n  tell sends tagged: {takes}\n  \
             tell sends coded: reads name (from the event), promocode (from the event)\n  \
             tell sends tagged: {takes}\n"
        )
    );
}

#[test]
fn a_message_with_a_new_channel_warns_about_broken_workflows() {
    let app = app_with_codes();
    app.file("m.yaml", MESSAGES);
    app.succeed(&["message", "apply", "m.yaml"]);
    let step = "  - id: tell
    block: send-message
    with: { channel: sms, message: tagged, otherwise: [{ channel: sms, message: slip }] }
";
    let promocode = "    ports: { exhausted: end }\n";
    let set =
        "  - id: code\n    block: get-promocode\n    with: { type: a, discount: 1, days: 0 }\n";
    app.file("w.yaml", &workflow(&[set, promocode, step].concat()));
    app.succeed(&["workflow", "apply", "w.yaml"]);
    for (message, line) in [("tagged", 1), ("slip", 1), ("coded", 0)] {
        let pushed = format!("message: {message}\nchannel: viber\ntext: t\n");
        app.file("pushed.yaml", &pushed);
        let (_, stderr) = app.succeed(&["message", "apply", "pushed.yaml"]);
        let warnings = stderr
            .matches("pushed.yaml:2:10: warning: the channel is viber now")
            .count();
        assert_eq!(warnings, line, "{stderr}");
        let step = "step `tell` of workflow `w` sends it by sms: its runs will fail";
        assert_eq!(stderr.contains(step), line == 1, "{stderr}");
    }
}

#[test]
fn merge_tags_are_found_inside_directive_quotes() {
    let app = app();
    let message = |text: &str| format!("message: m\nchannel: sms\ntext: |\n  {text}\n");
    app.file("d.json", r#"{ "FirstName": "Ann" }"#);
    let shown = || app.json(&["message", "render", "m", "--data", "d.json"])["text"].clone();
    for quote in ['"', '\''] {
        let text = format!("#set($hi = {quote}Dear %FIRSTNAME|friend%{quote})$hi!");
        app.file("m.yaml", &message(&text));
        let (_, stderr) = app.succeed(&["message", "apply", "m.yaml"]);
        assert_eq!((stderr.as_str(), shown()), ("", json!("Dear Ann!\n")));
    }
    app.file("m.yaml", &message("#set($hi = %FIRSTNAME|friend%)$hi!"));
    let output = app.run(&["message", "apply", "m.yaml"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("m.yaml:4:14: error: ")
            && stderr.contains("put the merge tag in quotes: `\"%FIRSTNAME|friend%\"`"),
        "{stderr}"
    );
}

#[test]
fn check_lists_values_and_codes_that_messages_use() {
    let app = app_with_codes();
    app.file("m.yaml", MESSAGES);
    let steps = [CODE, &send("mail", "coded"), &send("sorry", "tagged")].concat();
    app.file("w.yaml", &workflow(&steps));
    let check = ["workflow", "check", "w.yaml", "--messages", "m.yaml"];
    let (printed, _) = app.succeed(&check);
    assert_eq!(
        printed,
        "w.yaml: no errors in w\n  \
         mail sends coded: reads name (from the event), promocode (set by code)\n  \
         sorry sends tagged: claims a code of type New_Year, discount 7, valid for 1 more day\n"
    );
    let checked = app.json(&check);
    assert_eq!(
        checked["sends"],
        json!([
            { "step": "mail", "message": "coded", "codes": [], "reads": [
                { "name": "name", "setBy": null }, { "name": "promocode", "setBy": "code" }
            ] },
            { "step": "sorry", "message": "tagged", "reads": [], "codes": [
                { "type": "New_Year", "discount": 7, "days": 1, "default": null }
            ] },
        ])
    );
}

#[test]
fn spaces_before_a_parenthesis_do_not_matter() {
    let app = app();
    app.file(
        "d.json",
        r#"{ "promocode": "A-1", "EmailAddress": "ann@example.com" }"#,
    );
    for blank in [" ", "\u{a0}"] {
        let code = format!("$!data.get{blank}('promocode')");
        app.file(
            "m.yaml",
            &format!(
                "message: m\nchannel: email\nfrom: a@b.c\nsubject: \"{code}!\"\ntext: |\n  \
                 #if({code} == 'A-1')It is {code} (once).#end\nhtml: \"<b>{code}</b>\"\n"
            ),
        );
        app.succeed(&["message", "apply", "m.yaml"]);
        let shown = app.json(&["message", "render", "m", "--data", "d.json"]);
        assert_eq!(shown["subject"], "A-1!");
        assert_eq!(shown["text"], "It is A-1 (once).");
        assert_eq!(shown["html"], "<b>A-1</b>");

        let to = format!("$!data.get{blank}('EmailAddress')");
        let step = format!(
            "  - {{ id: mail, block: send-message, with: {{ channel: email, message: m, to: \"{to}\" }} }}\n"
        );
        app.file("w.yaml", &workflow(&step));
        let (_, stderr) = app.succeed(&["workflow", "apply", "w.yaml"]);
        assert!(
            stderr.contains("`m` reads `promocode`, and no step before `mail` sets it"),
            "{stderr}"
        );
        let would = app.json(&[
            "event",
            "send",
            "--test",
            "--type",
            "e",
            "--key",
            "k",
            "--param",
            "EmailAddress=ben@example.com",
        ]);
        assert!(would.to_string().contains("ben@example.com"), "{would}");
    }
}

#[test]
fn warns_about_a_merge_tag_that_reads_an_unset_code() {
    let app = app_with_codes();
    let apply = |text: &str| {
        app.file(
            "m.yaml",
            &format!("message: m\nchannel: sms\ntext: \"{text}\"\n"),
        );
        app.succeed(&["message", "apply", "m.yaml"])
    };
    apply("Your code: %PROMOCODE%");
    app.file("w.yaml", &workflow(&send("mail", "m")));
    let (_, stderr) = app.succeed(&["workflow", "apply", "w.yaml"]);
    let reads = "w.yaml:6:36: warning: the message `m` reads `promocode`, and no step before `mail` \
                 sets it\n  hint: place `get-promocode` before it";
    assert!(stderr.starts_with(reads), "{stderr}");
    assert_eq!(apply("Your code: %PROMOCODE|x%").1, "");
    let (_, stderr) = apply("Dear %FIRSTNAME%, your code: %PromoCode%");
    assert!(
        stderr.starts_with("m.yaml:3:37: warning: the message reads `promocode`"),
        "{stderr}"
    );

    // Values set by steps match in any case.
    let code = "  - { id: code, block: get-promocode, with: { type: a, discount: 1, days: 0, as: myCode }, \
                ports: { exhausted: end } }\n";
    apply("Dear %FIRSTNAME%, your code: %MYCODE%");
    app.file("w.yaml", &workflow(&[code, &send("mail", "m")].concat()));
    let (printed, stderr) = app.succeed(&["workflow", "check", "w.yaml"]);
    assert_eq!(stderr, "");
    let reads =
        "mail sends m: reads firstname (from the contact or the event), mycode (set by code)";
    assert!(printed.contains(reads), "{printed}");
    apply("Your code: %MYCOD%");
    let (_, stderr) = app.succeed(&["workflow", "check", "w.yaml"]);
    assert!(stderr.contains("hint: did you mean `myCode`?"), "{stderr}");
}

#[test]
fn rejects_templates_that_always_fail_with_the_position() {
    let app = app();
    let refused = |args: &[&str], part: &str| {
        let output = app.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
    };
    for (text, part) in [
        (
            "#macro(hi $x)$x#end\n  #hi(Ann)",
            "m.yaml:5:3: error: expected a value as argument of #hi, such as a text in ' or \" quotes, found \
             'Ann'",
        ),
        (
            "a #evaluate('#if(true)x')",
            "m.yaml:4:5: error: in #evaluate: expected #end",
        ),
        (
            "$!data.get('name').replaceAll('(', '')",
            "m.yaml:4:22: error: '(' is not a supported regular expression: unclosed group",
        ),
    ] {
        app.file(
            "m.yaml",
            &format!("message: m\nchannel: sms\ntext: |\n  {text}\n"),
        );
        refused(&["message", "apply", "m.yaml"], part);
    }
    app.file("t.yaml", "message: tagged\nchannel: sms\ntext: t\n");
    app.succeed(&["message", "apply", "t.yaml"]);
    let to = "  - { id: a, block: send-message, with: { channel: sms, message: tagged, to: \"$p.split('[')\" } }\n";
    app.file("w.yaml", &workflow(to));
    refused(
        &["workflow", "apply", "w.yaml"],
        "w.yaml:4:82: error: '[' is not a supported regular expression",
    );
}

#[test]
fn warns_about_templates_that_fail_without_values() {
    let app = app();
    let apply = |text: &str| {
        let message = format!("message: m\nchannel: sms\ntext: |\n  {text}\n");
        app.file("m.yaml", &message);
        app.succeed(&["message", "apply", "m.yaml"]).1
    };
    for (text, part) in [
        (
            "#macro(r)#r()#end a #r()",
            "4:12: warning: `text` cannot be rendered for a run without values: macro calls nested",
        ),
        (
            "#set($a = [1, 2])$a.get(5)",
            "4:23: warning: `text` cannot be rendered for a run without values: ",
        ),
        (
            "#foreach($i in [1..2000000])$i#end",
            "4:3: warning: `text` cannot be rendered for a run without values: more than 100000",
        ),
    ] {
        let stderr = apply(text);
        assert!(stderr.starts_with(&format!("m.yaml:{part}")), "{stderr}");
    }
    let long = "#foreach($i in [1..90000])#if($i == 7)$i#end#end";
    for good in [
        long,
        "$!data.get('name').substring(0, 1) $!items.get(9) %NAME%",
        "$!math.div(1, $n)",
    ] {
        assert_eq!(apply(good), "", "{good}");
    }
}

#[test]
fn event_parameters_do_not_replace_tools() {
    let app = app();
    let text = "$esc.url('a b') $math.add(1, 2) $number.format('0.0', 1) $date.format('dd', '2026-12-31') $date";
    app.file(
        "m.yaml",
        &format!("message: m\nchannel: sms\ntext: \"{text}\"\n"),
    );
    app.succeed(&["message", "apply", "m.yaml"]);
    app.file(
        "d.json",
        r#"{ "esc": 1, "math": "x", "number": 7, "date": "today" }"#,
    );
    let shown = app.json(&["message", "render", "m", "--data", "d.json"]);
    assert_eq!(shown["text"], "a+b 3 1.0 31 today");
}

#[test]
fn rejects_unknown_tool_calls_and_warns_about_suspicious_ones() {
    let app = app();
    let apply = |text: &str| {
        app.file(
            "m.yaml",
            &format!("message: m\nchannel: sms\ntext: |\n  {text}\n"),
        );
        let output = app.run(&["message", "apply", "m.yaml"]);
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, stderr) = apply("Hi $dateTool.addDay($x, 1)");
    let expected = "m.yaml:4:16: error: $dateTool has no method addDay\n  hint: did you mean $dateTool.addDays(…)?";
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.starts_with(expected), "{stderr}");
    let (code, stderr) = apply("$date.format('dd.mm.yyyy', $x)");
    assert_eq!(code, Some(0), "{stderr}");
    let expected = "m.yaml:4:9: warning: 'dd.mm.yyyy': mm is minutes, not months\n  hint: write MM";
    assert!(stderr.starts_with(expected), "{stderr}");
}

#[test]
fn dates_and_numbers_use_the_message_s_language_and_the_installation_s_time_zone() {
    let app = app();
    let text = "$date.format('d MMMM', $day) $number.integer($n) $dateTool.formatDate('HH:mm', 0)";
    let part = format!("channel: sms\nlanguage: en\ntext: \"{text}\"\n");
    app.file(
        "m.yaml",
        &format!("message: m\n{part}languages:\n  uk: {{ text: \"{text}\" }}\n"),
    );
    app.succeed(&["settings", "time-zone", "Asia/Tokyo"]);
    app.succeed(&["message", "apply", "m.yaml"]);
    app.file("d.json", r#"{ "day": "2040-03-04", "n": 1341.9 }"#);
    let render = |language: &str| {
        let args = ["message", "render", "m", "--data", "d.json", "--language"];
        app.json(&[&args, &[language][..]].concat())["text"].clone()
    };
    assert_eq!(render("en"), "4 March 1,341 09:00");
    assert_eq!(render("uk"), "4 березня 1\u{a0}341 09:00");
}

#[test]
fn rendering_a_message_in_a_language_claims_no_code() {
    let app = app();
    app.file("m.yaml", MESSAGES);
    app.succeed(&["message", "apply", "m.yaml"]);
    app.file("d.json", r#"{ "Name": "Оля", "language": "uk-UA" }"#);
    let render = |more: &[&str]| {
        let args = ["message", "render", "tagged", "--data", "d.json"];
        let shown = app.json(&[&args, more].concat());
        (shown["text"].clone(), shown["language"].clone())
    };
    let uk = (json!("Оля: %PC_New_Year_1_7%"), json!("uk"));
    assert_eq!(render(&[]), uk);
    assert_eq!(render(&["--language", "uk"]), uk);
    assert_eq!(render(&["--language", "de"]).1, "en");
    let listed = app.json(&["message", "list"]);
    assert_eq!(listed["languages"], Value::Null);
}
