//! Errors and warnings for authors of messages, from the real binary.
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

struct Shop(TempDir);

impl Shop {
    fn new() -> Shop {
        Shop(tempfile::tempdir().unwrap())
    }

    /// Creates an installation whose pool has the codes that these messages and steps use.
    fn with_codes() -> Shop {
        let shop = Shop::new();
        shop.file("codes.csv", "code,discount,type\nA-1,1,a\nN-1,7,New_Year\n");
        shop.done(&["codes", "import", "codes.csv"]);
        shop
    }

    fn file(&self, name: &str, content: &str) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promoflow"));
        command.args(args).current_dir(self.0.path());
        for name in [
            "PROMOFLOW_DB",
            "PROMOFLOW_BLOCKS",
            "PROMOFLOW_CACHE",
            "PROMOFLOW_CONFIG",
        ] {
            command.env_remove(name);
        }
        command.output().unwrap()
    }

    /// Returns standard output and standard error of a command.
    fn done(&self, args: &[&str]) -> (String, String) {
        let output = self.run(args);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {told}");
        (String::from_utf8(output.stdout).unwrap(), told)
    }

    fn json(&self, args: &[&str]) -> Value {
        let (printed, _) = self.done(&[args, &["--json"]].concat());
        serde_json::from_str(printed.lines().next().unwrap()).unwrap()
    }
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
    let shop = Shop::with_codes();
    shop.file("m.yaml", MESSAGES);
    shop.done(&["message", "apply", "m.yaml"]);
    let told = |steps: String| {
        shop.file("w.yaml", &workflow(&steps));
        let (_, checked) = shop.done(&["workflow", "check", "w.yaml"]);
        let (_, applied) = shop.done(&["workflow", "apply", "w.yaml"]);
        assert_eq!(checked, applied);
        applied
    };
    let reads = "warning: the message `coded` reads `promocode`, and no step before";
    assert_eq!(
        told(send("mail", "coded")),
        format!(
            "w.yaml:6:36: {reads} `mail` sets it\n  hint: place `get-promocode` before it, or take \
             the code by a tag such as %PC_NewYear_1_7%\n"
        )
    );
    // A code sets the value; without an available code it stays unset.
    let both = [CODE, &send("mail", "coded"), &send("sorry", "tagged")].concat();
    assert_eq!(told(both), "");
    let sorry = [
        CODE,
        &send("mail", "tagged").replace("    with", "    ports: { next: end }\n    with"),
        &send("sorry", "coded"),
    ];
    assert_eq!(
        told(sorry.concat()),
        format!(
            "w.yaml:11:36: {reads} `sorry` sets it\n  hint: `code` sets it, but no path leads from \
             there with the value\n"
        )
    );
    let slip = [CODE, &send("mail", "slip"), &send("sorry", "tagged")].concat();
    let told = told(slip);
    assert!(
        told.contains("`slip` reads `promocod`, and no step before"),
        "{told}"
    );
    assert!(told.contains("hint: did you mean `promocode`?"), "{told}");
}

#[test]
fn applying_a_message_checks_the_workflows_that_send_it() {
    let shop = Shop::with_codes();
    shop.file("m.yaml", MESSAGES);
    shop.done(&["message", "apply", "m.yaml"]);
    shop.file("w.yaml", &workflow(&send("mail", "tagged")));
    shop.done(&["workflow", "apply", "w.yaml"]);
    let (_, told) = shop.done(&["message", "apply", "m.yaml"]);
    let slip = "m.yaml:7:7: warning: unknown value `$promocod`: without a value it prints \
                nothing\n  hint: did you mean `promocode`?\n";
    assert_eq!(told, slip);
    shop.file(
        "again.yaml",
        "message: tagged\nchannel: sms\ntext: |\n  Dear $name,\n  it is $promocode\n",
    );
    let (printed, told) = shop.done(&["message", "apply", "again.yaml"]);
    assert!(printed.contains("stored, version 2"), "{printed}");
    assert!(
        told.contains(
            "again.yaml:5:9: warning: the message reads `promocode`, but in workflow `w` no step \
             before `mail` sets it\n  hint: "
        ),
        "{told}"
    );
}

#[test]
fn alternatives_are_checked_too() {
    let shop = Shop::with_codes();
    shop.file("m.yaml", MESSAGES);
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
    shop.file("w.yaml", &workflow(step));
    let check = ["workflow", "check", "w.yaml", "--messages", "m.yaml"];
    let (printed, told) = shop.done(&check);
    let reads = "w.yaml:10:36: warning: the message `coded` reads `promocode`, and no step before \
                 `tell` sets it\n";
    assert!(told.starts_with(reads), "{told}");
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
    let shop = Shop::with_codes();
    shop.file("m.yaml", MESSAGES);
    shop.done(&["message", "apply", "m.yaml"]);
    let step = "  - id: tell
    block: send-message
    with: { channel: sms, message: tagged, otherwise: [{ channel: sms, message: slip }] }
";
    let promocode = "    ports: { exhausted: end }\n";
    let set =
        "  - id: code\n    block: get-promocode\n    with: { type: a, discount: 1, days: 0 }\n";
    shop.file("w.yaml", &workflow(&[set, promocode, step].concat()));
    shop.done(&["workflow", "apply", "w.yaml"]);
    for (message, line) in [("tagged", 1), ("slip", 1), ("coded", 0)] {
        let pushed = format!("message: {message}\nchannel: viber\ntext: t\n");
        shop.file("pushed.yaml", &pushed);
        let (_, told) = shop.done(&["message", "apply", "pushed.yaml"]);
        let warnings = told
            .matches("pushed.yaml:2:10: warning: the channel is viber now")
            .count();
        assert_eq!(warnings, line, "{told}");
        let step = "step `tell` of workflow `w` sends it by sms: its runs will fail";
        assert_eq!(told.contains(step), line == 1, "{told}");
    }
}

#[test]
fn merge_tags_are_found_inside_directive_quotes() {
    let shop = Shop::new();
    let message = |text: &str| format!("message: m\nchannel: sms\ntext: |\n  {text}\n");
    shop.file("d.json", r#"{ "FirstName": "Ann" }"#);
    let shown = || shop.json(&["message", "render", "m", "--data", "d.json"])["text"].clone();
    for quote in ['"', '\''] {
        let text = format!("#set($hi = {quote}Dear %FIRSTNAME|friend%{quote})$hi!");
        shop.file("m.yaml", &message(&text));
        let (_, told) = shop.done(&["message", "apply", "m.yaml"]);
        assert_eq!((told.as_str(), shown()), ("", json!("Dear Ann!\n")));
    }
    shop.file("m.yaml", &message("#set($hi = %FIRSTNAME|friend%)$hi!"));
    let output = shop.run(&["message", "apply", "m.yaml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("m.yaml:4:14: error: ")
            && told.contains("put the merge tag in quotes: `\"%FIRSTNAME|friend%\"`"),
        "{told}"
    );
}

#[test]
fn check_lists_values_and_codes_that_messages_use() {
    let shop = Shop::with_codes();
    shop.file("m.yaml", MESSAGES);
    let steps = [CODE, &send("mail", "coded"), &send("sorry", "tagged")].concat();
    shop.file("w.yaml", &workflow(&steps));
    let check = ["workflow", "check", "w.yaml", "--messages", "m.yaml"];
    let (printed, _) = shop.done(&check);
    assert_eq!(
        printed,
        "w.yaml: no errors in w\n  \
         mail sends coded: reads name (from the event), promocode (set by code)\n  \
         sorry sends tagged: claims a code of type New_Year, discount 7, valid for 1 more day\n"
    );
    let checked = shop.json(&check);
    assert_eq!(
        checked["sends"],
        json!([
            { "step": "mail", "message": "coded", "codes": [], "reads": [
                { "name": "name", "setBy": null }, { "name": "promocode", "setBy": "code" }
            ] },
            { "step": "sorry", "message": "tagged", "reads": [], "codes": [
                { "type": "New_Year", "discount": 7, "days": 1, "instead": null }
            ] },
        ])
    );
}

#[test]
fn spaces_before_a_parenthesis_do_not_matter() {
    let shop = Shop::new();
    shop.file(
        "d.json",
        r#"{ "promocode": "A-1", "EmailAddress": "ann@example.com" }"#,
    );
    for blank in [" ", "\u{a0}"] {
        let code = format!("$!data.get{blank}('promocode')");
        shop.file(
            "m.yaml",
            &format!(
                "message: m\nchannel: email\nfrom: a@b.c\nsubject: \"{code}!\"\ntext: |\n  \
                 #if({code} == 'A-1')It is {code} (once).#end\nhtml: \"<b>{code}</b>\"\n"
            ),
        );
        shop.done(&["message", "apply", "m.yaml"]);
        let shown = shop.json(&["message", "render", "m", "--data", "d.json"]);
        assert_eq!(shown["subject"], "A-1!");
        assert_eq!(shown["text"], "It is A-1 (once).");
        assert_eq!(shown["html"], "<b>A-1</b>");

        let to = format!("$!data.get{blank}('EmailAddress')");
        let step = format!(
            "  - {{ id: mail, block: send-message, with: {{ channel: email, message: m, to: \"{to}\" }} }}\n"
        );
        shop.file("w.yaml", &workflow(&step));
        let (_, told) = shop.done(&["workflow", "apply", "w.yaml"]);
        assert!(
            told.contains("`m` reads `promocode`, and no step before `mail` sets it"),
            "{told}"
        );
        let would = shop.json(&[
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
    let shop = Shop::with_codes();
    let apply = |text: &str| {
        shop.file(
            "m.yaml",
            &format!("message: m\nchannel: sms\ntext: \"{text}\"\n"),
        );
        shop.done(&["message", "apply", "m.yaml"])
    };
    apply("Your code: %PROMOCODE%");
    shop.file("w.yaml", &workflow(&send("mail", "m")));
    let (_, told) = shop.done(&["workflow", "apply", "w.yaml"]);
    let reads = "w.yaml:6:36: warning: the message `m` reads `promocode`, and no step before `mail` \
                 sets it\n  hint: place `get-promocode` before it";
    assert!(told.starts_with(reads), "{told}");
    assert_eq!(apply("Your code: %PROMOCODE|x%").1, "");
    let (_, told) = apply("Dear %FIRSTNAME%, your code: %PromoCode%");
    assert!(
        told.starts_with("m.yaml:3:37: warning: the message reads `promocode`"),
        "{told}"
    );

    // Values set by steps match in any case.
    let code = "  - { id: code, block: get-promocode, with: { type: a, discount: 1, days: 0, as: myCode }, \
                ports: { exhausted: end } }\n";
    apply("Dear %FIRSTNAME%, your code: %MYCODE%");
    shop.file("w.yaml", &workflow(&[code, &send("mail", "m")].concat()));
    let (printed, told) = shop.done(&["workflow", "check", "w.yaml"]);
    assert_eq!(told, "");
    let reads =
        "mail sends m: reads firstname (from the contact or the event), mycode (set by code)";
    assert!(printed.contains(reads), "{printed}");
    apply("Your code: %MYCOD%");
    let (_, told) = shop.done(&["workflow", "check", "w.yaml"]);
    assert!(told.contains("hint: did you mean `myCode`?"), "{told}");
}

#[test]
fn rejects_templates_that_always_fail_with_the_position() {
    let shop = Shop::new();
    let refused = |args: &[&str], part: &str| {
        let output = shop.run(args);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(part), "{told}");
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
        shop.file(
            "m.yaml",
            &format!("message: m\nchannel: sms\ntext: |\n  {text}\n"),
        );
        refused(&["message", "apply", "m.yaml"], part);
    }
    shop.file("t.yaml", "message: tagged\nchannel: sms\ntext: t\n");
    shop.done(&["message", "apply", "t.yaml"]);
    let to = "  - { id: a, block: send-message, with: { channel: sms, message: tagged, to: \"$p.split('[')\" } }\n";
    shop.file("w.yaml", &workflow(to));
    refused(
        &["workflow", "apply", "w.yaml"],
        "w.yaml:4:82: error: '[' is not a supported regular expression",
    );
}

#[test]
fn warns_about_templates_that_fail_without_values() {
    let shop = Shop::new();
    let apply = |text: &str| {
        let message = format!("message: m\nchannel: sms\ntext: |\n  {text}\n");
        shop.file("m.yaml", &message);
        shop.done(&["message", "apply", "m.yaml"]).1
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
        let told = apply(text);
        assert!(told.starts_with(&format!("m.yaml:{part}")), "{told}");
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
    let shop = Shop::new();
    let text = "$esc.url('a b') $math.add(1, 2) $number.format('0.0', 1) $date.format('dd', '2026-12-31') $date";
    shop.file(
        "m.yaml",
        &format!("message: m\nchannel: sms\ntext: \"{text}\"\n"),
    );
    shop.done(&["message", "apply", "m.yaml"]);
    shop.file(
        "d.json",
        r#"{ "esc": 1, "math": "x", "number": 7, "date": "today" }"#,
    );
    let shown = shop.json(&["message", "render", "m", "--data", "d.json"]);
    assert_eq!(shown["text"], "a+b 3 1.0 31 today");
}

#[test]
fn rejects_unknown_tool_calls_and_warns_about_suspicious_ones() {
    let shop = Shop::new();
    let apply = |text: &str| {
        shop.file(
            "m.yaml",
            &format!("message: m\nchannel: sms\ntext: |\n  {text}\n"),
        );
        let output = shop.run(&["message", "apply", "m.yaml"]);
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, told) = apply("Hi $dateTool.addDay($x, 1)");
    let expected = "m.yaml:4:16: error: $dateTool has no method addDay\n  hint: did you mean $dateTool.addDays(…)?";
    assert_eq!(code, Some(2), "{told}");
    assert!(told.starts_with(expected), "{told}");
    let (code, told) = apply("$date.format('dd.mm.yyyy', $x)");
    assert_eq!(code, Some(0), "{told}");
    let expected = "m.yaml:4:9: warning: 'dd.mm.yyyy': mm is minutes, not months\n  hint: write MM";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn dates_and_numbers_use_the_message_s_language_and_the_installation_s_time_zone() {
    let shop = Shop::new();
    let text = "$date.format('d MMMM', $day) $number.integer($n) $dateTool.formatDate('HH:mm', 0)";
    let part = format!("channel: sms\nlanguage: en\ntext: \"{text}\"\n");
    shop.file(
        "m.yaml",
        &format!("message: m\n{part}languages:\n  uk: {{ text: \"{text}\" }}\n"),
    );
    shop.done(&["settings", "time-zone", "Asia/Tokyo"]);
    shop.done(&["message", "apply", "m.yaml"]);
    shop.file("d.json", r#"{ "day": "2040-03-04", "n": 1341.9 }"#);
    let render = |language: &str| {
        let args = ["message", "render", "m", "--data", "d.json", "--language"];
        shop.json(&[&args, &[language][..]].concat())["text"].clone()
    };
    assert_eq!(render("en"), "4 March 1,341 09:00");
    assert_eq!(render("uk"), "4 березня 1\u{a0}341 09:00");
}

#[test]
fn rendering_a_message_in_a_language_claims_no_code() {
    let shop = Shop::new();
    shop.file("m.yaml", MESSAGES);
    shop.done(&["message", "apply", "m.yaml"]);
    shop.file("d.json", r#"{ "Name": "Оля", "language": "uk-UA" }"#);
    let render = |more: &[&str]| {
        let args = ["message", "render", "tagged", "--data", "d.json"];
        let shown = shop.json(&[&args, more].concat());
        (shown["text"].clone(), shown["language"].clone())
    };
    let uk = (json!("Оля: %PC_New_Year_1_7%"), json!("uk"));
    assert_eq!(render(&[]), uk);
    assert_eq!(render(&["--language", "uk"]), uk);
    assert_eq!(render(&["--language", "de"]).1, "en");
    let listed = shop.json(&["message", "list"]);
    assert_eq!(listed["languages"], Value::Null);
}
