//! Emails from unusual messages, parsed by an independent parser and compared field by field.
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::path::Path;
use std::process::Command;

use promoflow::channel::{Channel, DeliveryOutcome, Maildir, OutboundMessage};
use promoflow::message::{ChannelKind, Message, PreparedMessage, RenderedMessage, Values};
use serde_json::{Value, json};

const ADDRESS: &str = "ann@example.com";

/// Returns the emails of contents, as parsed by Python's `email`.
fn read(contents: &[RenderedMessage]) -> Vec<Value> {
    let messages = contents.iter();
    read_all(messages.map(|content| (ChannelKind::Email, ADDRESS, content)))
}

fn read_all<'c>(
    messages: impl Iterator<Item = (ChannelKind, &'c str, &'c RenderedMessage)>,
) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (number, (kind, address, content)) in messages.enumerate() {
        let maildir = Maildir::new(folder.path().join(number.to_string()));
        let id = format!("delivery-{number}");
        let message = OutboundMessage {
            unsubscribe: None,
            id: &id,
            installation: "0123abcd",
            kind,
            address,
            content,
        };
        assert_eq!(
            maildir.deliver(&message),
            DeliveryOutcome::Delivered,
            "{content:?}"
        );
        let mut written = std::fs::read_dir(maildir.folder().join("new")).unwrap();
        files.push(written.next().unwrap().unwrap().path());
    }
    let release = Path::new(env!("CARGO_BIN_EXE_promoflow")).parent().unwrap();
    let python = release.join("../test-tools/bin/python");
    assert!(python.exists(), "`cargo xtask test` installs the parser");
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/mail_reader.py");
    let output = Command::new(python).arg(tool).args(files).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn header(mail: &Value, name: &str) -> Vec<String> {
    let all = mail["headers"].as_array().unwrap();
    let named = all.iter().filter(|header| header[0] == name);
    named
        .map(|header| header[1].as_str().unwrap().to_owned())
        .collect()
}

/// Texts that occur in messages and values.
fn awkward() -> Vec<String> {
    [
        "A present",
        "Крамниця: з днем народження, Їжачку!",
        "🎁 Your present 🎂 for you 👩‍👩‍👧‍👦 é",
        "תן לי קוד, بطاقة هدية",
        "\u{202e}backwards\u{202c} and \u{feff}marks",
        "=?utf-8?B?SGk=?= is no word of ours",
        "a, b; c: <d> (e) \"f\" \\g @h",
        "100 % = 50=20 + =3D",
        "From here",
        ".",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        "x".repeat(2_000),
        "Дуже довга тема ".repeat(125).trim().to_owned(),
        "🎁".repeat(500),
        "word ".repeat(400).trim().to_owned(),
    ])
    .collect()
}

#[test]
fn message_texts_arrive_unchanged() {
    let mut contents = Vec::new();
    for text in awkward() {
        let body = format!(
            "Dear,\r\n\r\n{text}\n.\n..\nFrom us\n\tTab  and spaces  \n{}\n\nend",
            "long ".repeat(400)
        );
        contents.push(RenderedMessage {
            from: Some("\"Shop, Крамниця (UA)\" <shop@example.com>".into()),
            reply_to: Some("Допомога <help@example.com>".into()),
            subject: Some(text.clone()),
            html: Some(format!("<p title=\"{}\">{body}</p>", "й".repeat(600))),
            text: Some(body),
            headers: vec![("X-Campaign".into(), text)],
            language: Some("uk".into()),
            ..RenderedMessage::default()
        });
    }
    let mails = read(&contents);
    assert_eq!(mails.len(), contents.len());
    for (number, (mail, content)) in mails.iter().zip(&contents).enumerate() {
        let subject = content.subject.as_ref().unwrap();
        let lines = |text: &str| text.trim_end().replace("\r\n", "\n");
        let same = |part: &str, printed: &Option<String>| {
            let read = mail[part].as_str().unwrap();
            assert_eq!(lines(read), lines(printed.as_ref().unwrap()), "{subject}");
        };
        assert_eq!(header(mail, "subject"), [subject.as_str()]);
        assert_eq!(header(mail, "x-campaign"), [subject.as_str()]);
        assert_eq!(
            mail["from"],
            json!([["Shop, Крамниця (UA)", "shop@example.com"]])
        );
        assert_eq!(mail["replyTo"], json!([["Допомога", "help@example.com"]]));
        assert_eq!(mail["to"], json!([["", ADDRESS]]));
        let id = format!("<delivery-{number}@0123abcd.promoflow>");
        assert_eq!(header(mail, "message-id"), [id]);
        assert_eq!(header(mail, "content-language"), ["uk"]);
        same("text", &content.text);
        same("html", &content.html);
        let kinds = json!(["multipart/alternative", "text/plain", "text/html"]);
        assert_eq!(mail["kinds"], kinds);
        assert_eq!(mail["defects"], json!([]), "{subject}");
        assert_eq!(mail["bare"], 0, "{subject}");
        assert_eq!(mail["ascii"], true, "{subject}");
        assert!(mail["longest"].as_u64().unwrap() <= 998, "{subject}");
    }
}

#[test]
fn names_from_values_arrive_unchanged() {
    let message = json!({
        "id": "m", "channel": "email", "subject": "s", "text": "t",
        "from": "$shop <shop@example.com>", "replyTo": "\"To %SHOP%\" <$at@example.com>",
    });
    let message: Message = serde_json::from_value(message).unwrap();
    let message = PreparedMessage::new(message).unwrap();
    let names = [
        "Shop, Inc.",
        "The \"Best\" \\ Shop",
        "Крамниця, \"Їжак\" <UA>",
        "a; b: (c) @d [e].",
        "Shop",
    ];
    let contents = names.map(|name| {
        let data = json!({ "shop": name, "at": "help" });
        let values = Values::new(data.as_object().unwrap(), "ann");
        message.render(&values, &mut |_| None).unwrap()
    });
    let mails = read(&contents);
    for (mail, name) in mails.iter().zip(names) {
        assert_eq!(mail["from"], json!([[name, "shop@example.com"]]));
        let reply_to = json!([[format!("To {name}"), "help@example.com"]]);
        assert_eq!(mail["replyTo"], reply_to);
        assert_eq!(mail["defects"], json!([]), "{name}");
    }
}

#[test]
fn values_cannot_add_headers() {
    let evil = "Ann\r\nBcc: eve@example.com\r\n\r\n<p>body</p>";
    let plain = RenderedMessage {
        from: Some("Shop <shop@example.com>".into()),
        subject: Some("s".into()),
        text: Some("t".into()),
        ..RenderedMessage::default()
    };
    let contents = [
        plain.clone(),
        RenderedMessage {
            subject: Some(evil.into()),
            ..plain.clone()
        },
        RenderedMessage {
            headers: vec![("X-Campaign".into(), evil.into())],
            ..plain.clone()
        },
    ];
    let mails = read(&contents);
    let names = |mail: &Value| -> Vec<String> {
        let all = mail["headers"].as_array().unwrap();
        let mut names: Vec<String> = all.iter().map(|one| one[0].to_string()).collect();
        names.sort();
        names
    };
    let expected = names(&mails[0]);
    assert_eq!(names(&mails[1]), expected);
    for mail in &mails {
        assert!(header(mail, "bcc").is_empty(), "{mail}");
        assert_eq!(mail["text"].as_str().unwrap().trim_end(), "t");
        assert_eq!(mail["to"], json!([["", ADDRESS]]));
    }
}

#[test]
fn emails_have_no_bare_cr_or_lf_and_no_control_characters() {
    let evil = "A\r.\rMAIL FROM:<eve@example.com>\r\r\nB\0\u{1b}[2J\u{b}\u{7f}\tC\nD\r";
    let html = format!("<p>{evil}</p>");
    let (text, html) = (Some(evil.to_owned()), Some(html));
    let with = |text: &Option<String>, html: &Option<String>| RenderedMessage {
        from: Some("Shop <shop@example.com>".into()),
        subject: Some(evil.into()),
        headers: vec![("X-Campaign".into(), evil.into())],
        text: text.clone(),
        html: html.clone(),
        ..RenderedMessage::default()
    };
    let contents = [with(&text, &None), with(&None, &html), with(&text, &html)];
    let emails = contents.iter();
    let emails = emails.map(|content| (ChannelKind::Email, ADDRESS, content));
    let others = [(ChannelKind::Viber, evil, &contents[0])];
    let mails = read_all(emails.chain(others));
    assert_eq!(mails.len(), 4);
    let expected = "A\n.\nMAIL FROM:<eve@example.com>\n\nB[2J\tC\nD";
    let part = |part: &Value| part.as_str().map(|text| text.replace("\r\n", "\n"));
    for mail in &mails {
        assert_eq!(
            (&mail["bare"], &mail["controls"]),
            (&0.into(), &0.into()),
            "{mail}"
        );
        if let Some(text) = part(&mail["text"]) {
            assert_eq!(text.trim_end(), expected);
        }
        if let Some(html) = part(&mail["html"]) {
            assert_eq!(html.trim_end(), format!("<p>{expected}\n</p>"));
        }
        assert!(header(mail, "mail from").is_empty(), "{mail}");
    }
}

#[test]
fn rejects_invalid_mailboxes() {
    let folder = tempfile::tempdir().unwrap();
    let maildir = Maildir::new(folder.path());
    for (from, address) in [
        (
            "Shop <shop@example.com>",
            "ann@example.com\r\nBcc: eve@example.com",
        ),
        ("Shop\r\nBcc: eve@example.com <shop@example.com>", ADDRESS),
        ("a@example.com, b@example.com", ADDRESS),
    ] {
        let content = RenderedMessage {
            from: Some(from.into()),
            subject: Some("s".into()),
            text: Some("t".into()),
            ..RenderedMessage::default()
        };
        let message = OutboundMessage {
            unsubscribe: None,
            id: "delivery-1",
            installation: "0123abcd",
            kind: ChannelKind::Email,
            address,
            content: &content,
        };
        let DeliveryOutcome::PermanentFailure { error } = maildir.deliver(&message) else {
            panic!("{from:?} {address:?} went out")
        };
        assert!(!error.contains("eve"), "{error}");
    }
}
