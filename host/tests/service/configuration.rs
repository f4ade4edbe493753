//! Configuration of a service: options, environment, configuration file.

use std::process::Output;

use serde_json::{Value, json};

use crate::service::{TestApp, problem, until};

fn printed(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

#[test]
fn options_override_the_environment_which_overrides_the_file() {
    let app = TestApp::with_file();
    let file = "[serve]\nlisten = \"127.0.0.1:7001\"\ndrain = 1\nconnections = 11\n";
    std::fs::write(app.path("promoflow.toml"), file).unwrap();
    let mut command = app.command(&["serve", "--check", "--drain", "3"]);
    let output = command
        .env("PROMOFLOW_DRAIN", "2")
        .env("PROMOFLOW_CONNECTIONS", "22")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&found["drain"], &found["connections"], &found["url"]),
        (&json!(3), &json!(22), &json!("http://127.0.0.1:7001"))
    );
    assert_eq!(
        found["eventsPerSecond"], 350,
        "unset options have their defaults"
    );
    assert!(!app.path("promoflow.db").exists(), "a database was created");
}

#[test]
fn config_check_reads_everything_and_shows_no_secret() {
    let app = TestApp::new();
    let secret = app.path("secret");
    std::fs::write(&secret, "hunter2-of-the-shop\n").unwrap();
    let good = format!(
        "[[channel]]\ntype = \"smtp\"\nhost = \"mail.example.com\"\nfrom = \"a@b.example\"\n\
         username = \"u\"\npassword = {{ file = {:?} }}\n[[alert]]\n",
        secret.display().to_string()
    );
    let check = |text: &str, args: &[&str]| {
        std::fs::write(app.path("promoflow.toml"), text).unwrap();
        let output = app.command(args).output().unwrap();
        let printed = printed(&output);
        assert!(!printed.contains("hunter2"), "{printed}");
        (output.status.code(), printed)
    };
    let trace = |endpoint: &str, headers: &str| {
        format!("[trace]\nendpoint = {endpoint}\nheaders = {{ {headers} }}\n")
    };
    let two_lines = app.path("two lines");
    std::fs::write(&two_lines, "hunter2\r\nhunter2").unwrap();
    let lines = format!("x-key = {{ file = {:?} }}", two_lines.display().to_string());
    let both: [&[&str]; 2] = [&["config", "check"], &["serve", "--check"]];
    for args in both {
        let (status, printed) = check(&good, args);
        assert_eq!(status, Some(0), "{args:?}: {printed}");
        for (text, wanted) in [
            (good.replace("secret", "nowhere"), "cannot read the secret"),
            (good.replace("{ file = ", "{ env = "), "is not set"),
            (
                good.replace("type = \"smtp\"", "type = \"smtp\"\nprot = 1"),
                "prot",
            ),
            (
                format!("blocks = [\"nowhere\"]\n{good}"),
                "no such folder of blocks",
            ),
            (
                format!("[serve]\ntls-key = \"k\"\n{good}"),
                "no certificate",
            ),
            (
                format!("[serve]\ntls-key = \"k\"\ntls-certificate = \"c\"\n{good}"),
                "cannot use the certificate",
            ),
            (
                format!("[serve]\nconnections = 0\n{good}"),
                "promoflow.toml:2:",
            ),
            (
                format!("[log]\nlevel = \"loud\"\n{good}"),
                "promoflow.toml:2:",
            ),
            (format!("[server]\n{good}"), "did you mean `serve`"),
            (
                format!("[serve]\nheader-timeout = 9223372036854775807\n{good}"),
                "promoflow.toml:2:18: expected at most 86400 seconds (a day)",
            ),
            (
                format!("[serve]\nbody-timeout = 86401\n{good}"),
                "promoflow.toml:2:16: expected at most",
            ),
            (
                format!("[serve]\ndrain = 86401\n{good}"),
                "promoflow.toml:2:9: expected at most",
            ),
            (trace("\"http://\"", ""), "promoflow.toml:2:12: not a URL"),
            (
                trace("\"http://exa mple:x/\"", ""),
                "promoflow.toml:2:12: not a URL",
            ),
            (
                trace("\"ftp://127.0.0.1\"", ""),
                "promoflow.toml:2:12: expected https://",
            ),
            (
                trace("\"http://127.0.0.1:1?q=1\"", ""),
                "promoflow.toml:2:12: the address must not contain `?`",
            ),
            (
                trace("\"http://127.0.0.1:1/#a\"", ""),
                "promoflow.toml:2:12: the address must not contain `?` or `#`",
            ),
            (
                trace("\"http://u:p@127.0.0.1:1\"", ""),
                "promoflow.toml:2:12: the URL must not contain a login",
            ),
            (
                trace(
                    "\"http://127.0.0.1:1\"",
                    "\"bad name\" = { env = \"PATH\" }",
                ),
                "promoflow.toml:3:26: `bad name`: invalid header name",
            ),
            (
                trace("\"http://127.0.0.1:1\"", &lines),
                "invalid value for a header",
            ),
        ] {
            let (status, printed) = check(&text, args);
            assert_eq!(status, Some(2), "{args:?}: {text}\n{printed}");
            assert!(printed.contains(wanted), "{args:?}: {printed}");
        }
    }
    let (status, printed) = check(&good, &["config", "check", "other.toml"]);
    assert_eq!(status, Some(2));
    assert!(printed.contains("other.toml"), "{printed}");
}

#[cfg(unix)]
#[test]
fn an_unusable_secret_is_reported_and_not_shown() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let app = TestApp::new();
    let request = "url = \"https://sms.example.com/send\"\n\
                   headers = { Authorization = \"Bearer $token\" }\n\
                   secrets = { token = { env = \"SMS_TOKEN\" } }\n";
    let channel = format!("[[channel]]\ntype = \"http\"\ntakes = [\"sms\"]\n{request}");
    let webhook = format!("[webhook.shop]\n{request}");
    for text in [channel, webhook] {
        std::fs::write(app.path("promoflow.toml"), text).unwrap();
        let check = |token: Option<&[u8]>| {
            let mut command = app.command(&["config", "check"]);
            if let Some(token) = token {
                command.env("SMS_TOKEN", OsStr::from_bytes(token));
            }
            let output = command.output().unwrap();
            let printed = printed(&output);
            assert!(!printed.contains("s3"), "{printed}");
            (output.status.code(), printed)
        };
        let fine: [&[u8]; 2] = [b"s3cret", b"s3cret\r\n"];
        for token in fine {
            let (status, printed) = check(Some(token));
            assert_eq!(status, Some(0), "{printed}");
        }
        for (token, wanted) in [
            (None, "environment variable SMS_TOKEN is not set"),
            (
                Some(&b"s3cret\xff"[..]),
                "environment variable SMS_TOKEN is not UTF-8",
            ),
            (Some(b"\n"), "environment variable SMS_TOKEN is empty"),
            (Some(b"s3\ncret"), "invalid header authorization"),
            (Some(b"s3\x07cret"), "invalid header authorization"),
        ] {
            let (status, printed) = check(token);
            assert_eq!(status, Some(2), "{token:?}: {printed}");
            assert!(printed.contains(wanted), "{token:?}: {printed}");
        }
    }
}

#[test]
fn options_are_validated_like_the_file() {
    let app = TestApp::new();
    for (args, wanted) in [
        (["--header-timeout", "86401"], "is not in 1..=86400"),
        (
            ["--body-timeout", "9223372036854775807"],
            "is not in 1..=86400",
        ),
        (["--drain", "86401"], "is not in 0..=86400"),
        (
            ["--trace-endpoint", "http://"],
            "--trace-endpoint: not a URL",
        ),
    ] {
        let mut command = app.command(&["serve", "--check"]);
        let output = command.args(args).output().unwrap();
        let printed = printed(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {printed}");
        assert!(printed.contains(wanted), "{args:?}: {printed}");
    }
    let mut command = app.command(&["serve", "--check", "--header-timeout", "86400"]);
    let output = command.args(["--drain", "0"]).output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
}

#[test]
fn only_delivering_commands_need_the_secrets() {
    let app = TestApp::new();
    let nowhere = app.path("nowhere");
    let channel = format!(
        "[[channel]]\ntype = \"smtp\"\nhost = \"mail.example.com\"\nfrom = \"a@b.example\"\n\
         username = \"u\"\npassword = {{ file = {nowhere:?} }}\n"
    );
    let unsubscribe = format!(
        "[unsubscribe]\nurl = \"https://shop.example/u/{{token}}\"\nsecret = {{ file = {nowhere:?} }}\n"
    );
    let trace = format!(
        "[trace]\nendpoint = \"http://127.0.0.1:1\"\nheaders = {{ X-Key = {{ file = {nowhere:?} }} }}\n"
    );
    let config = app.path("promoflow.toml");
    let deliver: [&[&str]; 4] = [
        &["event", "send", "--type", "x", "--key", "k"],
        &["work", "--until-idle"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["config", "check"],
    ];
    for text in [&channel, &unsubscribe, &trace] {
        std::fs::write(&config, text).unwrap();
        for args in deliver {
            let output = app.command(args).output().unwrap();
            let printed = printed(&output);
            assert_eq!(output.status.code(), Some(2), "{args:?}: {printed}");
            assert!(
                printed.contains("cannot read the secret"),
                "{args:?}: {printed}"
            );
            assert!(printed.contains("promoflow.toml"), "{args:?}: {printed}");
        }
        assert!(!app.path("promoflow.db").exists(), "a database was created");
    }
    std::fs::write(&config, [channel, unsubscribe, trace].concat()).unwrap();
    let app_files = TestApp::ready();
    let message = app_files.path("message.yaml");
    app.succeed(&["message", "apply", message.to_str().unwrap()]);
    app.succeed(&["codes", "count"]);
    app.succeed(&["outbox", "list"]);
    app.succeed(&["event", "send", "--type", "x", "--key", "k", "--test"]);
}

#[test]
fn a_file_in_the_current_folder_may_name_the_database() {
    let app = TestApp::new();
    let file = "database = \"named.db\"\n[[channel]]\ntype = \"maildir\"\nfolder = \"messages\"\n";
    std::fs::write(app.path("promoflow.toml"), file).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_promoflow"));
    let output = command
        .args(["settings", "time-zone", "Europe/Kyiv"])
        .current_dir(app.path(""))
        .env_remove("PROMOFLOW_DB")
        .env_remove("PROMOFLOW_CONFIG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    assert!(app.path("named.db").exists());
}

#[cfg(unix)]
#[test]
fn a_service_is_ready_while_the_executor_is_known() {
    let app = TestApp::with_file();
    let first = app.serve();
    let second = app.serve();
    let ready = |service: &crate::service::Service| service.get("/readyz").send().unwrap();
    assert_eq!(ready(&first).status(), 200);
    assert_eq!(
        ready(&second).status(),
        200,
        "the first process is the known executor"
    );
    let lock = app.path("promoflow.db-executor");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    until(|| ready(&second).status() == 503);
    problem(ready(&second), 503, "unavailable");
    assert_eq!(second.get("/healthz").send().unwrap().status(), 200);
    assert_eq!(ready(&first).status(), 200);
}
