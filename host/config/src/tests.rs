//! The documented configuration, and the errors of invalid ones.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::*;

fn error(text: &str) -> String {
    format!("{:#}", Config::parse("p.toml", text).unwrap_err())
}

#[test]
fn accepts_the_documented_configuration() {
    let guide = include_str!("../../../docs/configuration.md");
    let examples = guide.split("```toml\n").skip(1);
    let examples: Vec<Config> = examples
        .map(|rest| Config::parse("promoflow.toml", rest.split_once("```").unwrap().0).unwrap())
        .collect();
    let [files, providers, unsubscribe, service] = &examples[..] else {
        panic!("{examples:?}")
    };
    assert!(unsubscribe.unsubscribe.is_some());
    assert_eq!(service.serve.drain, Some(30));
    assert_eq!(service.log.format, Some(LogFormat::Json));
    let [smtp, _, _] = &files.channels[..] else {
        panic!("{files:?}")
    };
    let Transport::Smtp(smtp) = &smtp.transport else {
        panic!("{smtp:?}")
    };
    assert_eq!((smtp.port(), smtp.security), (587, Security::Starttls));
    let [http, hook] = &providers.channels[..] else {
        panic!("{providers:?}")
    };
    let (Transport::Http(http), Transport::Http(hook)) = (&http.transport, &hook.transport) else {
        panic!("{http:?}")
    };
    assert_eq!((http.secrets.len(), http.response_rules.len()), (2, 1));
    assert_eq!((hook.secrets.len(), hook.signing_secrets.len()), (0, 2));
}

#[test]
fn accepts_the_documented_alerts_and_rejects_invalid_ones() {
    let guide = include_str!("../../../docs/alerts.md");
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let alerts = Config::parse("p.toml", example).unwrap().alerts;
    assert_eq!(alerts.iter().count(), 4);
    let bare = Config::parse("p.toml", "[[alert]]\n").unwrap().alerts;
    let bare = bare.iter().next().unwrap();
    assert_eq!((bare.warning, bare.alarm), (500, 50));
    for (text, wanted) in [
        (
            "warning = 50",
            "`warning` (50) must be greater than `alarm` (50)",
        ),
        (
            "kind = \"expiring\"\nwarning = 0",
            "must be at least 1 and less than",
        ),
        ("kind = \"dry\"", "unknown variant `dry`"),
        ("discount = 100", "`discount` must be 0 to 99"),
        ("type = \"\"", "`type` must have 1 to"),
        (
            "within-days = 3",
            "only allowed for alerts of kind `expiring`",
        ),
        ("kind = \"exhaustion\"\nwarning = 400", "must be 0 to 365"),
        (
            "\n[[alert]]\nwarning = 9\nalarm = 3",
            "the same kind, type and discount",
        ),
        ("warnings = 3", "unknown field `warnings`"),
    ] {
        let error = error(&format!("[[alert]]\n{text}\n"));
        assert!(error.contains(wanted), "{text}: {error}");
        assert!(error.starts_with("p.toml:"), "{error}");
    }
}

#[test]
fn errors_have_a_position_and_an_expectation() {
    let section = error("[[chanel]]\ntype = \"smtp\"\n");
    assert_eq!(
        section,
        "p.toml:1:3: unknown key `chanel`; did you mean `channel`?"
    );
    let smtp = "[[channel]]\ntype = \"smtp\"\nhost = \"mail.example.com\"\nfrom = \"a@b\"\n";
    let unknown = error(&format!("{smtp}prot = 1\n"));
    assert!(
        unknown.starts_with("p.toml:5:1: ") && unknown.contains("expected one of"),
        "{unknown}"
    );
    let port = error(&format!("{smtp}port = \"25\"\n"));
    assert!(port.starts_with("p.toml:5:8: "), "{port}");
    let missing = error("[[channel]]\ntype = \"smtp\"\nfrom = \"a@b\"\n");
    assert!(
        missing.starts_with("p.toml:1:1: ") && missing.contains("host"),
        "{missing}"
    );
    let kind = error("[[channel]]\ntype = \"smpt\"\n");
    assert_eq!(
        kind,
        "p.toml:2:8: unknown type `smpt`; did you mean `smtp`?"
    );
    let kind = error("[[channel]]\ntype = \"pigeon\"\n");
    assert!(kind.contains("expected one of smtp, "), "{kind}");
    let unclosed = error("[[channel]]\ntype = \"smtp\nhost = 1\n");
    assert!(unclosed.starts_with("p.toml:2:"), "{unclosed}");
    let clear = error(&format!(
        "{smtp}security = \"none\"\nusername = \"u\"\npassword = {{ env = \"P\" }}\n"
    ));
    assert!(clear.contains("an encrypted connection"), "{clear}");
    let half = error(&format!("{smtp}username = \"u\"\n"));
    assert!(half.contains("set together"), "{half}");
    let sender = error(&smtp.replace("a@b", "Shop"));
    assert!(sender.contains("mailbox"), "{sender}");
    let plain = error(&format!("{smtp}username = \"u\"\npassword = \"letmein\"\n"));
    assert!(!plain.contains("letmein"), "{plain}");
    assert!(
        plain.starts_with("p.toml:6:12: expected a secret"),
        "{plain}"
    );
}

#[test]
fn accepts_the_documented_traces_and_rejects_invalid_ones() {
    let guide = include_str!("../../../docs/operation.md");
    let (_, rest) = guide.split_once("```toml\n[trace]").unwrap();
    let example = format!("[trace]{}", rest.split_once("```").unwrap().0);
    let trace = Config::parse("p.toml", &example).unwrap().trace.unwrap();
    assert_eq!(
        (trace.headers.len(), trace.service_name.as_str()),
        (1, "promoflow")
    );
    for (text, wanted) in [
        (
            "endpoint = \"localhost:4318\"",
            "the address of a collector",
        ),
        (
            "endpoint = \"http://127.0.0.1\"\nsample = 2.0",
            "`sample` must be",
        ),
        (
            "endpoint = \"https://a\"\nheaders = { k = \"v\" }",
            "expected a secret",
        ),
        (
            "endpoint = \"http://collector.example:4318\"",
            "expected https://; http:// is only allowed for servers on this machine",
        ),
        ("endpoint = \"http://192.0.2.1\"", "expected https://"),
        (
            "endpoint = \"http://localhost.evil.example\"",
            "expected https://",
        ),
        ("", "missing field `endpoint`"),
    ] {
        let error = error(&format!("[trace]\n{text}\n"));
        assert!(
            error.contains(wanted) && error.starts_with("p.toml:"),
            "{error}"
        );
    }
}

/// Returns the error for a provider with these lines below `type`, without the file's name.
fn provider(lines: &str) -> String {
    let error = error(&format!("[[channel]]\ntype = \"http\"\n{lines}\n"));
    error.strip_prefix("p.toml:").unwrap().to_owned()
}

#[test]
fn provider_errors_have_a_position() {
    for (lines, expected) in [
        (
            r#"json = { to = "$adress" }"#,
            "5:16: unknown variable `adress`; did you mean `address`?",
        ),
        (
            r#"json = { to = ["a", "a #if($text) b"] }"#,
            "5:36: expected #end",
        ),
        (
            "form = { to = '''\nTo:\n  $nobody''' }",
            "7:3: unknown variable `nobody`; expected one of",
        ),
        ("json = 2021-01-01", "5:8: expected a string, a number"),
        ("json = {}\nform = {}", "5:8: expected either `json` or"),
        (r#"headers = { Host = "a" }"#, "5:20: the header `Host`"),
        (
            r#"headers = { "a b" = "" }"#,
            "5:21: `a b`: invalid header name",
        ),
        (r#"username = "u""#, "1:1: `username` and `password` must"),
        (
            r#"secrets = { text = { env = "T" } }"#,
            "5:20: `text` is the name of a message value",
        ),
        (
            r#"secrets = { a-b = { env = "T" } }"#,
            "5:19: templates cannot read `a-b`",
        ),
        (
            r#"secrets = { key = "letmein" }"#,
            "5:19: expected a secret",
        ),
        (
            r#"signing-secrets = ["letmein"]"#,
            "5:19: expected a secret",
        ),
        ("connections = 0", "5:15: `connections` must be 1 to 64"),
        ("timeout-seconds = 0", "5:19: `timeout-seconds` must be"),
        (r#"method = "DELETE""#, "5:10: unknown variant `DELETE`"),
        (
            "responses = 1",
            "5:1: unknown key `responses`; did you mean `response`?",
        ),
    ] {
        let good = "takes = [\"sms\"]\nurl = \"https://api.example.com/send\"\n";
        let error = provider(&format!("{good}{lines}"));
        assert!(error.starts_with(expected), "{lines}: {error}");
        assert!(!error.contains("letmein"), "{error}");
    }
    let kind = provider("takes = [\"fax\"]\nurl = \"https://a/\"");
    assert!(kind.starts_with("3:10: unknown channel `fax`; "), "{kind}");
    let none = provider("takes = []\nurl = \"https://a/\"");
    assert!(
        none.starts_with("3:9: expected at least one of email"),
        "{none}"
    );
}

#[test]
fn response_rule_errors_have_a_position() {
    for (lines, expected) in [
        (
            "outcome = \"retryable\"",
            "5:1: expected `status`, or `pointer`",
        ),
        (
            "outcome = \"retryable\"\nstatus = 400\nequals = 1",
            "5:1: expected `status`, or `pointer`",
        ),
        (
            "outcome = \"retryable\"\nstatus = \"6xx\"",
            "7:10: expected a status such as 429",
        ),
        (
            "outcome = \"lost\"\nstatus = 400",
            "6:11: unknown variant `lost`",
        ),
        (
            "outcome = \"retryable\"\npointer = \"code\"\nequals = 1",
            "7:11: expected a JSON pointer",
        ),
        (
            "outcome = \"retryable\"\nstatu = 400",
            "7:1: unknown key `statu`; did you mean `status`?",
        ),
    ] {
        let good =
            "takes = [\"sms\"]\nurl = \"https://api.example.com/send\"\n[[channel.response]]\n";
        let error = provider(&format!("{good}{lines}"));
        assert!(error.starts_with(expected), "{lines}: {error}");
    }
}

#[test]
fn url_has_a_constant_server_and_is_encrypted() {
    for (url, expected) in [
        (
            "http://api.example.com/",
            "4:7: expected https://; http:// is",
        ),
        (
            "https://$address/",
            "4:7: expected https:// and the name of",
        ),
        ("https://a.example$text/", "4:7: expected https:// and the"),
        (
            "https://a#if($text).evil#end/",
            "4:7: expected https:// and",
        ),
        (
            "https://me:pw@example.com/",
            "4:7: the URL must not contain",
        ),
        ("ftp://example.com/", "4:7: expected https://; http:// is"),
        (
            "example.com/$text",
            "4:7: expected https:// and the name of",
        ),
        ("https://example.com/$nobody", "4:28: unknown variable"),
    ] {
        let error = provider(&format!("takes = [\"sms\"]\nurl = \"{url}\""));
        assert!(error.starts_with(expected), "{url}: {error}");
    }
    for url in [
        "http://localhost:1/$text",
        "http://[::1]/",
        "https://a?to=$address",
    ] {
        let lines = format!("[[channel]]\ntype = \"http\"\ntakes = [\"sms\"]\nurl = \"{url}\"\n");
        Config::parse("p.toml", &lines).unwrap();
    }
}

#[test]
fn remote_addresses_must_be_encrypted() {
    let of = |url: &str| {
        [
            format!("[trace]\nendpoint = \"{url}\"\n"),
            format!("[[channel]]\ntype = \"http\"\ntakes = [\"sms\"]\nurl = \"{url}\"\n"),
            format!("[webhook.ops]\nurl = \"{url}\"\n"),
            format!("[unsubscribe]\nurl = \"{url}/{{token}}\"\nsecret = {{ env = \"S\" }}\n"),
        ]
    };
    for url in [
        "http://shop.example",
        "http://192.0.2.1:80",
        "http://[2001:db8::1]",
        "http://127.0.0.1.evil.example",
        "HTTP://shop.example",
        "ftp://127.0.0.1",
    ] {
        for text in of(url) {
            let error = error(&text);
            assert!(error.contains("https://"), "{text}: {error}");
        }
    }
    for url in [
        "https://shop.example",
        "http://127.0.0.1:1",
        "http://127.8.0.1",
        "http://[::1]:1",
        "http://localhost:4318",
        "http://LOCALHOST",
    ] {
        for text in of(url) {
            Config::parse("p.toml", &text).unwrap();
        }
    }
}

#[test]
fn rejects_line_breaks_in_smtp_settings() {
    let smtp = "[[channel]]\ntype = \"smtp\"\nhost = \"mail.example.com\"\nfrom = \"a@b\"\n";
    for (line, wanted) in [
        (
            "ehlo-name = \"a\\r\\nMAIL FROM:<a@b>\"",
            "`ehlo-name` must be a domain",
        ),
        ("ehlo-name = \"a b\"", "`ehlo-name` must be a domain"),
        ("ehlo-name = \"\"", "`ehlo-name` must be a domain"),
        (
            "username = \"a\\u0000b\"\npassword = { env = \"P\" }",
            "`username` must not be empty",
        ),
    ] {
        let error = error(&format!("{smtp}{line}\n"));
        assert!(error.contains(wanted), "{line}: {error}");
    }
    let host = error(&smtp.replace("mail.example.com", "mail example\\r\\n"));
    assert!(host.contains("`host` must be"), "{host}");
}
