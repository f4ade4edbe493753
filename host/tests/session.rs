//! Sessions with the real binary: its output, its JSON, and its exit status.
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_promoflow");

/// A folder with the shipped example.
struct TestApp(promoflow_test_support::TestApp);

impl Deref for TestApp {
    type Target = promoflow_test_support::TestApp;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl TestApp {
    fn new() -> TestApp {
        TestApp::with_example(promoflow_test_support::TestApp::new(PROGRAM))
    }

    /// Creates a folder for a test about SQLite files, whichever engine is selected.
    fn with_file() -> TestApp {
        TestApp::with_example(promoflow_test_support::TestApp::with_file(PROGRAM))
    }

    fn with_example(app: promoflow_test_support::TestApp) -> TestApp {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/birthday");
        for file in [
            "codes.csv",
            "message.yaml",
            "birthday.html",
            "workflow.yaml",
            "events.jsonl",
        ] {
            std::fs::copy(example.join(file), app.path(file)).unwrap();
        }
        TestApp(app)
    }

    /// Creates a folder with everything applied and uploaded.
    fn ready() -> TestApp {
        TestApp::new().with_everything()
    }

    fn with_everything(self) -> TestApp {
        let app = self;
        app.succeed(&["codes", "import", "codes.csv"]);
        app.succeed(&["message", "apply", "message.yaml"]);
        app.succeed(&["workflow", "apply", "workflow.yaml"]);
        app
    }

    fn succeed(&self, args: &[&str]) -> String {
        self.0.succeed(args).0
    }

    /// Returns the JSON lines of a command and its exit status.
    fn json(&self, args: &[&str]) -> (Vec<Value>, Option<i32>) {
        let output = self.run(&[args, &["--json"]].concat());
        let lines = text(&output.stdout);
        let values = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (values, output.status.code())
    }

    fn json_line(&self, args: &[&str]) -> Value {
        let (mut values, status) = self.json(args);
        assert_eq!((values.len(), status), (1, Some(0)), "{args:?}: {values:?}");
        values.remove(0)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_main_job_gives_each_contact_a_separate_code() {
    let app = TestApp::ready();
    let (sent, status) = app.json(&["event", "send", "--file", "events.jsonl"]);
    assert_eq!(status, Some(0));
    assert!(
        sent.iter().all(|event| event["status"] == "accepted"),
        "{sent:?}"
    );

    let (outbox, _) = app.json(&["outbox", "list"]);
    let (used, _) = app.json(&["codes", "list", "--in-use", "true"]);
    assert_eq!((outbox.len(), used.len()), (6, 6));
    for code in &used {
        let code = code["code"].as_str().unwrap();
        let carry = |message: &&Value| message["text"].as_str().unwrap().contains(code);
        assert_eq!(outbox.iter().filter(carry).count(), 1, "{code}");
    }
    let message = &outbox[0];
    assert_eq!(message["state"], "delivered");
    assert_eq!(message["attempts"], 1);
    assert!(message["html"].as_str().unwrap().contains("<html"));

    let run = app.json_line(&["run", "show", message["run"].as_str().unwrap()]);
    assert_eq!(run["state"], "completed");
    let ports: Vec<&Value> = run["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["port"])
        .collect();
    assert_eq!(ports, ["next", "next"]);

    let shown = app.json_line(&["codes", "show", used[0]["code"].as_str().unwrap()]);
    assert_eq!(shown["usedBy"]["step"], "code");
    assert_eq!(shown["delivery"]["state"], "delivered");

    let count = app.json_line(&["codes", "count", "--type", "birthday"]);
    let expected = json!({"total": 24, "available": 18, "used": 6, "retired": 0, "expired": 0});
    assert_eq!(count, expected);

    let (again, _) = app.json(&["event", "send", "--file", "events.jsonl"]);
    assert!(
        again.iter().all(|event| event["status"] == "duplicate"),
        "{again:?}"
    );
    let (audit, status) = app.json(&["audit"]);
    assert!(audit.iter().all(|promise| promise["holds"] == true) && status == Some(0));
}

#[test]
fn databases_in_one_folder_do_not_overwrite_each_other_s_messages() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[[channel]]\ntype = \"maildir\"\nfolder = {:?}\n",
        folder.path()
    );
    let mut delivered = 0;
    for app in [TestApp::ready(), TestApp::ready()] {
        app.file("promoflow.toml", &config);
        app.succeed(&["event", "send", "--file", "events.jsonl"]);
        let (outbox, _) = app.json(&["outbox", "list", "--state", "delivered"]);
        delivered += outbox.len();
    }
    let messages = std::fs::read_dir(folder.path().join("new")).unwrap();
    assert_eq!((delivered, messages.count()), (12, 12));
}

#[test]
fn p1_eight_processes_at_once_use_every_code_once() {
    let app = TestApp::ready();
    let codes: String = (0..300)
        .map(|n| format!("EIGHT-{n},2099-12-31,10,birthday\n"))
        .collect();
    app.file(
        "more.csv",
        &format!("code,expirationDate,discount,type\n{codes}"),
    );
    app.succeed(&["codes", "import", "more.csv"]);
    let senders: Vec<Child> = (0..8)
        .map(|process| {
            let events: String = (0..50)
                .map(|n| {
                    let who = format!("p{process}-{n}@example.com");
                    let body = json!({"id": who, "eventTypeKey": "birthday", "keyValue": who,
                        "params": {"EmailAddress": who, "firstName": "Ann"}});
                    format!("{body}\n")
                })
                .collect();
            let file = app.file(&format!("{process}.jsonl"), &events);
            let args = ["event", "send", "--json", "--file", file.to_str().unwrap()];
            app.command(&args).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for sender in senders {
        let output = sender.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stdout).matches("\"accepted\"").count(), 50);
    }
    let (outbox, _) = app.json(&["outbox", "list"]);
    let with_code = |message: &&Value| message["message"] == "birthday-email";
    assert_eq!(outbox.len(), 400);
    assert_eq!(outbox.iter().filter(with_code).count(), 324);
    let mut texts: Vec<&str> = outbox
        .iter()
        .filter(with_code)
        .map(|message| message["text"].as_str().unwrap())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 324, "two messages carry one code");
    assert_eq!(
        app.json_line(&["codes", "count", "--type", "birthday"])["available"],
        0
    );
    assert_eq!(app.json(&["audit"]).1, Some(0));
}

#[test]
fn invalid_rows_are_reported_by_line_and_field_and_valid_rows_inserted() {
    let app = TestApp::new();
    app.file(
        "rows.csv",
        "\u{feff}Code;Discount;ExpirationDate\r\n GOOD ;10;2030-01-01\r\n\r\nA;100;\r\nB;ten;\r\n;1;\r\nC;1;2017-13-01\r\nD;1\r\nGOOD;20;2030-01-01\r\n",
    );
    let (values, status) = app.json(&["codes", "import", "rows.csv"]);
    assert_eq!(status, Some(2));
    assert_eq!(
        (&values[0]["inserted"], &values[0]["rejected"]),
        (&json!(1), &json!(6))
    );
    let places: Vec<(u64, &str)> = values[0]["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (
                error["line"].as_u64().unwrap(),
                error["field"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (4, "discount"),
        (5, "discount"),
        (6, "code"),
        (7, "expirationDate"),
        (8, ""),
        (9, "discount"),
    ];
    assert_eq!(places, expected);
    assert_eq!(app.json_line(&["codes", "list"])["code"], "GOOD");

    app.file("list.json", r#"[{"code":"E"},{"code":"F","discount":100}]"#);
    let (values, _) = app.json(&["codes", "import", "list.json"]);
    let error = &values[0]["errors"][0];
    assert_eq!((&error["line"], &error["column"]), (&json!(1), &json!(15)));
    assert_eq!(error["path"], "[1].discount");
    let reported = text(&app.run(&["codes", "import", "list.json"]).stderr);
    assert!(
        reported.contains("list.json:1:15: [1].discount: "),
        "{reported}"
    );

    let (values, status) = app.json(&["codes", "import", "rows.csv", "--strict"]);
    assert_eq!((status, &values[0]["inserted"]), (Some(2), &json!(0)));
    std::fs::write(app.path("latin.csv"), b"code\nCAF\xc9\n").unwrap();
    let refused = app.run(&["codes", "import", "latin.csv"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("not UTF-8"));
}

/// Returns standard error and exit status of an import.
fn reported(app: &TestApp, args: &[&str]) -> (String, Option<i32>) {
    let done = app.run(&[&["codes", "import"], args].concat());
    (text(&done.stderr), done.status.code())
}

#[test]
fn rejects_ambiguous_files_naming_the_option_that_resolves_them() {
    let app = TestApp::new();
    app.file("angebot.csv", "Angebot\nAB12\nAB13\n");
    let (refused, status) = reported(&app, &["angebot.csv"]);
    assert_eq!(status, Some(2));
    for expected in ["--column code=Angebot", "--no-header", "`AB12`"] {
        assert!(refused.contains(expected), "{refused}");
    }
    let (values, status) = app.json(&["codes", "import", "angebot.csv", "--dry-run"]);
    assert_eq!((status, &values[0]["inserted"]), (Some(2), &json!(0)));
    let done = app.json_line(&["codes", "import", "angebot.csv", "--column", "code=Angebot"]);
    assert_eq!(done["inserted"], 2);
    let done = app.json_line(&["codes", "import", "angebot.csv", "--no-header"]);
    assert_eq!(
        (&done["inserted"], &done["unchanged"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(done["warnings"], json!(["no heading: 3 codes"]));

    app.file("piped.csv", "Name|Until\nP-1|01/02/2040\n");
    let piped = ["piped.csv", "--delimiter", "|", "--column", "code=Name"];
    let dated = [&piped[..], &["--column", "expirationDate=Until"]].concat();
    assert!(
        reported(&app, &dated)
            .0
            .contains("--date-format MM/DD/YYYY")
    );
    let (_, status) = reported(
        &app,
        &[&dated[..], &["--date-format", "MM/DD/YYYY"]].concat(),
    );
    assert_eq!(status, Some(0));
    let listed = app.json(&["codes", "show", "P-1"]).0;
    assert_eq!(listed[0]["expirationDate"], "2040-01-02T23:59");
    for wrong in [
        ["--delimiter", "ab"],
        ["--date-format", "DD"],
        ["--column", "code"],
    ] {
        let (refused, status) = reported(&app, &[&["piped.csv"], &wrong[..]].concat());
        assert_eq!(status, Some(2), "{refused}");
    }
    app.file("login.csv", "<!DOCTYPE html>\n<title>Sign in</title>\n");
    let (refused, status) = reported(&app, &["login.csv", "--no-header"]);
    assert_eq!(status, Some(2), "{refused}");
    assert!(refused.contains("HTML"), "{refused}");
}

#[test]
fn dry_runs_and_strict_uploads_print_the_same_warnings() {
    let app = TestApp::new();
    app.file("old.csv", "code\nSAVE10\n");
    app.succeed(&["codes", "import", "old.csv"]);
    app.file(
        "new.csv",
        "code,expirationDate\nsave10,2020-01-01\nX1,2020-01-01\nx1,2040-01-01\n",
    );
    let expected = [
        "2 of 3 codes have expired and cannot be claimed",
        "`X1` and `x1`, `SAVE10` and `save10` differ only in case; many shops treat such codes as \
         the same",
    ];
    for how in [
        &["--dry-run"][..],
        &["--strict", "--dry-run"],
        &["--strict"],
    ] {
        let done = app.json_line(&[&["codes", "import", "new.csv"], how].concat());
        assert_eq!(done["warnings"], json!(expected), "{how:?}");
    }
    let again = app.json_line(&["codes", "import", "new.csv"]);
    assert_eq!(again["warnings"], json!([expected[0]]));
    app.file(
        "expired.csv",
        "code,expirationDate\nE1,2020-01-01\nE2,2020-01-01\n",
    );
    let (warned, status) = reported(&app, &["expired.csv"]);
    assert_eq!(status, Some(0));
    assert!(
        warned.contains("warning: expired.csv: all 2 codes have expired"),
        "{warned}"
    );
    app.file("empty.csv", "");
    assert!(
        reported(&app, &["empty.csv"])
            .0
            .contains("the file is empty")
    );
}

#[test]
fn code_lookup_ignores_invisible_characters() {
    let app = TestApp::new();
    app.file("codes.csv", "code\nA-1\n\u{200B}A-1\nA-2\u{2060}\n");
    let done = app.json_line(&["codes", "import", "codes.csv"]);
    assert_eq!(
        (&done["inserted"], &done["unchanged"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        app.json_line(&["codes", "show", "\u{FEFF}A-1\u{A0}"])["code"],
        "A-1"
    );
    assert_eq!(
        app.json_line(&["codes", "retire", "A\u{AD}-2"])["retired"],
        1
    );
}

#[test]
fn importing_an_export_changes_nothing() {
    let app = TestApp::ready();
    app.succeed(&["codes", "retire", "BDAY-LH2D-7APP"]);
    let exported = app.succeed(&["codes", "export"]);
    app.file("exported.csv", &exported);
    let again = app.json_line(&["codes", "import", "exported.csv"]);
    assert_eq!(
        (&again["unchanged"], &again["updated"]),
        (&json!(40), &json!(0))
    );
    assert_eq!(app.succeed(&["codes", "export"]), exported);
}

#[test]
fn rejects_a_workflow_with_errors_positions_and_hints() {
    let app = TestApp::ready();
    let workflow = std::fs::read_to_string(app.path("workflow.yaml")).unwrap();
    let wrong = workflow
        .replace("get-promocode", "get-promcode")
        .replace(": sorry", ": sory");
    app.file("wrong.yaml", &wrong);
    for command in ["check", "apply"] {
        let refused = app.run(&["workflow", command, "wrong.yaml"]);
        assert_eq!(refused.status.code(), Some(2));
        let reported = text(&refused.stderr);
        assert!(reported.contains("wrong.yaml:9:12:"), "{reported}");
        assert!(
            reported.contains("did you mean `get-promocode`?"),
            "{reported}"
        );
    }
    assert_eq!(app.json_line(&["workflow", "list"])["version"], 1);
}

#[test]
fn contacts_are_imported_listed_shown_and_unsubscribed() {
    let app = TestApp::new();
    let contacts = "contact,externalId,email,phone,pushToken,language,timeZone,consent.sms,firstName\n\
                    A-1,7,ann@example.com,+38 050 123-45-67,t1,uk,Europe/Kyiv,no,Ann\n\
                    ,8,bob@example.com,,,,Mars,,Bob\n\
                    ,,cat@example.com,,,,,,\n";
    app.file("contacts.csv", contacts);
    let (report, status) = app.json(&["contact", "import", "contacts.csv", "--dry-run"]);
    assert_eq!((report[0]["inserted"].as_u64(), status), (Some(2), Some(2)));
    assert!(!app.path("promoflow.db").exists());
    let (report, status) = app.json(&["contact", "import", "contacts.csv", "--strict"]);
    assert_eq!((report[0]["inserted"].as_u64(), status), (Some(0), Some(2)));
    assert_eq!(app.json(&["contact", "list"]), (vec![], Some(0)));
    let (report, status) = app.json(&["contact", "import", "contacts.csv"]);
    assert_eq!(status, Some(2));
    let reported = &report[0];
    assert_eq!(
        (&reported["inserted"], &reported["rejected"]),
        (&json!(2), &json!(1))
    );
    let error = &reported["errors"][0];
    assert_eq!(
        (&error["line"], &error["field"]),
        (&json!(3), &json!("timeZone"))
    );

    let ann = json!({
        "contact": "A-1", "externalId": "7", "email": "ann@example.com",
        "phone": "+380501234567", "tokens": { "mobile-push": "t1" },
        "fields": { "firstName": "Ann" }, "languages": ["uk"], "timeZone": "Europe/Kyiv",
        "consent": { "sms": false },
    });
    for name in ["A-1", "7", "Ann@example.com", "380501234567", "t1"] {
        assert_eq!(app.json_line(&["contact", "show", name]), ann, "{name}");
    }
    assert_eq!(app.run(&["contact", "show", "dan"]).status.code(), Some(1));

    let cat = app.json_line(&[
        "contact",
        "unsubscribe",
        "cat@example.com",
        "--channel",
        "email",
    ]);
    assert_eq!(cat["consent"], json!({ "email": false }));
    let refused = app.run(&["contact", "unsubscribe", "A-1", "--channel", "e-mail"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("did you mean `email`?"));

    // A listing can be imported again without changes.
    let listing = app.succeed(&["contact", "list", "--json"]);
    assert_eq!(listing.lines().count(), 2);
    app.file("contacts.jsonl", &listing);
    let again = app.json_line(&["contact", "import", "contacts.jsonl"]);
    assert_eq!(
        (&again["unchanged"], &again["updated"]),
        (&json!(2), &json!(0))
    );
    let resubscribed = app.json_line(&["contact", "subscribe", "A-1", "--channel", "sms"]);
    assert_eq!(resubscribed["consent"], json!({ "sms": true }));
}

#[test]
fn rejects_unsupported_features_by_name() {
    let app = TestApp::ready();
    for args in [&["block", "new", "mine"][..], &["block", "test", "mine"]] {
        let refused = app.run(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(
            text(&refused.stderr).contains("not supported yet"),
            "{args:?}"
        );
    }
}

#[test]
fn p11_a_test_run_shows_the_code_and_changes_nothing() {
    let app = TestApp::ready();
    let before = app.succeed(&["codes", "export"]);
    let event = [
        "event",
        "send",
        "--type",
        "birthday",
        "--param",
        "firstName=Ann",
    ];
    let to = ["--param", "EmailAddress=ann@example.com", "--test"];
    let reported = app.succeed(&[&event[..], &to[..]].concat());
    let first = app.json_line(&[
        "event",
        "send",
        "--type",
        "birthday",
        "--param",
        "EmailAddress=b@b.org",
    ]);
    let run = app.json_line(&["run", "show", first["runs"][0].as_str().unwrap()]);
    let code = run["steps"][0]["data"]["promocode"].as_str().unwrap();
    assert_eq!(run["run"], "1", "the test run created a run");
    assert!(reported.contains(code), "{reported}");
    assert!(before.contains(code));
    assert_eq!(app.json(&["outbox", "list"]).0.len(), 1);
}

#[test]
fn p11_a_test_run_resolves_recipients_like_a_run_before_contacts_are_used() {
    let app = TestApp::new();
    app.file(
        "hello.yaml",
        "{ message: hello, channel: email, subject: Hello, text: Hello }",
    );
    app.file(
        "w.yaml",
        "{ workflow: w, start: { event: w }, steps: [{ id: mail, block: send-message, with: \
         { channel: email, message: hello, contact: ContactId } }] }",
    );
    app.succeed(&["message", "apply", "hello.yaml"]);
    app.succeed(&["workflow", "apply", "w.yaml"]);
    let id = ["--param", "ContactId=A"];
    let earlier = ["event", "send", "--type", "x", "--param", "Email=a@x.com"];
    app.succeed(&[&earlier[..], &id].concat());
    let event = [&["event", "send", "--type", "w"][..], &id].concat();
    for _ in 0..2 {
        let would = &app.json_line(&[&event[..], &["--test"]].concat())["plan"][0];
        assert_eq!(would["error"], Value::Null, "{would}");
        assert_eq!(would["deliveries"][0]["address"], "a@x.com");
    }
    assert!(app.json(&["outbox", "list"]).0.is_empty());
    app.succeed(&event);
    let sent = app.json_line(&["outbox", "list"]);
    assert_eq!(
        (&sent["address"], &sent["state"]),
        (&json!("a@x.com"), &json!("delivered"))
    );
}

#[test]
fn p11_a_test_run_of_a_file_reports_each_line_and_changes_nothing() {
    let app = TestApp::ready();
    let event = |name: &str| {
        let params = json!({ "EmailAddress": format!("{name}@example.com"), "firstName": name });
        json!({ "eventTypeKey": "birthday", "params": params }).to_string()
    };
    let lines = [event("ann"), "{".to_owned(), event("ben")].join("\n");
    app.file("events.jsonl", &lines);
    let before = app.succeed(&["codes", "export"]);
    let file = ["event", "send", "--test", "--file", "events.jsonl"];
    let (reported, status) = app.json(&file);
    assert_eq!(status, Some(2), "{reported:?}");
    let lines: Vec<_> = reported
        .iter()
        .map(|one| (&one["line"], &one["status"]))
        .collect();
    let wanted = [(1, "test"), (2, "rejected"), (3, "test")];
    let wanted: Vec<_> = wanted
        .map(|(line, status)| (json!(line), json!(status)))
        .to_vec();
    assert_eq!(
        lines,
        wanted.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>()
    );
    for (at, name) in [(0, "ann"), (2, "ben")] {
        let would = &reported[at]["plan"][0];
        assert_eq!(
            would["deliveries"][0]["address"],
            format!("{name}@example.com")
        );
        assert_eq!(would["blockedBy"], Value::Null);
    }
    // Each line is tested separately: both would get the first code.
    assert_eq!(
        reported[0]["plan"][0]["code"],
        reported[2]["plan"][0]["code"]
    );
    assert_eq!(app.succeed(&["codes", "export"]), before);
    assert!(app.json(&["run", "list"]).0.is_empty());
}

#[test]
fn a_backup_is_a_consistent_snapshot_and_overwrites_nothing() {
    let app = TestApp::with_file().with_everything();
    let send = |count: usize| {
        let events: String = (0..count)
            .map(|n| {
                let params = json!({ "EmailAddress": format!("c{n}@example.com") });
                let id = format!("b-{n}");
                json!({ "id": id, "eventTypeKey": "birthday", "params": params }).to_string() + "\n"
            })
            .collect();
        app.file("events.jsonl", &events);
        app.command(&["event", "send", "--file", "events.jsonl"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut sender = send(2_000);
    let mut copies = Vec::new();
    while sender.try_wait().unwrap().is_none() {
        let name = format!("copy-{}.db", copies.len());
        app.json_line(&["backup", &name]);
        copies.push(name);
    }
    assert!(sender.wait().unwrap().success());
    app.json_line(&["backup", "last.db"]);
    copies.push("last.db".to_owned());
    for copy in &copies {
        let audit = app.run(&["audit", "--db", copy]);
        assert!(audit.status.success(), "{copy}: {}", text(&audit.stdout));
    }
    assert_eq!(app.json(&["run", "list", "--db", "last.db"]).0.len(), 2_000);
    assert_eq!(
        app.succeed(&["codes", "export", "--db", "last.db"]),
        app.succeed(&["codes", "export"])
    );
    let refused = app.run(&["backup", "last.db"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(app.run(&["audit", "--db", "last.db"]).status.success());
}

#[test]
fn reading_commands_do_not_create_a_database() {
    let app = TestApp::new();
    let refused = app.run(&["codes", "list", "--db", "none.db"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("none.db"));
    assert!(!app.path("none.db").exists());
}

#[test]
fn a_database_is_a_sqlite_file() {
    let app = TestApp::new();
    app.succeed(&[
        "settings",
        "time-zone",
        "Europe/Kyiv",
        "--db",
        "sqlite:a.db",
    ]);
    assert!(app.path("a.db").exists());
    let shown = app.succeed(&["settings", "time-zone", "--db", "a.db"]);
    assert_eq!(shown.trim(), "Europe/Kyiv");
    let refused = app.run(&["codes", "list", "--db", "mysql://shop:secret@localhost"]);
    assert_eq!(refused.status.code(), Some(2));
    let error = text(&refused.stderr);
    assert!(error.contains("expected a SQLite file"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    app.file("promoflow.toml", "database = \"mysql://localhost/shop\"\n");
    let refused = app.run(&["codes", "list", "--config", "promoflow.toml"]);
    assert_eq!(refused.status.code(), Some(2));
    let error = text(&refused.stderr);
    assert!(error.contains("promoflow.toml:1:12"), "{error}");
    assert!(error.contains("unknown kind of database"), "{error}");
}

#[test]
fn backups_of_postgresql_are_made_by_its_own_tools() {
    let app = TestApp::new();
    let address = "postgres://shop:secret@db.example/shop";
    app.file("shop.dump", "");
    for (command, file, tool) in [
        (
            "backup",
            "my shop.dump",
            "`pg_dump --format=custom --file='my shop.dump' postgres://db.example/shop`",
        ),
        (
            "restore",
            "shop.dump",
            "`pg_restore --dbname=postgres://db.example/shop shop.dump`",
        ),
    ] {
        let refused = app.run(&[command, file, "--db", address]);
        assert_eq!(refused.status.code(), Some(2));
        let error = text(&refused.stderr);
        assert!(error.contains(tool), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn invalid_events_are_rejected_by_line_and_the_others_sent() {
    let app = TestApp::ready();
    app.file(
        "events.jsonl",
        "{\"eventTypeKey\": \"birthday\", \"keyValue\": \"ann\", \"id\": \"one\"}\n\nnot json\n{\"eventTypeKey\": \"a<b\", \"keyValue\": \"ann\"}\n{\"eventTypeKey\": \"birthday\", \"keyValue\": \"ben\", \"id\": \"one\"}\n",
    );
    let (answers, status) = app.json(&["event", "send", "--file", "events.jsonl"]);
    assert_eq!(status, Some(2));
    let statuses: Vec<&str> = answers
        .iter()
        .map(|answer| answer["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["accepted", "rejected", "rejected", "rejected"]);
    assert!(
        answers[3]["error"]
            .as_str()
            .unwrap()
            .contains("different content")
    );
}

#[test]
fn p5_of_lines_with_the_same_id_the_first_is_the_event() {
    let app = TestApp::ready();
    let lines: String = (0..200)
        .flat_map(|id| [(id, "ann"), (id, "ben")])
        .map(|(id, key)| {
            let event = json!({"eventTypeKey": "birthday", "keyValue": key, "id": format!("{id}")});
            format!("{event}\n")
        })
        .collect();
    app.file("events.jsonl", &lines);
    let (answers, status) = app.json(&["event", "send", "--file", "events.jsonl"]);
    assert_eq!(status, Some(2));
    assert_eq!(answers.len(), 400);
    for pair in answers.chunks(2) {
        let statuses = [&pair[0]["status"], &pair[1]["status"]];
        assert_eq!(statuses, ["accepted", "rejected"], "{pair:?}");
    }
}

#[test]
fn the_demo_succeeds_and_prints_a_code_per_contact() {
    let app = TestApp::new();
    let reported = app.succeed(&["demo", "--dir", "demo"]);
    let mut codes: Vec<&str> = reported
        .split_whitespace()
        .filter(|word| word.starts_with("BDAY-"))
        .collect();
    assert_eq!(codes.len(), 6);
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 6, "{reported}");
}
